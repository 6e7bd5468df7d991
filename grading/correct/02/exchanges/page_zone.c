// page_zone.c: another right solution: the zones that may be asked are listed before the first is.
#include "page_engine.h"
#include "page_zone.h"

// ---- zones

static void verify(const struct zone *zone)
{
	if (zone->total == 0)
		return;
	struct verdict verdict = page_state.engine->check(zone);
	if (verdict.broken)
		port_panic(verdict.broken, verdict.where);
}

static void zone_enter(struct zone *zone)
{
	lock_acquire(&zone->lock);
	zone->acquisitions++;
	if (MM_CHECK >= 2)
		verify(zone); // what is broken here, a caller broke
}

static void zone_leave(struct zone *zone)
{
	if (MM_CHECK >= 2)
		verify(zone); // what is broken only here, the engine broke
	lock_release(&zone->lock);
}

// Sets the number of free frames, and by it whether the caches may keep frames that are freed.
static void zone_count(struct zone *zone, size_t free)
{
	__atomic_store_n(&zone->free, free, __ATOMIC_RELAXED);
	if (zone != page_state.cached)
		return;
	uint64_t bytes = zone_is_low(zone) ? 0 : page_state.window_bytes;
	if (page_state.window.bytes != bytes)
		__atomic_store_n(&page_state.window.bytes, bytes, __ATOMIC_RELAXED);
}

// The zone's lock is held. FRAME_NONE when no such block is left, or only from the reserve and flags do not allow that.
static uint32_t zone_take(struct zone *zone, unsigned order, unsigned flags)
{
	size_t size = (size_t)1 << order, kept = flags & PAGE_ATOMIC ? 0 : zone->reserve;
	if (zone->free < size + kept)
		return FRAME_NONE;
	uint32_t frame = page_state.engine->take(zone, order);
	if (frame == FRAME_NONE)
		return FRAME_NONE;
	zone_count(zone, zone->free - size);
	mark_used(page_at(frame), order);
	for (uint32_t i = 1; i < size; i++)
		use_set(page_at(frame + i), PAGE_USED_TAIL);
	return frame;
}

void zone_free(pa_t block, unsigned order)
{
	uint32_t frame = frame_of(record_of(block));
	struct zone *zone = zone_of(frame);
	zone_enter(zone);
	page_state.engine->give(zone, frame, order);
	zone_count(zone, zone->free + ((size_t)1 << order));
	zone_leave(zone);
}

// ---- caches

// Puts the pages of a block that the engine gave into the cache, the lowest on top.
static void push_block(struct cache *cache, uint32_t frame, unsigned order)
{
	pa_t first = frame_address(frame);
	for (uint32_t i = 1u << order; i-- > 0;) {
		use_set(page_at(frame + i), PAGE_CACHED);
		cache_push(cache, PA(first.raw + i * PAGE_BYTES));
	}
}

// The largest order of at most `pages` pages.
static unsigned order_within(size_t pages)
{
	unsigned order = 0;
	while (order < PAGE_MAX_ORDER && (size_t)2 << order <= pages)
		order++;
	return order;
}

static void refill(struct cache *cache)
{
	struct zone *zone = page_state.cached;
	zone_enter(zone);
	size_t spare = zone_is_low(zone) ? 0 : zone->free - zone->reserve, taken = 0;
	size_t wanted = spare < CACHE_BATCH ? spare : CACHE_BATCH;
	while (taken < wanted) {
		unsigned order = order_within(wanted - taken);
		uint32_t frame = page_state.engine->take_any(zone, &order);
		push_block(cache, frame, order);
		taken += (size_t)1 << order;
	}
	zone_count(zone, zone->free - taken);
	zone_leave(zone);
}

pa_t cache_refill(void)
{
	pa_t page = PA_NONE;
	struct pin pin = port_pin();
	struct cache *cache = &page_state.caches[pin.cpu];
	while (pa_is_none(page) && !cache_is_empty(cache))
		page = cache_pop(cache);
	if (pa_is_none(page)) {
		refill(cache);
		while (pa_is_none(page) && !cache_is_empty(cache))
			page = cache_pop(cache);
	}
	port_unpin(pin);
	if (!pa_is_none(page))
		mark_used(record_of(page), 0);
	return page;
}

// Gives what a slot held to the engine; the number of pages, which the caller adds to the zone's.
static size_t give_slot(struct zone *zone, pa_t page)
{
	if (pa_is_none(page))
		return 0;
	page_state.engine->give(zone, frame_of(record_of(page)), 0);
	return 1;
}

void cache_flush_push(struct cache *cache, pa_t page, uintptr_t cpu, uintptr_t saved)
{
	struct zone *zone = page_state.cached;
	size_t given = 0;
	zone_enter(zone);
	for (unsigned n = 0; n < CACHE_BATCH; n++)
		given += give_slot(zone, cache_pop(cache));
	zone_count(zone, zone->free + given);
	zone_leave(zone);
	cache_push(cache, page);
	port_unpin((struct pin){ cpu, saved });
}

// Empties the caches of all CPUs, from any CPU. The cached zone's lock is held.
static void drain(void)
{
	struct zone *zone = page_state.cached;
	size_t given = 0;
	for (unsigned cpu = 0; cpu < page_state.cpus; cpu++) {
		uint64_t *slots = page_state.caches[cpu].slot;
		for (unsigned i = 0; i < CACHE_SLOTS; i++)
			if (__atomic_load_n(&slots[i], __ATOMIC_RELAXED) != 0)
				given += give_slot(zone, slot_take(&slots[i]));
	}
	zone_count(zone, zone->free + given);
}

void page_drain(void)
{
	if (!page_state.cached)
		return;
	zone_enter(page_state.cached);
	drain();
	zone_leave(page_state.cached);
}

// ---- the way to a refusal

// Writes down first which zones may be asked, then asks them in turn.
static uint32_t take_from_zones(unsigned order, unsigned flags, bool enter)
{
	struct zone *may[PAGE_ZONES];
	unsigned count = 0;
	for (unsigned i = PAGE_ZONES; i-- > 0;)
		if (page_state.zones[i].total > 0 && (i == 0 || !(flags & PAGE_DMA)))
			may[count++] = &page_state.zones[i];
	for (unsigned i = 0; i < count; i++) {
		if (enter)
			zone_enter(may[i]);
		uint32_t frame = zone_take(may[i], order, flags);
		if (enter)
			zone_leave(may[i]);
		if (frame != FRAME_NONE)
			return frame;
	}
	return FRAME_NONE;
}

// Before memory is refused: every free page goes back to the engines and may coalesce; nothing moves while we look.
static uint32_t take_last_resort(unsigned order, unsigned flags)
{
	zone_enter(&page_state.zones[0]);
	zone_enter(&page_state.zones[1]);
	drain();
	uint32_t frame = take_from_zones(order, flags, false);
	zone_leave(&page_state.zones[1]);
	zone_leave(&page_state.zones[0]);
	return frame;
}

pa_t zone_alloc(unsigned order, unsigned flags)
{
	uint32_t frame = take_from_zones(order, flags, true);
	if (frame == FRAME_NONE)
		frame = take_last_resort(order, flags);
	return frame == FRAME_NONE ? PA_NONE : frame_address(frame);
}
