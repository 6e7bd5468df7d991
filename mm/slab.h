// slab.h: caches of equal objects over physical pages, with per-CPU magazines; the size classes behind kmalloc are such caches.
#pragma once

#include "heap.h"

struct kmem_cache;

// A cache of objects of `bytes` bytes aligned to `align` (0: HEAP_ALIGN). `construct` (or NULL) runs once for each object when its slab is made;
// objects come back to the cache constructed. NULL when there is no memory. `name` must stay valid.
struct kmem_cache *kmem_cache_create(const char *name, size_t bytes, size_t align, void (*construct)(void *object))
	__attribute__((warn_unused_result));
void *kmem_cache_alloc(struct kmem_cache *cache) __attribute__((warn_unused_result));
void kmem_cache_free(struct kmem_cache *cache, void *object);
// All objects must have been freed: else panics.
void kmem_cache_destroy(struct kmem_cache *cache);

// Returns magazines' objects to their slabs and empty slabs to the page allocator, in every cache.
void kmem_reap(void);

struct kmem_report {
	const char *name;
	size_t object_bytes;
	size_t used;     // objects in use by callers
	size_t cached;   // objects in per-CPU magazines
	size_t capacity; // objects that the present slabs hold
	size_t pages;    // pages taken
};
// Fills at most `max` reports, returns how many caches there are.
size_t kmem_report(struct kmem_report *report, size_t max);
