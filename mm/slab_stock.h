// slab_stock.h: a CPU's own stock of a cache's objects: its records, and what slab_stock.c offers to the rest of slab*.c.
//
//    slab_stocks[cpu][number of the cache] ──► magazine [    |NULL|object|object|object|    |    ]
//                                                        bottom^                        ^top       ^end: a multiple of its size
//
// slab_magazine.h says who may touch a stock when.
#pragma once

#include "slab_cache.h"

// A magazine is aligned to its size, so that where it ends is seen by an address alone. Its last cache->slots places are used, and the one
// below them stays NULL: the bottom.
#define MAGAZINE_SLOTS (PORT_STOCK_OBJECTS + 1)
_Static_assert((MAGAZINE_SLOTS & (MAGAZINE_SLOTS - 1)) == 0, "PORT_STOCK_OBJECTS is one less than a power of two");

struct magazine {
	void *slot[MAGAZINE_SLOTS];
};

struct stock { // one CPU's of one cache: a line of a processor's cache. slab_magazine.h says who may touch it when
	void **top;      // the next slot to fill, or SLAB_NOTHING: go the long way
	uintptr_t busy;  // not 0 while its CPU uses top
	uint64_t mask;   // of addresses: where in its slab an object is; of the cache, as is
	uint64_t inverse;
	void **kept;     // top while the stock is claimed
	struct magazine *magazine; // NULL: none yet; top is SLAB_NOTHING then
	uint32_t state;  // enum stock_state
} __attribute__((aligned(64)));

enum stock_state {
	STOCK_NEW,     // never used
	STOCK_OPEN,    // its CPU's
	STOCK_CLAIMED, // whose claim it is may change it, or waits for its CPU to let go of it
	STOCK_FROZEN,  // claimed while it was new
};

extern struct stock slab_stocks[PORT_MAX_CPUS][SLAB_CACHES];
extern struct stock slab_no_stocks[SLAB_CACHES]; // of a CPU that has none yet, or shares its number
extern void *slab_nothing[2 * MAGAZINE_SLOTS];   // an empty magazine below SLAB_NOTHING, a full one above: never written
#define SLAB_NOTHING (&slab_nothing[MAGAZINE_SLOTS])

// The long ways: when a magazine is empty, full or missing, or claimed. number: a cache's. object: one of its, which is in use.
void *cache_take_slowly(size_t number) __attribute__((noinline, cold));
void cache_give_slowly(size_t number, void *object) __attribute__((noinline, cold));

// The stocks of all CPUs that were open and not busy: claimed until stocks_release.
void stocks_claim(const struct kmem_cache *cache, bool claimed[PORT_MAX_CPUS]);
void stocks_release(const struct kmem_cache *cache, const bool claimed[PORT_MAX_CPUS]);

// Puts the objects of a claimed stock into the slabs, and gives its magazine back.
void stock_empty(struct kmem_cache *cache, struct stock *stock);

void stocks_drop(const struct kmem_cache *cache); // all CPUs' stocks of it, which are empty, are as new
void stocks_forget(void);                         // see slab_forget

static inline struct stock *stock_of(const struct kmem_cache *cache, uintptr_t cpu)
{
	return &slab_stocks[cpu][cache->number];
}

static inline void **stock_objects(const struct kmem_cache *cache, const struct stock *stock) // where they begin; there is a magazine
{
	return &stock->magazine->slot[MAGAZINE_SLOTS - cache->slots];
}

static inline size_t stock_count(const struct kmem_cache *cache, const struct stock *stock) // objects in it; claimed, or not in use
{
	void **end = stock->top == SLAB_NOTHING ? stock->kept : stock->top;

	return stock->magazine ? (size_t)(end - stock_objects(cache, stock)) : 0;
}
