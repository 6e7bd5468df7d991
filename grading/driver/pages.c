// pages.c: the subject "pages": calls of the page allocator.
//
// A slot holds a block's address. A call that stamps marks its block as its own, and looks at the marks before the block is freed.
#include "kernel/boot/map.h"
#include "kernel/machine/cpu.h"
#include "mm/page.h"

#include "grading/driver/subject.h"

enum {
	PAGES_ALLOC = CALL_PAGES, // slot = page_alloc(order, flags)
	PAGES_FREE,               // page_free(slot), when the slot has a block
	PAGES_SHARE,              // page_share(slot), likewise
	PAGES_REFS,               // page_refs(slot), likewise
	PAGES_ORDER,              // page_order(slot), likewise
	PAGES_IS_ALLOCATED,       // page_is_allocated(argument)
	PAGES_FREE_COUNT,
	PAGES_TOTAL_COUNT,
	PAGES_DRAIN,
	PAGES_FREE_AT,            // page_free(argument), whatever it is
	PAGES_SHARE_STORM,        // page_share(slot) and page_free(slot), argument times
	PAGES_CHURN,              // argument times: up to CHURN_MOST blocks of up to `order` are taken, marked, looked at and freed
};

#define CHURN_MOST 120
#define STAMP      1 // in `touch`

// ---- many calls in one, for several harts at once: nothing slows them down but the allocator

static void share_storm(pa_t block, uint64_t times)
{
	for (; times > 0; times--) {
		page_share(block);
		page_free(block);
	}
}

// A block's first and last word say who owns it. The number of blocks that somebody else wrote to.
static uint64_t churn_once(unsigned count, unsigned order, unsigned flags, uint64_t mine)
{
	uint64_t *held[CHURN_MOST], broken = 0;
	size_t last = (PAGE_BYTES << order) / sizeof(uint64_t) - 1;
	unsigned got = 0;
	for (unsigned i = 0; i < count; i++) {
		pa_t block = page_alloc(order, flags);
		if (pa_is_none(block))
			break;
		if (!is_aligned(block.raw, PAGE_BYTES << order) || !may_mark(block.raw, PAGE_BYTES << order))
			return 1;
		held[got] = pa_pointer(block);
		held[got][0] = held[got][last] = block.raw ^ mine;
		got++;
	}
	while (got-- > 0) {
		uint64_t block = pa_of(held[got]).raw;
		broken += held[got][0] != (block ^ mine) || held[got][last] != (block ^ mine);
		page_free(PA(block));
	}
	return broken;
}

static uint64_t churn(const struct call *call)
{
	uint64_t broken = 0, random = this_cpu()->number * 0x9e3779b97f4a7c15 + call->slot + 1;
	for (uint64_t times = call->argument; times > 0; times--) {
		random = random * 6364136223846793005 + 1442695040888963407;
		unsigned count = 1 + (unsigned)(random >> 33) % CHURN_MOST;
		broken += churn_once(count, (unsigned)(random >> 60) % (call->order + 1u), call->flags, random | 1);
	}
	return broken;
}

// ---- one call

static uint64_t on_slot(const struct call *call, pa_t block)
{
	switch (call->op) {
	case PAGES_FREE:
		page_free(block);
		return 0;
	case PAGES_SHARE:
		page_share(block);
		return 0;
	case PAGES_SHARE_STORM:
		share_storm(block, call->argument);
		return 0;
	case PAGES_REFS:
		return page_refs(block);
	default:
		return page_order(block);
	}
}

static uint64_t perform(const struct call *call, const uint64_t *slot)
{
	pa_t block = PA(*slot);
	switch (call->op) {
	case PAGES_ALLOC:
		return page_alloc(call->order, call->flags).raw;
	case PAGES_IS_ALLOCATED:
		return page_is_allocated(PA(call->argument));
	case PAGES_FREE_COUNT:
		return page_free_count();
	case PAGES_TOTAL_COUNT:
		return page_total_count();
	case PAGES_DRAIN:
		page_drain();
		return 0;
	case PAGES_FREE_AT:
		page_free(PA(call->argument));
		return 0;
	case PAGES_CHURN:
		return churn(call);
	default:
		return pa_is_none(block) ? CALL_SKIPPED : on_slot(call, block);
	}
}

// ---- marks

// A block's marks: in each page its first and last word, made of the page's address and the slot that owns it.
static uint64_t *mark(pa_t block, unsigned i)
{
	return (uint64_t *)pa_pointer(PA(block.raw + i / 2 * PAGE_BYTES + (i % 2 ? PAGE_BYTES - 8 : 0)));
}

static bool can_stamp(pa_t block, unsigned order) // the judge says what is wrong with other addresses
{
	return order <= PAGE_MAX_ORDER && is_aligned(block.raw, PAGE_BYTES << order) && may_mark(block.raw, PAGE_BYTES << order);
}

static void stamp(pa_t block, const struct call *call)
{
	for (unsigned i = 0; can_stamp(block, call->order) && i < 2u << call->order; i++)
		*mark(block, i) = block.raw ^ (uint64_t)call->slot << 40 ^ i;
}

static bool is_stamped(pa_t block, const struct call *call)
{
	for (unsigned i = 0; can_stamp(block, call->order) && i < 2u << call->order; i++)
		if (*mark(block, i) != (block.raw ^ (uint64_t)call->slot << 40 ^ i))
			return false;
	return true;
}

static uint32_t before(const struct call *call, const uint64_t *slot)
{
	bool looks = call->touch & STAMP && call->op == PAGES_FREE && *slot;
	return looks && !is_stamped(PA(*slot), call) ? ODD_STAMP : 0;
}

static void after(const struct call *call, uint64_t *slot, uint64_t value)
{
	if (call->op != PAGES_ALLOC)
		return;
	*slot = value;
	if (call->touch & STAMP && value)
		stamp(PA(value), call);
}

const struct subject subject_pages = { before, perform, after };
