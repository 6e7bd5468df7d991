// page_zone.h: what page.c asks of page_zone.c, and the few instructions on a CPU's cache that both share.
#pragma once

#include "page_record.h"

// Takes a block from the zones that the flags allow, and before it gives up, collects all that lies in caches. The block is marked
// as used. PA_NONE: nothing fits.
pa_t zone_alloc(unsigned order, unsigned flags);

// Gives a block that belongs to nobody any more to its zone.
void zone_free(pa_t block, unsigned order);

// Fills this CPU's cache up and takes a page from it, marked as used; PA_NONE when the zone has none to spare.
pa_t cache_refill(void);

// Makes room in this CPU's full cache and puts the page into it. Ends the caller's pin, which comes in two parts since gcc passes a struct
// through memory.
void cache_flush_push(struct cache *cache, pa_t page, uintptr_t cpu, uintptr_t saved);

static inline bool zone_is_low(const struct zone *zone) // then the caches take no page of it
{
	return __atomic_load_n(&zone->free, __ATOMIC_RELAXED) < zone->reserve;
}

// One reference, no owner, no tag.
static inline void mark_used(struct page *page, unsigned order)
{
	page->owner = 0;
	page->extra = 0;
	*(volatile uint32_t *)&page->state = PAGE_USED | order << 8;
}

// ---- one cache; the caller is pinned to its CPU, but for slot_take

static inline pa_t slot_take(uint64_t *slot)
{
	return PA(__atomic_exchange_n(slot, 0, __ATOMIC_ACQUIRE));
}

static inline bool cache_is_empty(const struct cache *cache) // also before page_init
{
	return (uintptr_t)cache->top <= (uintptr_t)cache->slot;
}

static inline bool cache_is_full(const struct cache *cache)
{
	return cache->top == cache->slot + CACHE_SLOTS;
}

// Takes what the slot below the top holds: nothing, when another CPU was in need.
static inline pa_t cache_pop(struct cache *cache)
{
	return slot_take(--cache->top);
}

// The page is marked PAGE_CACHED before another CPU can see it here.
static inline void cache_push(struct cache *cache, pa_t page)
{
	uint64_t *slot = cache->top;
	cache->top = slot + 1;
	__atomic_thread_fence(__ATOMIC_RELEASE);
	*(volatile uint64_t *)slot = page.raw;
}
