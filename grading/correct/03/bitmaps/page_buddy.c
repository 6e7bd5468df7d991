// page_buddy.c: the buddy system by bitmaps: for each order a bit per aligned place says that a whole free block lies there.
//
//     order 0   1.......|.1......     bit i of order k: the block of 2^k frames at base + i * 2^k is free, and is not part of a larger one
//     order 1   ..1.|....             words[k] holds the bits, summary[k] a bit per word that is not zero
//     order 2   1.|..
//
// The records say the same for everybody else. Merging asks a bit, never a record, and no list is kept.
// Cost: a few summary words to find a block, one bit a merge. Weakness: two bits of state a frame; always the lowest block.
#include "page_engine.h"

#define MOST   (1u << PAGE_MAX_ORDER)
#define ORDERS (PAGE_MAX_ORDER + 1u)

struct maps {
	uint32_t base;                // the zone's first frame, rounded down to a largest block
	uint32_t total;               // places of order 0
	uint32_t count[ORDERS + 1];   // free blocks
	uint64_t word[];              // for each order its words, then its summary
};

static struct maps *maps_of(const struct zone *zone)
{
	return zone->state;
}

static uint32_t words_for(uint32_t bits)
{
	return (bits + 63) / 64;
}

static uint32_t words_of_order(uint32_t total, unsigned order) // bits and summary
{
	uint32_t words = words_for(total >> order);
	return words + words_for(words);
}

static uint64_t *bits_of(struct maps *maps, unsigned order)
{
	uint64_t *at = maps->word;
	for (unsigned k = 0; k < order; k++)
		at += words_of_order(maps->total, k);
	return at;
}

static uint64_t *summary_of(struct maps *maps, unsigned order)
{
	return bits_of(maps, order) + words_for(maps->total >> order);
}

static size_t bytes(uint32_t frames)
{
	uint32_t total = (frames + 3 * MOST) / MOST * MOST;
	size_t words = 0;
	for (unsigned order = 0; order < ORDERS; order++)
		words += words_of_order(total, order);
	return sizeof(struct maps) + words * sizeof(uint64_t);
}

static void create(struct zone *zone)
{
	struct maps *maps = maps_of(zone);
	size_t words = 0;
	maps->base = zone->first / MOST * MOST;
	maps->total = (zone->end - maps->base + MOST - 1) / MOST * MOST;
	for (unsigned order = 0; order < ORDERS; order++) {
		maps->count[order] = 0;
		words += words_of_order(maps->total, order);
	}
	__builtin_memset(maps->word, 0, words * sizeof(uint64_t));
}

static bool is_set(struct maps *maps, uint32_t place, unsigned order)
{
	return bits_of(maps, order)[place / 64] >> place % 64 & 1;
}

static void set(struct zone *zone, uint32_t place, unsigned order)
{
	struct maps *maps = maps_of(zone);
	struct page *page = page_at(maps->base + (place << order));
	bits_of(maps, order)[place / 64] |= 1ull << place % 64;
	summary_of(maps, order)[place / 4096] |= 1ull << place / 64 % 64;
	maps->count[order]++;
	page->order = (uint8_t)order;
	use_set(page, PAGE_FREE);
}

static void clear(struct zone *zone, uint32_t place, unsigned order)
{
	struct maps *maps = maps_of(zone);
	uint64_t *word = &bits_of(maps, order)[place / 64];
	*word &= ~(1ull << place % 64);
	if (!*word)
		summary_of(maps, order)[place / 4096] &= ~(1ull << place / 64 % 64);
	maps->count[order]--;
	use_set(page_at(maps->base + (place << order)), PAGE_FREE_TAIL);
}

// The lowest place of this order that is free; there is one.
static uint32_t lowest(struct maps *maps, unsigned order)
{
	const uint64_t *summary = summary_of(maps, order);
	uint32_t i = 0;
	while (!summary[i])
		i++;
	uint32_t word = i * 64 + (uint32_t)__builtin_ctzll(summary[i]);
	return word * 64 + (uint32_t)__builtin_ctzll(bits_of(maps, order)[word]);
}

static void give(struct zone *zone, uint32_t frame, unsigned order)
{
	struct maps *maps = maps_of(zone);
	uint32_t place = (frame - maps->base) >> order;
	for (uint32_t i = 0; i < 1u << order; i++)
		use_set(page_at(frame + i), PAGE_FREE_TAIL);
	for (; order < PAGE_MAX_ORDER && is_set(maps, place ^ 1, order); order++, place /= 2) // frames outside the zone have no bit set
		clear(zone, place ^ 1, order);
	set(zone, place, order);
}

static void add(struct zone *zone, uint32_t first, uint32_t count)
{
	for (uint32_t end = first + count; first < end;) {
		unsigned order = PAGE_MAX_ORDER;
		while (first % (1u << order) || end - first < 1u << order)
			order--;
		give(zone, first, order);
		first += 1u << order;
	}
}

static uint32_t take(struct zone *zone, unsigned order)
{
	struct maps *maps = maps_of(zone);
	unsigned found = order;
	while (found < ORDERS && !maps->count[found])
		found++;
	if (found >= ORDERS)
		return FRAME_NONE;
	uint32_t place = lowest(maps, found);
	clear(zone, place, found);
	for (; found > order; found--, place *= 2) // the upper half stays, as the odd one of two places an order below
		set(zone, place * 2 + 1, found - 1);
	return maps->base + (place << order);
}

static uint32_t take_any(struct zone *zone, unsigned *order)
{
	const struct maps *maps = maps_of(zone);
	for (unsigned k = 0; k <= *order; k++)
		if (maps->count[k]) {
			*order = k;
			break;
		}
	return take(zone, *order);
}

static void count(const struct zone *zone, size_t blocks[PAGE_MAX_ORDER + 1])
{
	for (unsigned order = 0; order < ORDERS; order++)
		blocks[order] = maps_of(zone)->count[order];
}

static struct verdict check(const struct zone *zone)
{
	(void)zone;
	return ALL_HOLD;
}

const struct page_engine page_buddy = { "buddy", bytes, create, add, take, take_any, give, count, check };
