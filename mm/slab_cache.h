// slab_cache.h: inside a cache: its records, and what slab.c, slab_heap.c and slab_check.c know of each other.
//
//    slab_stocks[cpu][number of the cache] ──► magazine ──► depot      see slab_stock.h, slab_depot.c
//    cache ──► lists of slabs ──► struct slab ──► 2^order pages cut into `count` objects, a bit for each free one
#pragma once

#include "page.h"
#include "slab.h"

#define SLAB_CACHES    128u    // the most caches; number 0 is nobody's
#define LARGE_TAG      ((uint16_t)0x1a26) // of the first page of a large kmalloc block; owner: the heap
#define SLAB_OBJECTS   256u               // the most objects in a slab
#define SLAB_ORDER_MAX 3u                 // the largest slab: 8 pages
#define SLABS_KEEP     2u                 // empty slabs that a cache keeps
#define SLAB_ALIGN     64u // of struct slab

struct slab { // in the cache `slab_records`, whose own slabs have theirs at the start of their pages
	struct kmem_cache *cache;
	uintptr_t first;             // the first object
	struct slab *next, *previous; // in one of its cache's lists
	uint32_t limit;              // bytes of all objects
	uint16_t count, free;        // objects in all, free ones
	uint32_t order;
	uint64_t is_free[SLAB_OBJECTS / 64];
};

enum slab_list { PARTIAL, EMPTY, FULL, SLAB_LISTS };

struct kmem_cache {
	struct lock lock; // guards list, slabs, empties, pages, taken and the slabs themselves
	struct slab *list[SLAB_LISTS];
	size_t slabs, empties, pages;
	size_t taken;       // objects that are in no slab: callers' and magazines'
	uint64_t inverse;   // 2^64 / stride, rounded up
	uint32_t limit;     // bytes of all objects in the largest slab; 0 for slab_records: nobody may free those
	uint32_t number;    // in slab_cache_of and slab_stocks
	size_t stride;      // from one object to the next
	size_t bytes, align;
	unsigned order;     // preferred order of a slab
	unsigned slots;     // of a magazine
	void (*construct)(void *object);
	const char *name;
	struct kmem_cache *next; // in the list of all caches
	size_t stored, room;     // objects in the depot, and how many it may have
};

extern struct kmem_cache slab_records;   // the cache of struct slab
extern struct kmem_cache slab_magazines; // the cache of struct magazine
extern struct kmem_cache *slab_caches; // all of them
extern struct lock slab_caches_lock;   // guards that list and the first set-up
extern struct kmem_cache *slab_cache_of[SLAB_CACHES]; // by number
extern void *slab_depots[SLAB_CACHES][PORT_DEPOT_OBJECTS]; // too: objects that CPUs left for each other, the newest last

// Sets up a cache in memory of the caller's. False when no slab can hold such an object. It gets its number when it is registered.
bool cache_setup(struct kmem_cache *cache, const char *name, size_t bytes, size_t align, void (*construct)(void *object));
// Enters it into the list; NULL: only makes the list ready. False when there are SLAB_CACHES already.
bool cache_register(struct kmem_cache *cache);
void cache_unregister(struct kmem_cache *cache); // nobody uses it any more

uint16_t slab_capacity(const struct kmem_cache *cache, unsigned order); // objects in a slab, 0: none fits
size_t slab_first(const struct kmem_cache *cache); // where in its pages the first object is

// With the cache's lock held: up to `count` objects out of the depot, or else the slabs, how many there were; objects into the depot, or
// else the slabs; all that the depot has into the slabs.
size_t depot_take(struct kmem_cache *cache, void **objects, size_t count);
void depot_give(struct kmem_cache *cache, void *const *objects, size_t count);
void depot_empty(struct kmem_cache *cache);

// With the cache's lock held: up to `count` objects out of the slabs, how many there were; and back into its slab: double frees panic.
size_t slabs_take(struct kmem_cache *cache, void **objects, size_t count);
void slabs_give(struct kmem_cache *cache, void *object);
// Takes empty slabs beyond `keep` out of the cache, as a chain for slabs_delete to free after the lock's release.
struct slab *slabs_drop(struct kmem_cache *cache, size_t keep);
void slabs_delete(struct slab *chain);

// A single object without a magazine; no lock held. NULL when there is no memory.
void *slabs_take_one(struct kmem_cache *cache);
void slabs_give_one(struct kmem_cache *cache, void *object);

// Puts the depot's objects into the slabs, and gives back empty slabs beyond `keep`.
void cache_shrink(struct kmem_cache *cache, size_t keep);

struct verdict cache_check(struct kmem_cache *cache);
// Visits every object; false when the visitor stopped. Objects in magazines count as free.
bool cache_walk(struct kmem_cache *cache, heap_visitor *visit, void *context);

static inline uintptr_t slab_start(const struct slab *slab) // of its pages
{
	return slab->cache == &slab_records ? (uintptr_t)slab : slab->first;
}

static inline enum slab_list slab_list_for(const struct slab *slab)
{
	return slab->free == slab->count ? EMPTY : slab->free ? PARTIAL : FULL;
}
