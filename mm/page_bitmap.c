// page_bitmap.c: one bit for each frame, set while it is free; the lowest free frame is taken first.
//
//     word 0                      word 1                      bit i of word w: frame base + 64 w + i, base = the zone's first
//     [1111000011111111...]       [0000000011110000...]       frame rounded down to 64, so that alignment shows in the bits
//      ^ hint: no word before it has a bit set
//
// A block of up to 64 frames is an aligned run of ones in one word, found by folding the word onto itself; a larger one is a run of
// words that are all ones.
//
// Invariants
//   PM1  a frame's bit is set exactly when it is marked PAGE_FREE
//   PM2  bits outside the zone are clear
//   PM3  no bit is set below the hint
//
// Cost: O(words) in the worst case, 64 frames a word; one bit a frame, and low memory is used again first, which keeps the rest whole.
// Weakness: the search grows with the size of memory, and when it is nearly full it is the whole search.
#include "page_engine.h"

#define WORD 64u
#define ONES UINT64_MAX

struct bitmap {
	uint32_t base;  // frame of bit 0 of word 0
	uint32_t words;
	uint32_t hint;  // the first word that may have a bit set
	uint32_t unused;
	uint64_t word[];
};

static struct bitmap *bitmap_of(const struct zone *zone)
{
	return zone->state;
}

static size_t bytes(uint32_t frames) // the zone may start and end within a word
{
	return sizeof(struct bitmap) + ((size_t)frames / WORD + 2) * sizeof(uint64_t);
}

static void create(struct zone *zone)
{
	struct bitmap *bitmap = bitmap_of(zone);
	bitmap->base = zone->first & ~(WORD - 1);
	bitmap->words = (zone->end - bitmap->base + WORD - 1) / WORD;
	bitmap->hint = bitmap->words;
	for (uint32_t w = 0; w < bitmap->words; w++)
		bitmap->word[w] = 0;
}

static bool bit(const struct bitmap *bitmap, uint32_t frame)
{
	return bitmap->word[(frame - bitmap->base) / WORD] >> (frame - bitmap->base) % WORD & 1;
}

// Lab 2.3: sets or clears the bits of an aligned block, a word at a time.
static void paint(struct bitmap *bitmap, uint32_t frame, unsigned order, bool free)
{
	uint32_t at = frame - bitmap->base, left = 1u << order;
	while (left > 0) {
		uint32_t n = left < WORD ? left : WORD;
		uint64_t mask = (n == WORD ? ONES : ((uint64_t)1 << n) - 1) << at % WORD;
		if (free)
			bitmap->word[at / WORD] |= mask;
		else
			bitmap->word[at / WORD] &= ~mask;
		at += n;
		left -= n;
	}
}

// Lab 2.3: marks the block's frames PAGE_FREE, each as a block of order 0, sets their bits, and moves the hint down if need be.
static void give(struct zone *zone, uint32_t frame, unsigned order)
{
	struct bitmap *bitmap = bitmap_of(zone);
	for (uint32_t i = 0; i < 1u << order; i++) {
		page_at(frame + i)->order = 0;
		use_set(page_at(frame + i), PAGE_FREE);
	}
	paint(bitmap, frame, order, true);
	if ((frame - bitmap->base) / WORD < bitmap->hint)
		bitmap->hint = (frame - bitmap->base) / WORD;
}

static void add(struct zone *zone, uint32_t first, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		give(zone, first + i, 0);
}

static unsigned lowest_bit(uint64_t word) // word != 0; gcc's builtin would call a library on machines without the instruction
{
	unsigned at = 0;
	for (unsigned half = WORD / 2; half > 0; half /= 2) {
		if ((word & (((uint64_t)1 << half) - 1)) == 0) {
			word >>= half;
			at += half;
		}
	}
	return at;
}

// Lab 2.4: the lowest bit at which an aligned run of 2^order ones starts; WORD when there is none. order <= 6.
static unsigned run_in(uint64_t word, unsigned order)
{
	static const uint64_t starts[] = { ONES, 0x5555555555555555, 0x1111111111111111, 0x0101010101010101, 0x0001000100010001,
					   0x0000000100000001, 1 };
	for (unsigned k = 0; k < order; k++)
		word &= word >> (1u << k); // now bit i tells that 2^(k+1) bits from i are set
	word &= starts[order];
	return word ? lowest_bit(word) : WORD;
}

static bool all_ones(const struct bitmap *bitmap, uint32_t w, uint32_t words)
{
	uint32_t i = 0;
	while (i < words && bitmap->word[w + i] == ONES)
		i++;
	return i == words;
}

// Lab 2.3: moves the hint to the first word with a bit set, and answers the frame of its lowest one; FRAME_NONE: all are zero.
static uint32_t find_one(struct bitmap *bitmap)
{
	while (bitmap->hint < bitmap->words && bitmap->word[bitmap->hint] == 0)
		bitmap->hint++;
	if (bitmap->hint == bitmap->words)
		return FRAME_NONE;
	return bitmap->base + bitmap->hint * WORD + lowest_bit(bitmap->word[bitmap->hint]);
}

static uint32_t find_in_word(const struct bitmap *bitmap, unsigned order)
{
	for (uint32_t w = bitmap->hint; w < bitmap->words; w++) {
		unsigned at = bitmap->word[w] ? run_in(bitmap->word[w], order) : WORD;
		if (at < WORD)
			return bitmap->base + w * WORD + at;
	}
	return FRAME_NONE;
}

// Lab 2.4: the first frame of the lowest aligned run of so many words that are all ones; FRAME_NONE: there is none.
static uint32_t find_words(const struct bitmap *bitmap, uint32_t words)
{
	uint32_t skip = bitmap->base / WORD; // alignment is that of the frame's number, not of the word's
	for (uint32_t w = (bitmap->hint + skip + words - 1) / words * words - skip; w + words <= bitmap->words; w += words)
		if (all_ones(bitmap, w, words))
			return bitmap->base + w * WORD;
	return FRAME_NONE;
}

static uint32_t take(struct zone *zone, unsigned order)
{
	struct bitmap *bitmap = bitmap_of(zone);
	uint32_t frame = find_one(bitmap);
	if (frame != FRAME_NONE && order > 0)
		frame = order <= 6 ? find_in_word(bitmap, order) : find_words(bitmap, (1u << order) / WORD);
	if (frame != FRAME_NONE)
		paint(bitmap, frame, order, false);
	return frame;
}

static uint32_t take_any(struct zone *zone, unsigned *order)
{
	*order = 0;
	return take(zone, 0);
}

static void count(const struct zone *zone, size_t blocks[PAGE_MAX_ORDER + 1])
{
	blocks[0] = zone->free;
}

static struct verdict check(const struct zone *zone)
{
	const struct bitmap *bitmap = bitmap_of(zone);
	for (uint32_t frame = bitmap->base; frame < bitmap->base + bitmap->words * WORD; frame++) {
		HOLDS("PM2", zone_has(zone, frame) || !bit(bitmap, frame), &bitmap->word[(frame - bitmap->base) / WORD]);
		bool marked = zone_has(zone, frame) && use_is_free(use_of(page_at(frame)));
		HOLDS("PM1", bit(bitmap, frame) == marked, &bitmap->word[(frame - bitmap->base) / WORD]);
	}
	for (uint32_t w = 0; w < bitmap->hint; w++)
		HOLDS("PM3", bitmap->word[w] == 0, &bitmap->word[w]);
	return ALL_HOLD;
}

const struct page_engine page_bitmap = { "bitmap", bytes, create, add, take, take_any, give, count, check };
