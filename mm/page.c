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
//   P3  an allocated block lies in one zone, is aligned to its size, and its frames are PAGE_USED, with an order, and PAGE_USED_TAIL
//   P4  an allocated block's count of extra references has not run below zero
//   P5  a cache's slots hold pages of the cached zone marked PAGE_CACHED, each page once, and only below `top`
//   P6  every frame marked PAGE_CACHED is in a slot
//   P7  a zone's `total` is the number of its frames that are not PAGE_UNMANAGED
//   P8  spans rise in addresses and frames, overlap nowhere, and each frame agrees with its page modulo 2^PAGE_MAX_ORDER
//
// Cost: page_alloc(0, 0) and page_free take no lock and touch no line of another CPU, but for one call in CACHE_BATCH; 13 bytes a
// page for the record.
// Weakness: a CPU's cache keeps up to CACHE_SLOTS pages from forming larger blocks until somebody drains it.
// Sources: J. Bonwick, J. Adams, "Magazines and Vmem", USENIX 2001, for the caches; Linux (mm/page_alloc.c) for zones and reserves.
#include "page_zone.h"

struct page_state page_state;

// ---- misuse: which rule a bad address breaks

struct rules {
	const char *misaligned, *foreign, *tail, *free;
};

// Lab 2.6: panics with the rule that the address breaks: the first of misaligned, foreign, tail, free that is true of it.
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

// Lab 2.6: the record of an allocated block's first page; any other address is misuse.
static struct page *block_of(pa_t page, const struct rules *rules)
{
	struct page *record = is_aligned(page.raw, PAGE_BYTES) ? record_of(page) : NULL;
	if (!record || use_of(record) != PAGE_USED)
		misuse(rules, page);
	return record;
}

// ---- allocation

// Lab 2.5: clears the block and answers it.
static __attribute__((noinline)) pa_t fill_block(pa_t block, unsigned order)
{
	fill(pa_pointer(block), PAGE_BYTES << order, 0);
	return block;
}

// Lab 2.5: panics when a word of the block is not what poison() wrote: somebody has used the block after it was freed.
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

// The same for a page from a cache, when there is more to do than to mark it.
static __attribute__((noinline)) pa_t hand_out_slowly(pa_t page, unsigned flags)
{
	mark_used(record_of(page), 0);
	return hand_out(page, 0, flags);
}

PORT_FRAMELESS pa_t page_alloc(unsigned order, unsigned flags)
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
	uint64_t offset = page.raw - page_state.window.start;
	if (MM_CHECK >= 1 || PORT_REDZONE > 0 || !in_window(offset) || flags & PAGE_ZERO)
		return hand_out_slowly(page, flags);
	mark_used(record_in(page_state.window.records, offset), 0);
	return page;
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
	if (was.order == 0 && zone_of(frame_of(page)) == page_state.cached && !zone_is_low(page_state.cached))
		cache_put(block);
	else
		zone_free(block, was.order);
}

// The exchange finds out when somebody else frees the block at this moment, too.
static inline uint32_t state_take(struct page *page)
{
	return __atomic_exchange_n(&page->state, PAGE_CACHED, __ATOMIC_ACQ_REL);
}

// Lab 2.7: drops one of several references; false when there is only the caller's left: the others let go before, or between our two
// looks.
static inline bool drop_extra(struct page *page)
{
	return __atomic_load_n(&page->extra, __ATOMIC_ACQUIRE) > 0 && __atomic_fetch_sub(&page->extra, 1, __ATOMIC_ACQ_REL) > 0;
}

static inline bool is_single(uint32_t state) // a used block of order 0
{
	return state << 16 == PAGE_USED << 16;
}

// Lab 2.7: drops one reference; when it was the last, takes the record's state and gives the block back.
static __attribute__((noinline)) void free_slowly(pa_t block)
{
	struct page *page = block_of(block, &FREE);
	if (drop_extra(page))
		return;
	page->extra = 0;
	give_back(block, state_take(page));
}

PORT_FRAMELESS void page_free(pa_t block)
{
	uint64_t offset = block.raw - page_state.window.start;
	if (!in_window(offset) || !is_aligned(block.raw, PAGE_BYTES)) {
		free_slowly(block);
		return;
	}
	struct page *page = record_in(page_state.window.records, offset);
	if (__atomic_load_n(&page->extra, __ATOMIC_ACQUIRE) > 0) { // shared, or not used at all; 0: after what the others did with it
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

// Lab 2.7: counts one more reference, and refuses to count beyond EXTRA_MAX. Other CPUs may do the same at this moment.
void page_share(pa_t block)
{
	struct page *page = block_of(block, &SHARE);
	if (__atomic_fetch_add(&page->extra, 1, __ATOMIC_RELAXED) >= EXTRA_MAX)
		port_panic("page_share: too many references", (uintptr_t)block.raw);
}

// Lab 2.7: see page.h.
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
