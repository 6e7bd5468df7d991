// page.c: another right solution: references by comparing and exchanging, clearing from the end, misuse by what the record says.
#include "page_zone.h"

struct page_state page_state;

// ---- misuse: which rule a bad address breaks

struct rules {
	const char *misaligned, *foreign, *tail, *free;
};

// Looks up which rule it was by a table of what the record says.
static _Noreturn __attribute__((cold, noinline)) void misuse(const struct rules *rules, pa_t page)
{
	const char *rule = rules->free;
	switch (use_of(record_of(PA(page.raw - page.raw % PAGE_BYTES)))) {
	case PAGE_UNMANAGED:
		rule = rules->foreign;
		break;
	case PAGE_USED_TAIL:
		rule = rules->tail;
		break;
	default:
		break;
	}
	port_panic(page.raw % PAGE_BYTES ? rules->misaligned : rule, (uintptr_t)page.raw);
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

static struct page *block_of(pa_t page, const struct rules *rules)
{
	if (page.raw % PAGE_BYTES != 0)
		misuse(rules, page);
	struct page *record = record_of(page);
	if (use_of(record) == PAGE_USED)
		return record;
	misuse(rules, page);
}

// ---- allocation

// Clears page by page, from the last one down.
static __attribute__((noinline)) pa_t fill_block(pa_t block, unsigned order)
{
	for (uint64_t pages = (uint64_t)1 << order; pages-- > 0;) {
		uint64_t *word = pa_pointer(PA(block.raw + pages * PAGE_BYTES)), *end = word + PAGE_BYTES / sizeof *word;
		while (end > word)
			*--end = 0;
	}
	return block;
}

// Collects what differs, and looks for the place only when something does.
static void look_at_poison(pa_t block, unsigned order)
{
	const uint64_t *word = pa_pointer(block);
	size_t count = (PAGE_BYTES << order) / sizeof *word;
	uint64_t odd = 0;
	for (size_t i = 0; i < count; i++)
		odd |= word[i] ^ POISON;
	for (size_t i = 0; odd && i < count; i++)
		if (word[i] != POISON)
			port_panic("page_alloc: a free page was written to", (uintptr_t)&word[i]);
}

// The block is the caller's now.
static inline pa_t hand_out(pa_t block, unsigned order, unsigned flags)
{
	port_shadow_pages(pa_pointer(block), PAGE_BYTES << order, true);
	if (MM_CHECK >= 1)
		look_at_poison(block, order);
	return flags & PAGE_ZERO ? fill_block(block, order) : block;
}

static __attribute__((noinline)) pa_t alloc_slowly(unsigned order, unsigned flags)
{
	if (order > PAGE_MAX_ORDER || !page_state.engine)
		return PA_NONE;
	pa_t block = order > 0 || flags & PAGE_DMA ? PA_NONE : cache_refill();
	if (pa_is_none(block))
		block = zone_alloc(order, flags);
	return pa_is_none(block) ? PA_NONE : hand_out(block, order, flags);
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

// Puts a page that is marked PAGE_CACHED into this CPU's cache.
static inline void cache_put(pa_t page)
{
	struct pin pin = port_pin();
	struct cache *cache = &page_state.caches[pin.cpu];
	if (__builtin_expect(cache_is_full(cache), 0)) {
		cache_flush_push(cache, page, pin.cpu, pin.saved);
		return;
	}
	cache_push(cache, page);
	port_unpin(pin);
}

// The last reference to the block is gone, and its state, which was `old`, says PAGE_CACHED now.
static __attribute__((noinline)) void give_back(pa_t block, uint32_t old)
{
	struct page *page = record_of(block), was = { .state = old };
	if (was.use != PAGE_USED) { // it was free already, or another CPU was faster
		page->state = old;
		misuse(&FREE, block);
	}
	port_shadow_pages(pa_pointer(block), PAGE_BYTES << was.order, false);
	if (MM_CHECK >= 1)
		poison(frame_of(page), 1u << was.order);
	struct zone *zone = zone_of(frame_of(page));
	if (was.order == 0 && zone == page_state.cached && !zone_is_low(zone))
		cache_put(block);
	else
		zone_free(block, was.order);
}

// The exchange finds out when somebody else frees the block at this moment, too.
static inline uint32_t state_take(struct page *page)
{
	return __atomic_exchange_n(&page->state, PAGE_CACHED, __ATOMIC_ACQ_REL);
}

// Drops one of several references by comparing and exchanging; false when the caller's is the only one.
static inline bool drop_extra(struct page *page)
{
	__typeof__(page->extra) seen = __atomic_load_n(&page->extra, __ATOMIC_ACQUIRE);
	while (seen > 0)
		if (__atomic_compare_exchange_n(&page->extra, &seen, seen - 1, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
			return true;
	return false;
}

static inline bool is_single(uint32_t state) // a used block of order 0
{
	return state << 16 == PAGE_USED << 16;
}

// Drops one reference; when it was the last, takes the record's state and gives the block back.
static __attribute__((noinline)) void free_slowly(pa_t block)
{
	struct page *page = block_of(block, &FREE);
	if (drop_extra(page))
		return;
	page->extra = 0;
	give_back(block, state_take(page));
}

void page_free(pa_t block)
{
	uint64_t offset = block.raw - page_state.window.start;
	if (!in_window(offset) || !is_aligned(block.raw, PAGE_BYTES)) {
		free_slowly(block);
		return;
	}
	struct page *page = record_in(page_state.window.records, offset);
	if (__atomic_load_n(&page->extra, __ATOMIC_ACQUIRE) > 0) { // shared, or not used at all
		if (!is_single(__atomic_load_n(&page->state, __ATOMIC_RELAXED))) {
			free_slowly(block);
			return;
		}
		if (drop_extra(page))
			return;
		page->extra = 0;
	}
	uint32_t old = state_take(page);
	if (!is_single(old)) {
		give_back(block, old);
		return;
	}
	port_shadow_pages(pa_pointer(block), PAGE_BYTES, false);
	if (MM_CHECK >= 1)
		poison(frame_of(page), 1);
	cache_put(block);
}

// Counts up by comparing and exchanging, so that the count never passes the limit, not even for a moment.
void page_share(pa_t block)
{
	struct page *page = block_of(block, &SHARE);
	__typeof__(page->extra) seen = __atomic_load_n(&page->extra, __ATOMIC_RELAXED);
	do {
		if (seen >= EXTRA_MAX)
			port_panic("page_share: too many references", (uintptr_t)block.raw);
	} while (!__atomic_compare_exchange_n(&page->extra, &seen, seen + 1, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
}

// See page.h.
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
