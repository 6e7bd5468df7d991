// page_bitmap.c: two bitmaps, one above the other: a frame's bit is set while it is free, a word's while it has a bit set.
//
//     some    [ 1 0 0 1 ... ]                                 bit w: word w is not 0
//     word    [0110...] [0000...] [0000...] [1111...]         bit i of word w: frame base + 64 w + i
//
// Cost: a search looks at one bit of `some` for 64 frames that are in use. Weakness: two words to keep for each change.
#include "page_engine.h"

#define WORD 64u

struct map {
	uint32_t base, words;
	uint64_t word[]; // then `some`, a bit for each word
};

static struct map *map_of(const struct zone *zone)
{
	return zone->state;
}

static uint64_t *some_of(struct map *map)
{
	return map->word + map->words;
}

static size_t bytes(uint32_t frames)
{
	size_t words = frames / WORD + 2;
	return sizeof(struct map) + (words + words / WORD + 1) * sizeof(uint64_t);
}

static void create(struct zone *zone)
{
	struct map *map = map_of(zone);
	map->base = zone->first / WORD * WORD;
	map->words = (zone->end - map->base + WORD - 1) / WORD;
	for (uint32_t w = 0; w < map->words + map->words / WORD + 1; w++)
		map->word[w] = 0;
}

static void set(struct map *map, uint32_t at, uint64_t bits, bool free)
{
	uint64_t *word = &map->word[at / WORD], *some = &some_of(map)[at / WORD / WORD];
	*word = free ? *word | bits << at % WORD : *word & ~(bits << at % WORD);
	*some &= ~((uint64_t)1 << at / WORD % WORD);
	*some |= (uint64_t)(*word != 0) << at / WORD % WORD;
}

static void set_block(struct map *map, uint32_t frame, unsigned order, bool free)
{
	uint32_t at = frame - map->base, size = 1u << order;
	for (uint32_t i = 0; i < size; i += WORD)
		set(map, at + i, size < WORD ? ((uint64_t)1 << size) - 1 : UINT64_MAX, free);
}

static void give(struct zone *zone, uint32_t frame, unsigned order)
{
	for (uint32_t i = frame; i < frame + (1u << order); i++) {
		page_at(i)->order = 0;
		use_set(page_at(i), PAGE_FREE);
	}
	set_block(map_of(zone), frame, order, true);
}

static void add(struct zone *zone, uint32_t first, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		give(zone, first + i, 0);
}

static uint32_t lowest(uint64_t bits) // bits != 0
{
	uint32_t at = 0;
	for (; (bits & 0xff) == 0; bits >>= 8)
		at += 8;
	for (; (bits & 1) == 0; bits >>= 1)
		at++;
	return at;
}

// The first word from w on with a bit set; map->words: there is none.
static uint32_t next_word(struct map *map, uint32_t w)
{
	while (w < map->words) {
		uint64_t rest = some_of(map)[w / WORD] >> w % WORD;
		if (rest)
			return w + lowest(rest);
		w = (w / WORD + 1) * WORD;
	}
	return map->words;
}

static uint32_t place_in(uint64_t word, uint32_t size) // WORD: there is none
{
	uint64_t run = ((uint64_t)1 << size) - 1;
	for (uint32_t at = size == 1 ? lowest(word) : 0; at < WORD; at += size)
		if ((word >> at & run) == run)
			return at;
	return WORD;
}

static bool are_full(const struct map *map, uint32_t w, uint32_t words)
{
	uint32_t i = 0;
	while (i < words && map->word[w + i] == UINT64_MAX)
		i++;
	return i == words;
}

static uint32_t find(struct map *map, uint32_t size)
{
	uint32_t words = size / WORD, skip = map->base / WORD;
	for (uint32_t w = next_word(map, 0); w < map->words; w = next_word(map, w + 1)) {
		uint32_t at = words == 0 ? place_in(map->word[w], size) : 0;
		if (words > 0 && ((w + skip) % words != 0 || w + words > map->words || !are_full(map, w, words)))
			continue;
		if (at < WORD)
			return map->base + w * WORD + at;
	}
	return FRAME_NONE;
}

static uint32_t take(struct zone *zone, unsigned order)
{
	uint32_t frame = find(map_of(zone), 1u << order);
	if (frame != FRAME_NONE)
		set_block(map_of(zone), frame, order, false);
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
	struct map *map = map_of(zone);
	for (uint32_t w = 0; w < map->words; w++) {
		HOLDS("PM3", (some_of(map)[w / WORD] >> w % WORD & 1) == (map->word[w] != 0), &map->word[w]);
		for (uint32_t frame = map->base + w * WORD; frame < map->base + (w + 1) * WORD; frame++) {
			bool free = zone_has(zone, frame) && use_is_free(use_of(page_at(frame)));
			HOLDS("PM1", (map->word[w] >> frame % WORD & 1) == free, &map->word[w]);
		}
	}
	return ALL_HOLD;
}

const struct page_engine page_bitmap = { "bitmap", bytes, create, add, take, take_any, give, count, check };
