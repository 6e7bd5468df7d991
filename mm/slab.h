// slab.h: caches of equal objects over physical pages, with per-CPU magazines; the size classes behind kmalloc are such caches.
//
// Every function may be called on any CPU and from interrupt handlers, except create, destroy and the constructor's own calls.
#pragma once

#include "heap.h"

struct kmem_cache;
struct stock;

// A cache of objects of `bytes` bytes aligned to `align` (0: HEAP_ALIGN). `construct` (or NULL) runs once for each object when its slab
// is made; objects come back to the cache constructed. NULL when there is no memory. `name` must stay valid.
struct kmem_cache *kmem_cache_create(const char *name, size_t bytes, size_t align, void (*construct)(void *object))
	__attribute__((warn_unused_result));
void *kmem_cache_alloc(struct kmem_cache *cache) __attribute__((warn_unused_result)); // NULL when there is no memory
// Panics on an object that is foreign, misaligned, of another cache or (where that is cheap to see) free already.
void kmem_cache_free(struct kmem_cache *cache, void *object);
// All objects must have been freed: else panics.
void kmem_cache_destroy(struct kmem_cache *cache);

// Returns the objects of the magazines (of all CPUs) and depots to their slabs and empty slabs to the page allocator, in every cache.
void kmem_reap(void);

// The same, but of this CPU's magazines only: before it goes away, or before it asks for more memory. No cache is made or destroyed
// meanwhile.
void kmem_reap_cpu(void);

// Seizes every stock of every cache, so that all CPUs go to the slabs and their locks; waits for those in use. kmem_thaw lets go. With it a
// host makes a copy of the process (fork) while other threads run.
void kmem_freeze(void);
void kmem_thaw(void);

struct kmem_report {
	const char *name;
	size_t object_bytes;
	size_t used;     // objects in use by callers
	size_t cached;   // objects in magazines and the depot
	size_t capacity; // objects that the present slabs hold
	size_t pages;    // pages taken
};
// Fills at most `max` reports, returns how many caches there are that hold pages.
size_t kmem_report(struct kmem_report *report, size_t max);

struct verdict kmem_check(void); // every cache

// What heap_slab's ops do, for a caller that is to contain them (the host's malloc). The heap is one of heap_create(&heap_slab, ...).
void *slab_alloc(struct heap *heap, size_t bytes, size_t align); // bytes == 0: a block of the smallest size
void slab_free(struct heap *heap, void *block);

// What port_stocks of a port that has it leads to at first.
struct stock *kmem_no_stocks(void);

// The number of the cache for so many bytes, at most SLAB_SMALL.
#define SLAB_SMALL 8192u
size_t slab_class(const struct heap *heap, size_t bytes);

// Forgets all caches: for a host that starts over with new memory.
void slab_forget(void);
