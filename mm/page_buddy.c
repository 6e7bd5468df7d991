// page_buddy.c: the buddy system: blocks of 2^order frames that split in half and meet again as soon as both halves are free.
//
//     order 3   [               0               ]         split: take one from the lowest order that has any,
//     order 2   [       0       |       4       ]         halve it until it fits, keep the upper halves
//     order 1   [   0   |   2   |   4   |   6   ]
//     order 0   [ 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 ]         merge: the buddy of block b at order k is b ^ 2^k
//
//     lists[k] --> free block --> free block --> none     linked through the records (struct page) of their first frames
//
// Invariants
//   PB1  a block on list k is a first frame marked PAGE_FREE of order k, aligned to 2^k and wholly inside the zone
//   PB2  each list is linked consistently both ways and has exactly blocks[k] entries
//   PB3  the other frames of a free block are marked PAGE_FREE_TAIL
//   PB4  no two buddies are free at the same order below PAGE_MAX_ORDER: they would have been merged
//   PB5  every frame that is marked free belongs to a block on a list
//
// Cost: at most PAGE_MAX_ORDER splits or merges for a call, whatever the size of memory, and 2^order marks for a block given back.
// Weakness: a block of 2^k + 1 pages costs 2^(k+1); a few long-lived pages far apart keep large blocks from forming.
// Sources: K. C. Knowlton, "A fast storage allocator", CACM 8(10), 1965; D. E. Knuth, The Art of Computer Programming 1, section 2.5.
#include "page_engine.h"

struct buddy {
	uint32_t lists[PAGE_MAX_ORDER + 1];
	uint32_t blocks[PAGE_MAX_ORDER + 1]; // entries of each list
};

static struct buddy *buddy_of(const struct zone *zone)
{
	return zone->state;
}

static size_t bytes(uint32_t frames)
{
	(void)frames;
	return sizeof(struct buddy);
}

static void create(struct zone *zone)
{
	struct buddy *buddy = buddy_of(zone);
	for (unsigned order = 0; order <= PAGE_MAX_ORDER; order++) {
		buddy->lists[order] = FRAME_NONE;
		buddy->blocks[order] = 0;
	}
}

// ---- one block

// Lab 3.1: makes the block's first frame PAGE_FREE of this order, and puts it on the order's list and into its count.
static inline void insert(struct buddy *buddy, uint32_t frame, unsigned order)
{
	struct page *page = page_at(frame);
	page->order = (uint8_t)order;
	use_set(page, PAGE_FREE);
	list_push(&buddy->lists[order], frame);
	buddy->blocks[order]++;
}

// Lab 3.2: takes a block off its order's list and out of its count; its first frame is nobody's first frame any more.
static inline void detach(struct buddy *buddy, uint32_t frame, unsigned order)
{
	list_remove(&buddy->lists[order], frame);
	buddy->blocks[order]--;
	use_set(page_at(frame), PAGE_FREE_TAIL);
}

// Lab 3.3: true when a free block of exactly this order starts at the frame, which may lie outside the zone.
static inline bool is_free_block(const struct zone *zone, uint32_t frame, unsigned order)
{
	return zone_has(zone, frame) && use_of(page_at(frame)) == PAGE_FREE && page_at(frame)->order == order;
}

static void mark_tails(uint32_t frame, unsigned order)
{
	use_set_all(page_at(frame) + 1, ((size_t)1 << order) - 1, PAGE_FREE_TAIL);
}

// ---- the algorithm

// Lab 3.1: cuts the range into the largest aligned blocks that fit, from its start. Ranges do not touch, so there is nothing to merge.
static void add(struct zone *zone, uint32_t first, uint32_t count)
{
	while (count > 0) {
		unsigned order = 0;
		while (order < PAGE_MAX_ORDER && (first & 1u << order) == 0 && 2u << order <= count)
			order++;
		mark_tails(first, order);
		insert(buddy_of(zone), first, order);
		first += 1u << order;
		count -= 1u << order;
	}
}

// Lab 3.2: takes a block of the lowest order that has any, halves it down to `order`, and keeps the upper halves.
static uint32_t take(struct zone *zone, unsigned order)
{
	struct buddy *buddy = buddy_of(zone);
	unsigned found = order;
	while (found <= PAGE_MAX_ORDER && buddy->lists[found] == FRAME_NONE)
		found++;
	if (found > PAGE_MAX_ORDER)
		return FRAME_NONE;
	uint32_t frame = buddy->lists[found];
	detach(buddy, frame, found);
	while (found > order) {
		found--;
		insert(buddy, frame + (1u << found), found);
	}
	return frame;
}

// Lab 3.4: small blocks first, whole: large ones last longer, and there is nothing to halve.
static uint32_t take_any(struct zone *zone, unsigned *order)
{
	struct buddy *buddy = buddy_of(zone);
	for (unsigned found = 0; found <= *order; found++) {
		uint32_t frame = buddy->lists[found];
		if (frame != FRAME_NONE) {
			detach(buddy, frame, found);
			*order = found;
			return frame;
		}
	}
	return take(zone, *order);
}

// Lab 3.3: joins the block with its buddy as long as that is free as a whole, then puts it on its list.
static void merge(struct zone *zone, uint32_t frame, unsigned order)
{
	struct buddy *buddy = buddy_of(zone);
	for (; order < PAGE_MAX_ORDER; order++) {
		uint32_t other = frame ^ 1u << order;
		if (!is_free_block(zone, other, order))
			break;
		detach(buddy, other, order);
		if (other < frame) { // it is the upper half; insert marks the first frame
			use_set(page_at(frame), PAGE_FREE_TAIL);
			frame = other;
		}
	}
	insert(buddy, frame, order);
}

// Lab 3.3: makes all frames of the block free, joined with what is free beside them.
static void give(struct zone *zone, uint32_t frame, unsigned order)
{
	mark_tails(frame, order);
	merge(zone, frame, order);
}

// Lab 3.5: the number of free blocks of each order.
static void count(const struct zone *zone, size_t blocks[PAGE_MAX_ORDER + 1])
{
	for (unsigned order = 0; order <= PAGE_MAX_ORDER; order++)
		blocks[order] = buddy_of(zone)->blocks[order];
}

// ---- check

static struct verdict check_block(const struct zone *zone, uint32_t frame, unsigned order)
{
	uint32_t size = 1u << order;
	HOLDS("PB1", zone_has(zone, frame) && size <= zone->end - frame && (frame & (size - 1)) == 0, zone);
	const struct page *page = page_at(frame);
	HOLDS("PB1", use_of(page) == PAGE_FREE && page->order == order, page);
	for (uint32_t i = 1; i < size; i++)
		HOLDS("PB3", use_of(page + i) == PAGE_FREE_TAIL, page + i);
	HOLDS("PB4", order == PAGE_MAX_ORDER || !is_free_block(zone, frame ^ size, order), page);
	return ALL_HOLD;
}

static struct verdict check_list(const struct zone *zone, unsigned order)
{
	uint32_t previous = FRAME_NONE, seen = 0, most = buddy_of(zone)->blocks[order];
	for (uint32_t frame = buddy_of(zone)->lists[order]; frame != FRAME_NONE; frame = page_at(frame)->next, seen++) {
		HOLDS("PB2", seen < most, &buddy_of(zone)->blocks[order]);
		struct verdict verdict = check_block(zone, frame, order);
		if (verdict.broken)
			return verdict;
		HOLDS("PB2", page_at(frame)->previous == previous, page_at(frame));
		previous = frame;
	}
	HOLDS("PB2", seen == most, &buddy_of(zone)->blocks[order]);
	return ALL_HOLD;
}

static struct verdict check(const struct zone *zone)
{
	size_t listed = 0, marked = 0;
	for (unsigned order = 0; order <= PAGE_MAX_ORDER; order++) {
		struct verdict verdict = check_list(zone, order);
		if (verdict.broken)
			return verdict;
		listed += (size_t)buddy_of(zone)->blocks[order] << order;
	}
	for (uint32_t frame = zone->first; frame < zone->end; frame++)
		marked += use_is_free(use_of(page_at(frame)));
	HOLDS("PB5", marked == listed, zone);
	return ALL_HOLD;
}

const struct page_engine page_buddy = { "buddy", bytes, create, add, take, take_any, give, count, check };
