// page.c: the entry to physical pages: flags, reference counts, per-CPU caches of single pages, and what a caller may not do.
//
//     page_alloc(0, ..)                                                  page_alloc(order > 0), PAGE_DMA
//          |                                                                        |
//     [ CPU 0's cache ][ CPU 1's cache ] ...   slots, no lock                       |
//          |  refill and flush by half a cache, under the zone's lock               |
//     [ zone DMA: engine ][ zone normal: engine ] <---------------------------------'
//
// A cache is an array of slots and a count that only its CPU uses, pinned. The owner takes a frame by exchanging the slot with
// FRAME_NONE and puts one by storing it. A CPU that finds the zones empty empties other CPUs' slots, by the same exchange, so
// memory is refused only when there is none: caches are filled and flushed under the zone's lock, and whoever is about to refuse
// holds the locks while it collects, so no free page is on its way from one place to another then.
//
// Only frames of one zone, the normal one unless it is empty, go through the caches: DMA memory does not leak into them. While
// that zone is below its reserve, freed frames bypass the caches, so that the reserve fills up first.
//
// Lock order: the zones' locks in the order of page_state.zones. Nothing else is locked inside.
//
// Invariants (stated here for page_check.c, which checks them)
//   P1  a record's use is one of enum page_use
//   P2  a zone's `free` is the number of its frames that are marked free
//   P3  an allocated block lies in one zone, is aligned to its size, its first frame is PAGE_USED with an order and all others PAGE_USED_TAIL
//   P4  an allocated block has at least one reference
//   P5  a cache's slots hold frames of the cached zone marked PAGE_CACHED, each frame once, and only below `count`
//   P6  every frame marked PAGE_CACHED is in a slot
//   P7  a zone's `total` is the number of its frames that are not PAGE_UNMANAGED
//   P8  spans rise in addresses and frames, overlap nowhere, and each frame agrees with its page modulo 2^PAGE_MAX_ORDER
//
// Cost: page_alloc(0, 0) and page_free take no lock and touch no line of another CPU, but for one call in CACHE_BATCH; 12 bytes a
// page for the record.
// Weakness: a CPU's cache keeps up to CACHE_SLOTS pages from forming larger blocks until somebody drains it.
// Sources: J. Bonwick, J. Adams, "Magazines and Vmem", USENIX 2001, for the caches; Linux (mm/page_alloc.c) for zones and reserves.
#include "page_engine.h"

struct page_state page_state;

// ---- misuse: which rule a bad address breaks

struct rules {
	const char *misaligned, *foreign, *tail, *free;
};

static _Noreturn __attribute__((cold, noinline)) void misuse(const struct rules *rules, pa_t page)
{
	uint32_t frame = frame_of(page);
	enum page_use use = frame == FRAME_NONE ? PAGE_UNMANAGED : use_of(page_at(frame));
	if (!is_aligned(page.raw, PAGE_BYTES))
		port_panic(rules->misaligned, (uintptr_t)page.raw);
	if (use == PAGE_UNMANAGED)
		port_panic(rules->foreign, (uintptr_t)page.raw);
	if (use == PAGE_USED_TAIL)
		port_panic(rules->tail, (uintptr_t)page.raw);
	port_panic(rules->free, (uintptr_t)page.raw);
}

#define RULES(function)                                                      \
	&(const struct rules){                                               \
		function ": the address is not that of a page: misaligned",  \
		function ": a foreign page: page_init did not take it over", \
		function ": inside a block, not its first page",             \
		function ": the page is free already",                       \
	}

// The frame of an allocated block's first page; panics for any other address.
static inline uint32_t block_of(pa_t page, const struct rules *rules)
{
	uint32_t frame = frame_of(page);
	if (frame == FRAME_NONE || (page.raw & (PAGE_BYTES - 1)) || use_of(page_at(frame)) != PAGE_USED)
		misuse(rules, page);
	return frame;
}

// ---- zones

static void verify(const struct zone *zone)
{
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

static struct zone *zone_of(uint32_t frame)
{
	return &page_state.zones[zone_has(&page_state.zones[1], frame)];
}

// Sets the number of free frames, and by it whether the caches may keep frames that are freed.
static void zone_count(struct zone *zone, size_t free)
{
	__atomic_store_n(&zone->free, free, __ATOMIC_RELAXED);
	if (zone == page_state.cached)
		__atomic_store_n(&page_state.cache_from, free < zone->reserve ? FRAME_NONE : zone->first, __ATOMIC_RELAXED);
}

static inline void mark_used(uint32_t frame, unsigned order)
{
	struct page *page = page_at(frame);
	page->owner = 0;
	page->refs = 1;
	page->order = (uint8_t)order;
	page->tag = 0;
	use_set(page, PAGE_USED);
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
	mark_used(frame, order);
	for (uint32_t i = 1; i < size; i++)
		use_set(page_at(frame + i), PAGE_USED_TAIL);
	return frame;
}

// The zone's lock is held.
static void zone_give(struct zone *zone, uint32_t frame, unsigned order)
{
	page_state.engine->give(zone, frame, order);
	zone_count(zone, zone->free + ((size_t)1 << order));
}

// ---- per-CPU caches; the caller is pinned to the cache's CPU, unless it says otherwise

static inline uint32_t slot_take(uint32_t *slot)
{
	return __atomic_exchange_n(slot, FRAME_NONE, __ATOMIC_ACQUIRE);
}

static inline uint32_t cache_take(struct cache *cache)
{
	while (cache->count > 0) {
		uint32_t frame = slot_take(&cache->slot[--cache->count]);
		if (frame != FRAME_NONE) // else another CPU was in need
			return frame;
	}
	return FRAME_NONE;
}

static inline void cache_put(struct cache *cache, uint32_t frame)
{
	use_set(page_at(frame), PAGE_CACHED);
	__atomic_store_n(&cache->slot[cache->count++], frame, __ATOMIC_RELEASE);
}

static void cache_refill(struct cache *cache)
{
	struct zone *zone = page_state.cached;
	uint32_t frame;
	zone_enter(zone);
	while (cache->count < CACHE_BATCH && (frame = zone_take(zone, 0, 0)) != FRAME_NONE)
		cache_put(cache, frame);
	zone_leave(zone);
}

static __attribute__((noinline)) void cache_flush(struct cache *cache)
{
	struct zone *zone = page_state.cached;
	zone_enter(zone);
	for (unsigned n = 0; n < CACHE_BATCH; n++) {
		uint32_t frame = slot_take(&cache->slot[--cache->count]);
		if (frame != FRAME_NONE)
			zone_give(zone, frame, 0);
	}
	zone_leave(zone);
}

// Empties the caches of all CPUs, from any CPU. The cached zone's lock is held.
static void drain(void)
{
	for (unsigned cpu = 0; cpu < page_state.cpus; cpu++) {
		uint32_t *slots = page_state.caches[cpu].slot;
		for (unsigned i = 0; i < CACHE_SLOTS; i++) {
			uint32_t frame = __atomic_load_n(&slots[i], __ATOMIC_RELAXED);
			if (frame != FRAME_NONE && (frame = slot_take(&slots[i])) != FRAME_NONE)
				zone_give(page_state.cached, frame, 0);
		}
	}
}

void page_drain(void)
{
	if (!page_state.cached)
		return;
	zone_enter(page_state.cached);
	drain();
	zone_leave(page_state.cached);
}

// ---- allocation

// Normal memory first, so that DMA memory lasts for those who need it.
static uint32_t take_from_zones(unsigned order, unsigned flags, bool enter)
{
	uint32_t frame = FRAME_NONE;
	for (unsigned i = flags & PAGE_DMA ? 1 : PAGE_ZONES; i-- > 0 && frame == FRAME_NONE;) {
		struct zone *zone = &page_state.zones[i];
		if (zone->total == 0)
			continue;
		if (enter)
			zone_enter(zone);
		frame = zone_take(zone, order, flags);
		if (enter)
			zone_leave(zone);
	}
	return frame;
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

static __attribute__((noinline)) uint32_t take_slowly(unsigned order, unsigned flags)
{
	uint32_t frame = FRAME_NONE;
	if (order > PAGE_MAX_ORDER || !page_state.engine)
		return FRAME_NONE;
	if (order == 0 && !(flags & PAGE_DMA)) {
		struct pin pin = port_pin();
		struct cache *cache = &page_state.caches[pin.cpu];
		cache_refill(cache);
		frame = cache_take(cache);
		port_unpin(pin);
		if (frame != FRAME_NONE)
			mark_used(frame, 0);
	}
	if (frame == FRAME_NONE)
		frame = take_from_zones(order, flags, true);
	return frame == FRAME_NONE ? take_last_resort(order, flags) : frame;
}

static __attribute__((noinline)) void zero(pa_t page, unsigned order)
{
	fill(pa_pointer(page), PAGE_BYTES << order, 0);
}

static void look_at_poison(pa_t page, unsigned order)
{
	const uint64_t *word = pa_pointer(page);
	for (size_t i = 0; i < (PAGE_BYTES << order) / sizeof *word; i++)
		if (word[i] != POISON)
			port_panic("page_alloc: a free page was written to", (uintptr_t)&word[i]);
}

pa_t page_alloc(unsigned order, unsigned flags)
{
	uint32_t frame = FRAME_NONE;
	if (order == 0 && !(flags & PAGE_DMA)) {
		struct pin pin = port_pin();
		frame = cache_take(&page_state.caches[pin.cpu]);
		port_unpin(pin);
	}
	if (frame != FRAME_NONE)
		mark_used(frame, 0);
	else if ((frame = take_slowly(order, flags)) == FRAME_NONE)
		return PA_NONE;
	pa_t page = frame_address(frame);
	if (MM_CHECK >= 1)
		look_at_poison(page, order);
	if (flags & PAGE_ZERO)
		zero(page, order);
	return page;
}

// ---- references

static __attribute__((noinline)) void give_slowly(uint32_t frame)
{
	struct zone *zone = zone_of(frame);
	zone_enter(zone);
	zone_give(zone, frame, page_at(frame)->order);
	zone_leave(zone);
}

void page_free(pa_t block)
{
	uint32_t frame = block_of(block, RULES("page_free"));
	struct page *page = page_at(frame);
	uint32_t refs = __atomic_fetch_sub(&page->refs, 1, __ATOMIC_ACQ_REL);
	if (refs != 1) {
		if (refs == 0) // another CPU frees it at this moment
			misuse(RULES("page_free"), block);
		return;
	}
	if (MM_CHECK >= 1)
		poison(frame, 1u << page->order);
	if (page->order > 0 || frame < __atomic_load_n(&page_state.cache_from, __ATOMIC_RELAXED)) {
		give_slowly(frame);
		return;
	}
	struct pin pin = port_pin();
	struct cache *cache = &page_state.caches[pin.cpu];
	if (cache->count == CACHE_SLOTS)
		cache_flush(cache);
	cache_put(cache, frame);
	port_unpin(pin);
}

void page_share(pa_t block)
{
	struct page *page = page_at(block_of(block, RULES("page_share")));
	if (__atomic_fetch_add(&page->refs, 1, __ATOMIC_RELAXED) == 0)
		misuse(RULES("page_share"), block);
}

unsigned page_refs(pa_t block)
{
	struct page *page = is_aligned(block.raw, PAGE_BYTES) ? page_of(block) : NULL;
	return page && use_of(page) == PAGE_USED ? __atomic_load_n(&page->refs, __ATOMIC_ACQUIRE) : 0;
}

unsigned page_order(pa_t block)
{
	return page_at(block_of(block, RULES("page_order")))->order;
}

bool page_is_allocated(pa_t page)
{
	const struct page *record = page_of(page);
	return record && (use_of(record) == PAGE_USED || use_of(record) == PAGE_USED_TAIL);
}

struct page *page_of(pa_t page)
{
	uint32_t frame = frame_of(page);
	return frame == FRAME_NONE || use_of(page_at(frame)) == PAGE_UNMANAGED ? NULL : page_at(frame);
}
