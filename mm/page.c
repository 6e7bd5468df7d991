// page.c: the entry to physical pages: flags, reference counts, per-CPU caches of single pages, and mistakes of callers.
//
//     page_alloc(0, ..)                                                  page_alloc(order > 0), PAGE_DMA
//          |                                                                        |
//     [ CPU 0's cache ][ CPU 1's cache ] ...   slots, no lock                       |
//          |  refill and flush by half a cache, under the zone's lock               |
//     [ zone DMA: engine ][ zone normal: engine ] <---------------------------------'
//
// A cache is an array of slots and a top that only its CPU uses, pinned. The owner takes a page by exchanging the slot with 0
// and puts one by storing it. A CPU that finds the zones empty empties other CPUs' slots, by the same exchange, so
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
//   P4  an allocated block's count of extra references has not run below zero
//   P5  a cache's slots hold pages of the cached zone marked PAGE_CACHED, each page once, and only below `top`
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
	enum page_use use = use_of(record_of(PA(round_down(page.raw, PAGE_BYTES))));
	if (!is_aligned(page.raw, PAGE_BYTES))
		port_panic(rules->misaligned, (uintptr_t)page.raw);
	if (use == PAGE_UNMANAGED)
		port_panic(rules->foreign, (uintptr_t)page.raw);
	if (use == PAGE_USED_TAIL)
		port_panic(rules->tail, (uintptr_t)page.raw);
	port_panic(rules->free, (uintptr_t)page.raw);
}

#define RULES(function)                                                      \
	{                                                                    \
		function ": the address is not that of a page: misaligned",  \
		function ": a foreign page: page_init did not take it over", \
		function ": inside a block, not its first page",             \
		function ": the page is free already",                       \
	}
static const struct rules FREE = RULES("page_free"), SHARE = RULES("page_share"), ORDER = RULES("page_order");

__attribute__((noinline)) struct page *record_elsewhere(pa_t page)
{
	static struct page none = { .use = PAGE_UNMANAGED };
	for (const struct span *span = page_state.spans; span < page_state.spans + page_state.span_count; span++)
		if (page.raw - span->start < span->bytes)
			return record_in(span->records, page.raw - span->start);
	return &none;
}

// The record of an allocated block's first page; panics for any other address.
static struct page *block_of(pa_t page, const struct rules *rules)
{
	if (!is_aligned(page.raw, PAGE_BYTES) || use_of(record_of(page)) != PAGE_USED)
		misuse(rules, page);
	return record_of(page);
}

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

static struct zone *zone_of(uint32_t frame)
{
	return &page_state.zones[zone_has(&page_state.zones[1], frame)];
}

static bool is_low(const struct zone *zone) // the caches take no page of it
{
	return zone->free < zone->reserve;
}

// Sets the number of free frames, and by it whether the caches may keep frames that are freed.
static void zone_count(struct zone *zone, size_t free)
{
	__atomic_store_n(&zone->free, free, __ATOMIC_RELAXED);
	if (zone != page_state.cached)
		return;
	uint64_t bytes = is_low(zone) ? 0 : page_state.window_bytes;
	if (page_state.window.bytes != bytes)
		__atomic_store_n(&page_state.window.bytes, bytes, __ATOMIC_RELAXED);
}

// One reference, no owner, no tag.
static inline void mark_used(struct page *page, unsigned order)
{
	page->owner = 0;
	page->extra = 0;
	*(volatile uint32_t *)&page->state = PAGE_USED | order << 8;
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

// The zone's lock is held.
static void zone_give(struct zone *zone, uint32_t frame, unsigned order)
{
	page_state.engine->give(zone, frame, order);
	zone_count(zone, zone->free + ((size_t)1 << order));
}

// ---- per-CPU caches; the caller is pinned to the cache's CPU, unless it says otherwise

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

static void cache_refill(struct cache *cache)
{
	struct zone *zone = page_state.cached;
	uint32_t frame;
	zone_enter(zone);
	for (unsigned n = 0; n < CACHE_BATCH && (frame = zone_take(zone, 0, 0)) != FRAME_NONE; n++) {
		use_set(page_at(frame), PAGE_CACHED);
		cache_push(cache, frame_address(frame));
	}
	zone_leave(zone);
}

static void give_cached(pa_t page)
{
	if (!pa_is_none(page))
		zone_give(page_state.cached, frame_of(record_of(page)), 0);
}

// Makes room in a full cache first.
static __attribute__((noinline)) void cache_flush_push(struct cache *cache, pa_t page)
{
	zone_enter(page_state.cached);
	for (unsigned n = 0; n < CACHE_BATCH; n++)
		give_cached(cache_pop(cache));
	zone_leave(page_state.cached);
	cache_push(cache, page);
}

// Puts a page that is marked PAGE_CACHED into this CPU's cache.
static inline void cache_put(pa_t page)
{
	struct pin pin = port_pin();
	struct cache *cache = &page_state.caches[pin.cpu];
	if (__builtin_expect(cache_is_full(cache), 0))
		cache_flush_push(cache, page);
	else
		cache_push(cache, page);
	port_unpin(pin);
}

// Empties the caches of all CPUs, from any CPU. The cached zone's lock is held.
static void drain(void)
{
	for (unsigned cpu = 0; cpu < page_state.cpus; cpu++) {
		uint64_t *slots = page_state.caches[cpu].slot;
		for (unsigned i = 0; i < CACHE_SLOTS; i++)
			if (__atomic_load_n(&slots[i], __ATOMIC_RELAXED) != 0)
				give_cached(slot_take(&slots[i]));
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

static __attribute__((noinline)) pa_t fill_block(pa_t block, unsigned order)
{
	fill(pa_pointer(block), PAGE_BYTES << order, 0);
	return block;
}

static void look_at_poison(pa_t block, unsigned order)
{
	const uint64_t *word = pa_pointer(block);
	for (size_t i = 0; i < (PAGE_BYTES << order) / sizeof *word; i++)
		if (word[i] != POISON)
			port_panic("page_alloc: a free page was written to", (uintptr_t)&word[i]);
}

// The block is the caller's now.
static inline pa_t hand_out(pa_t block, unsigned order, unsigned flags)
{
	if (MM_CHECK >= 1)
		look_at_poison(block, order);
	return flags & PAGE_ZERO ? fill_block(block, order) : block;
}

// A page from this CPU's cache after filling it up; PA_NONE when the zone has none to spare.
static pa_t take_refilled(void)
{
	pa_t page = PA_NONE;
	struct pin pin = port_pin();
	struct cache *cache = &page_state.caches[pin.cpu];
	while (pa_is_none(page) && !cache_is_empty(cache))
		page = cache_pop(cache);
	if (pa_is_none(page)) {
		cache_refill(cache);
		while (pa_is_none(page) && !cache_is_empty(cache))
			page = cache_pop(cache);
	}
	port_unpin(pin);
	if (!pa_is_none(page))
		mark_used(record_of(page), 0);
	return page;
}

static __attribute__((noinline)) pa_t alloc_slowly(unsigned order, unsigned flags)
{
	if (order > PAGE_MAX_ORDER || !page_state.engine)
		return PA_NONE;
	pa_t block = order > 0 || flags & PAGE_DMA ? PA_NONE : take_refilled();
	if (pa_is_none(block)) {
		uint32_t frame = take_from_zones(order, flags, true);
		if (frame == FRAME_NONE)
			frame = take_last_resort(order, flags);
		if (frame == FRAME_NONE)
			return PA_NONE;
		block = frame_address(frame);
	}
	return hand_out(block, order, flags);
}

pa_t page_alloc(unsigned order, unsigned flags)
{
	if (order > 0 || flags & PAGE_DMA)
		return alloc_slowly(order, flags);
	pa_t page = PA_NONE;
	struct pin pin = port_pin();
	struct cache *cache = &page_state.caches[pin.cpu];
	if (!cache_is_empty(cache))
		page = cache_pop(cache);
	port_unpin(pin);
	if (pa_is_none(page))
		return alloc_slowly(0, flags);
	mark_used(record_of(page), 0);
	return hand_out(page, 0, flags);
}

// ---- references

// The last reference to the block is gone, and its state, which was `old`, says PAGE_CACHED now.
static __attribute__((noinline)) void give_back(pa_t block, uint32_t old)
{
	struct page *page = record_of(block), was = { .state = old };
	uint32_t frame = frame_of(page);
	struct zone *zone = zone_of(frame);
	if (was.use != PAGE_USED) { // another CPU freed it between our look and our exchange
		page->state = old;
		misuse(&FREE, block);
	}
	if (MM_CHECK >= 1)
		poison(frame, 1u << was.order);
	if (was.order == 0 && zone == page_state.cached && !is_low(zone)) {
		cache_put(block);
		return;
	}
	zone_enter(zone);
	zone_give(zone, frame, was.order);
	zone_leave(zone);
}

// The exchange finds out when somebody else frees the block at this moment, too.
static inline uint32_t state_take(struct page *page)
{
	return __atomic_exchange_n(&page->state, PAGE_CACHED, __ATOMIC_ACQ_REL);
}

static __attribute__((noinline)) void free_slowly(pa_t block)
{
	struct page *page = block_of(block, &FREE);
	if (__atomic_load_n(&page->extra, __ATOMIC_RELAXED) > 0 && __atomic_fetch_sub(&page->extra, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	page->extra = 0; // nobody else has the block: they let go before us, or between our two looks
	give_back(block, state_take(page));
}

void page_free(pa_t block)
{
	uint64_t offset = block.raw - page_state.window.start;
	if (offset >= page_state.window.bytes || !is_aligned(block.raw, PAGE_BYTES)) {
		free_slowly(block);
		return;
	}
	struct page *page = record_in(page_state.window.records, offset);
	if (__atomic_load_n(&page->extra, __ATOMIC_RELAXED) > 0) { // shared, or not used at all
		free_slowly(block);
		return;
	}
	uint32_t old = state_take(page);
	if (old << 16 != PAGE_USED << 16) { // of order 0, that is
		give_back(block, old);
		return;
	}
	if (MM_CHECK >= 1)
		poison(frame_of(page), 1);
	cache_put(block);
}

void page_share(pa_t block)
{
	struct page *page = block_of(block, &SHARE);
	if (__atomic_fetch_add(&page->extra, 1, __ATOMIC_RELAXED) >= EXTRA_MAX)
		port_panic("page_share: too many references", (uintptr_t)block.raw);
}

unsigned page_refs(pa_t block)
{
	if (!is_aligned(block.raw, PAGE_BYTES) || use_of(record_of(block)) != PAGE_USED)
		return 0;
	return __atomic_load_n(&record_of(block)->extra, __ATOMIC_ACQUIRE) + 1;
}

unsigned page_order(pa_t block)
{
	return block_of(block, &ORDER)->order;
}

bool page_is_allocated(pa_t page)
{
	enum page_use use = use_of(record_of(PA(round_down(page.raw, PAGE_BYTES))));
	return use == PAGE_USED || use == PAGE_USED_TAIL;
}

struct page *page_of(pa_t page)
{
	struct page *record = record_of(PA(round_down(page.raw, PAGE_BYTES)));
	return use_of(record) == PAGE_UNMANAGED ? NULL : record;
}
