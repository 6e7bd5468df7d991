// page_bitmap.c: a byte for each frame, 1 while it is free, looked at eight at a time; the lowest free frame is taken first.
//
//     word 0                      word 1                      byte i of word w: frame base + 8 w + i, base = the zone's first
//     [1 1 1 1 0 0 0 0]           [0 0 0 0 1 1 0 1]           frame rounded down to 8, so that alignment shows in the bytes
//
// Cost: O(words), 8 frames a word. Weakness: eight times what a bitmap needs, of memory and of time to search.
#include "page_engine.h"

#define WORD 8u
#define ALL  0x0101010101010101u

struct map {
	uint32_t base, words;
	uint64_t lowest; // no word before it has a free frame
	uint64_t word[];
};

static struct map *map_of(const struct zone *zone)
{
	return zone->state;
}

static size_t bytes(uint32_t frames)
{
	return sizeof(struct map) + ((size_t)frames / WORD + 2) * sizeof(uint64_t);
}

static void create(struct zone *zone)
{
	struct map *map = map_of(zone);
	map->base = zone->first / WORD * WORD;
	map->words = (zone->end - map->base + WORD - 1) / WORD;
	map->lowest = map->words;
	for (uint32_t w = 0; w < map->words; w++)
		map->word[w] = 0;
}

static void give(struct zone *zone, uint32_t frame, unsigned order)
{
	struct map *map = map_of(zone);
	for (uint32_t i = frame; i < frame + (1u << order); i++) {
		page_at(i)->order = 0;
		use_set(page_at(i), PAGE_FREE);
		((uint8_t *)map->word)[i - map->base] = 1;
	}
	if ((frame - map->base) / WORD < map->lowest)
		map->lowest = (frame - map->base) / WORD;
}

static void add(struct zone *zone, uint32_t first, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		give(zone, first + i, 0);
}

static uint32_t find_in_word(const struct map *map, uint32_t size)
{
	uint64_t run = ((uint64_t)1 << 8 * size) - 1;
	for (uint64_t w = map->lowest; w < map->words; w++)
		for (uint32_t at = 0; map->word[w] && at < WORD; at += size)
			if ((map->word[w] >> 8 * at & run) == (ALL & run))
				return map->base + (uint32_t)w * WORD + at;
	return FRAME_NONE;
}

static uint32_t find_words(const struct map *map, uint32_t words)
{
	uint32_t skip = map->base / WORD; // the frame's number is aligned, not the word's
	for (uint64_t w = (map->lowest + skip + words - 1) / words * words - skip; w + words <= map->words; w += words) {
		uint32_t i = 0;
		while (i < words && map->word[w + i] == ALL)
			i++;
		if (i == words)
			return map->base + (uint32_t)w * WORD;
	}
	return FRAME_NONE;
}

static uint32_t take(struct zone *zone, unsigned order)
{
	struct map *map = map_of(zone);
	while (map->lowest < map->words && map->word[map->lowest] == 0)
		map->lowest++;
	uint32_t size = 1u << order, frame = size < WORD ? find_in_word(map, size) : find_words(map, size / WORD);
	for (uint32_t i = 0; frame != FRAME_NONE && i < size; i++)
		((uint8_t *)map->word)[frame - map->base + i] = 0;
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
	const uint8_t *byte = (const uint8_t *)map_of(zone)->word;
	for (uint32_t frame = zone->first; frame < zone->end; frame++) {
		const uint8_t *mine = &byte[frame - map_of(zone)->base];
		HOLDS("PM1", *mine == use_is_free(use_of(page_at(frame))), mine);
	}
	return ALL_HOLD;
}

const struct page_engine page_bitmap = { "bitmap", bytes, create, add, take, take_any, give, count, check };
