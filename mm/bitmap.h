// bitmap.h: inside the heap of bitmaps: its records and the way through a map, for bitmap*.c and the tests.
#pragma once

#include "bits.h"
#include "heap.h"

#define GRANULE   ((size_t)HEAP_ALIGN) // bytes that a bit stands for

struct bitmap_piece { // at the start of its memory; the two maps follow, then the granules
	_Alignas(HEAP_ALIGN) struct bitmap_piece *above; // by address; NULL: the last
	size_t bytes;    // of all of it
	size_t granules;
	size_t hint;     // no granule below is free
	uintptr_t base;  // of granule 0
	bool reserved;   // from port_reserve; else the arena
};

struct bitmap {
	struct heap heap;
	struct bitmap_piece *lowest;
	size_t total; // bytes of all pieces
};

struct verdict bitmap_check(const struct heap *heap);
void bitmap_walk(const struct heap *heap, heap_visitor *visit, void *context);

// At least one bit more than there are granules.
static inline size_t words_for(size_t bytes)
{
	return bytes / (GRANULE * WORD_BITS) + 1;
}

static inline uint64_t *used_of(const struct bitmap_piece *piece)
{
	return (uint64_t *)(uintptr_t)(piece + 1);
}

static inline uint64_t *ends_of(const struct bitmap_piece *piece)
{
	return used_of(piece) + words_for(piece->bytes);
}

static inline uintptr_t address_of(const struct bitmap_piece *piece, size_t granule)
{
	return piece->base + granule * GRANULE;
}

static inline bool bit(const uint64_t *map, size_t i)
{
	return map[i / WORD_BITS] >> i % WORD_BITS & 1;
}

// The first bit from `from` on that is set (or clear); `end` when there is none before that.
static inline size_t next_bit(const uint64_t *map, size_t from, size_t end, bool set)
{
	uint64_t flip = set ? 0 : UINT64_MAX, above = UINT64_MAX << from % WORD_BITS;

	for (size_t at = from - from % WORD_BITS; at < end; at += WORD_BITS, above = UINT64_MAX) {
		uint64_t word = (map[at / WORD_BITS] ^ flip) & above;

		if (word) {
			size_t found = at + lowest_bit(word);
			return found < end ? found : end;
		}
	}
	return end;
}
