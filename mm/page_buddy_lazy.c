// page_buddy_lazy.c: the buddy system that merges late: a block that comes back waits, unmerged, and may be taken again as it is.
//
//     give --> [do as many wait as are in use?] --> page_buddy's give: merged       waiting[0] --> block --> block --> none
//                   `- no --> waits                                                 waiting[3] --> block --> none
//
//     zone->state   | page_buddy's state | waiting, count, live |                   linked through the records, as page_buddy's lists
//
// For page_buddy a block that waits is in use, so its buddy is not merged with it. The algorithm is all page_buddy's; only the moment of
// the merge is another: when more blocks of an order would wait than are in use, and all of them before a request is refused.
//
// Invariants
//   PL1  a block on list k is aligned to 2^k, wholly inside the zone, and its frames are marked PAGE_WAITING, the first with order k
//   PL2  each list is linked consistently both ways and has as many blocks as it counts
//   PL3  no more blocks of an order wait than are in use
//   PL4  every frame that is marked PAGE_WAITING belongs to a block on a list
//   PL5  the blocks in use make up all frames that are not free
//
// Cost: a push or a pop, and 2^order marks, while an order is in steady use; else page_buddy's, for at most two blocks a call.
// Weakness: free memory is in smaller pieces than it could be, until a request for more finds none and waits for all to be merged.
// Source: Barkley and Lee, "A lazy buddy system bounded by two coalescing delays per class", SOSP 1989, as in System V Release 4. Their
// rule goes by the slack of a class, which is its blocks in use less those that wait.
#include "page_engine.h"

#define ORDERS (PAGE_MAX_ORDER + 1)

struct lazy {
	uint32_t waiting[ORDERS], count[ORDERS]; // lists, and their entries
	uint32_t live[ORDERS];                   // blocks in use; a page from a batch is one of order 0
};

static size_t bytes(uint32_t frames)
{
	return page_buddy.bytes(frames) + (sizeof(struct lazy) + 7) / 8 * 8;
}

static struct lazy *lazy_of(const struct zone *zone)
{
	return (struct lazy *)((uintptr_t)zone->state + page_buddy.bytes(zone->end - zone->first));
}

static void create(struct zone *zone)
{
	struct lazy *lazy = lazy_of(zone);
	page_buddy.create(zone);
	for (unsigned order = 0; order < ORDERS; order++) {
		lazy->waiting[order] = FRAME_NONE;
		lazy->count[order] = lazy->live[order] = 0;
	}
}

static void add(struct zone *zone, uint32_t first, uint32_t count)
{
	page_buddy.add(zone, first, count);
}

// ---- waiting

static void hold(struct lazy *lazy, uint32_t frame, unsigned order)
{
	use_set_all(page_at(frame), (size_t)1 << order, PAGE_WAITING);
	page_at(frame)->order = (uint8_t)order;
	list_push(&lazy->waiting[order], frame);
	lazy->count[order]++;
}

static uint32_t pop(struct lazy *lazy, unsigned order) // FRAME_NONE: none waits
{
	uint32_t frame = lazy->waiting[order];
	if (frame != FRAME_NONE) {
		list_remove(&lazy->waiting[order], frame);
		lazy->count[order]--;
	}
	return frame;
}

// Merges all that waits; false: nothing did.
static bool settle(struct zone *zone)
{
	bool any = false;
	for (unsigned order = 0; order < ORDERS; order++) {
		uint32_t frame;
		while ((frame = pop(lazy_of(zone), order)) != FRAME_NONE) {
			page_buddy.give(zone, frame, order);
			any = true;
		}
	}
	return any;
}

// ---- the engine

static uint32_t take(struct zone *zone, unsigned order)
{
	struct lazy *lazy = lazy_of(zone);
	uint32_t frame = pop(lazy, order);
	if (frame == FRAME_NONE)
		frame = page_buddy.take(zone, order);
	if (frame == FRAME_NONE && settle(zone))
		frame = page_buddy.take(zone, order);
	lazy->live[order] += frame != FRAME_NONE;
	return frame;
}

// The pages of a batch come back one by one.
static uint32_t take_any(struct zone *zone, unsigned *order)
{
	struct lazy *lazy = lazy_of(zone);
	uint32_t frame = FRAME_NONE;
	for (unsigned found = 0; found <= *order && frame == FRAME_NONE; found++) {
		frame = pop(lazy, found);
		if (frame != FRAME_NONE)
			*order = found;
	}
	if (frame == FRAME_NONE)
		frame = page_buddy.take_any(zone, order);
	if (frame == FRAME_NONE && settle(zone))
		frame = page_buddy.take_any(zone, order);
	lazy->live[0] += frame != FRAME_NONE ? 1u << *order : 0;
	return frame;
}

static void give(struct zone *zone, uint32_t frame, unsigned order)
{
	struct lazy *lazy = lazy_of(zone);
	lazy->live[order]--;
	if (lazy->count[order] < lazy->live[order]) {
		hold(lazy, frame, order);
		return;
	}
	page_buddy.give(zone, frame, order);
	if (lazy->count[order] > lazy->live[order])
		page_buddy.give(zone, pop(lazy, order), order);
}

static void count(const struct zone *zone, size_t blocks[ORDERS])
{
	page_buddy.count(zone, blocks);
	for (unsigned order = 0; order < ORDERS; order++)
		blocks[order] += lazy_of(zone)->count[order];
}

// ---- check

static struct verdict check_block(const struct zone *zone, uint32_t frame, unsigned order)
{
	uint32_t size = 1u << order;
	HOLDS("PL1", zone_has(zone, frame) && size <= zone->end - frame && (frame & (size - 1)) == 0, zone);
	HOLDS("PL1", page_at(frame)->order == order, page_at(frame));
	for (uint32_t i = 0; i < size; i++)
		HOLDS("PL1", use_of(page_at(frame + i)) == PAGE_WAITING, page_at(frame + i));
	return ALL_HOLD;
}

static struct verdict check_list(const struct zone *zone, unsigned order)
{
	const struct lazy *lazy = lazy_of(zone);
	uint32_t previous = FRAME_NONE, seen = 0;
	HOLDS("PL3", lazy->count[order] <= lazy->live[order], &lazy->count[order]);
	for (uint32_t frame = lazy->waiting[order]; frame != FRAME_NONE; frame = page_at(frame)->next, seen++) {
		HOLDS("PL2", seen < lazy->count[order], &lazy->count[order]); // so that a circle ends, too
		struct verdict verdict = check_block(zone, frame, order);
		if (verdict.broken)
			return verdict;
		HOLDS("PL2", page_at(frame)->previous == previous, page_at(frame));
		previous = frame;
	}
	HOLDS("PL2", seen == lazy->count[order], &lazy->count[order]);
	return ALL_HOLD;
}

static struct verdict check(const struct zone *zone)
{
	const struct lazy *lazy = lazy_of(zone);
	size_t waiting = 0, live = 0, marked = 0;
	for (unsigned order = 0; order < ORDERS; order++) {
		struct verdict verdict = check_list(zone, order);
		if (verdict.broken)
			return verdict;
		waiting += (size_t)lazy->count[order] << order;
		live += (size_t)lazy->live[order] << order;
	}
	for (uint32_t frame = zone->first; frame < zone->end; frame++)
		marked += use_of(page_at(frame)) == PAGE_WAITING;
	HOLDS("PL4", marked == waiting, zone);
	HOLDS("PL5", live == zone->total - zone->free, lazy->live);
	return page_buddy.check(zone);
}

const struct page_engine page_buddy_lazy = { "buddy_lazy", bytes, create, add, take, take_any, give, count, check };
