// page_buddy.c: the buddy system with a bit for each pair of buddies: set while exactly one of the two is a free block of their order.
//
//     order 0 pairs      order 1     order 2                  N frames, rounded to largest blocks: N / 2^(k+1) pairs of order k,
//     [N/2 bits         ][N/4 bits  ][N/8  ] ...              which start at bit N - N / 2^k
//
// Who gives a block back asks the bit only, never the buddy's record, and the buddy may lie outside the zone.
//
// Cost: constant for each split and join. Weakness: a bit a frame. Source: Linux 2.4 keeps such maps (mm/page_alloc.c).
#include "page_engine.h"

struct pairs {
	uint32_t lists[PAGE_MAX_ORDER + 1], blocks[PAGE_MAX_ORDER + 1];
	uint32_t base, frames; // in largest blocks
	uint64_t word[];
};

static struct pairs *pairs_of(const struct zone *zone)
{
	return zone->state;
}

static size_t bytes(uint32_t frames) // the zone may start and end within a largest block
{
	return sizeof(struct pairs) + (((size_t)frames >> PAGE_MAX_ORDER) + 2) * (1u << PAGE_MAX_ORDER) / 8;
}

static void create(struct zone *zone)
{
	struct pairs *pairs = pairs_of(zone);
	pairs->base = zone->first >> PAGE_MAX_ORDER << PAGE_MAX_ORDER;
	pairs->frames = ((zone->end - pairs->base - 1) >> PAGE_MAX_ORDER << PAGE_MAX_ORDER) + (1u << PAGE_MAX_ORDER);
	for (uint32_t w = 0; w < pairs->frames / 64; w++)
		pairs->word[w] = 0;
	for (unsigned order = 0; order <= PAGE_MAX_ORDER; order++) {
		pairs->lists[order] = FRAME_NONE;
		pairs->blocks[order] = 0;
	}
}

static uint32_t bit_of(const struct pairs *pairs, uint32_t frame, unsigned order)
{
	return pairs->frames - (pairs->frames >> order) + ((frame - pairs->base) >> (order + 1));
}

static bool is_one_free(const struct pairs *pairs, uint32_t frame, unsigned order)
{
	uint32_t bit = bit_of(pairs, frame, order);
	return order < PAGE_MAX_ORDER && (pairs->word[bit / 64] >> bit % 64 & 1);
}

static void flip(struct pairs *pairs, uint32_t frame, unsigned order)
{
	uint32_t bit = bit_of(pairs, frame, order);
	if (order < PAGE_MAX_ORDER)
		pairs->word[bit / 64] ^= (uint64_t)1 << bit % 64;
}

static void put(struct pairs *pairs, uint32_t frame, unsigned order)
{
	page_at(frame)->order = (uint8_t)order;
	use_set(page_at(frame), PAGE_FREE);
	list_push(&pairs->lists[order], frame);
	pairs->blocks[order]++;
	flip(pairs, frame, order);
}

static uint32_t pull(struct pairs *pairs, uint32_t frame, unsigned order)
{
	list_remove(&pairs->lists[order], frame);
	pairs->blocks[order]--;
	use_set(page_at(frame), PAGE_FREE_TAIL);
	flip(pairs, frame, order);
	return frame;
}

static void give(struct zone *zone, uint32_t frame, unsigned order)
{
	struct pairs *pairs = pairs_of(zone);
	for (uint32_t i = 0; i < 1u << order; i++)
		use_set(page_at(frame + i), PAGE_FREE_TAIL);
	while (is_one_free(pairs, frame, order)) { // this one is in use, so it is the other
		pull(pairs, frame ^ 1u << order, order);
		frame &= ~(1u << order++);
	}
	put(pairs, frame, order);
}

static void add(struct zone *zone, uint32_t first, uint32_t count)
{
	while (count > 0) {
		unsigned order = PAGE_MAX_ORDER;
		while (first % (1u << order) != 0 || 1u << order > count)
			order--;
		give(zone, first, order);
		first += 1u << order;
		count -= 1u << order;
	}
}

static uint32_t take(struct zone *zone, unsigned order)
{
	struct pairs *pairs = pairs_of(zone);
	for (unsigned found = order; found <= PAGE_MAX_ORDER; found++) {
		if (pairs->lists[found] == FRAME_NONE)
			continue;
		uint32_t frame = pull(pairs, pairs->lists[found], found);
		while (found-- > order)
			put(pairs, frame + (1u << found), found);
		return frame;
	}
	return FRAME_NONE;
}

static uint32_t take_any(struct zone *zone, unsigned *order)
{
	struct pairs *pairs = pairs_of(zone);
	for (unsigned found = 0; found < *order; found++)
		if (pairs->lists[found] != FRAME_NONE)
			return pull(pairs, pairs->lists[*order = found], found);
	return take(zone, *order);
}

static void count(const struct zone *zone, size_t blocks[PAGE_MAX_ORDER + 1])
{
	for (unsigned order = 0; order <= PAGE_MAX_ORDER; order++)
		blocks[order] = pairs_of(zone)->blocks[order];
}

static struct verdict check(const struct zone *zone) // each bit anew from the records
{
	const struct pairs *pairs = pairs_of(zone);
	for (unsigned order = 0; order < PAGE_MAX_ORDER; order++) {
		for (uint32_t frame = pairs->base; frame < zone->end; frame += 2u << order) {
			unsigned free = 0;
			for (uint32_t half = frame; half <= frame + (1u << order); half += 1u << order)
				free += zone_has(zone, half) && use_of(page_at(half)) == PAGE_FREE && page_at(half)->order == order;
			HOLDS("PB4", free < 2 && free == is_one_free(pairs, frame, order), zone);
		}
	}
	return ALL_HOLD;
}

const struct page_engine page_buddy = { "buddy", bytes, create, add, take, take_any, give, count, check };
