// freelist.h: the records of a heap of units with two bits each.
#pragma once

#include "heap.h"

#define UNIT ((size_t)HEAP_ALIGN)

enum policy { FIRST_FIT, NEXT_FIT, BEST_FIT, WORST_FIT };

struct piece { // at its own start; then the two maps, then the units
	_Alignas(HEAP_ALIGN) struct piece *next; // at a higher address
	uint64_t *used;   // a bit a unit: it belongs to a block
	uint64_t *starts; // a bit a unit: a block starts here
	uintptr_t base;   // of the units
	size_t units, bytes;
	size_t most;      // no hole is longer
	bool reserved;
};

struct freelist {
	struct heap heap;
	enum policy policy;
	struct piece *pieces;
	uintptr_t place; // where the last search ended
	size_t total;
};

struct verdict freelist_check(const struct heap *heap);
void freelist_walk(const struct heap *heap, heap_visitor *visit, void *context);

static inline bool bit(const uint64_t *map, size_t i)
{
	return map[i / 64] >> i % 64 & 1;
}

// The next unit from here on whose bit is as wanted; `end` when there is none.
static inline size_t next_bit(const uint64_t *map, size_t from, size_t end, bool wanted)
{
	uint64_t flip = wanted ? 0 : UINT64_MAX;

	while (from < end) {
		uint64_t word = (map[from / 64] ^ flip) >> from % 64;
		if (word == 0) {
			from += 64 - from % 64;
			continue;
		}
		for (unsigned step = 32; step > 0; step /= 2)
			if ((word & (((uint64_t)1 << step) - 1)) == 0) {
				word >>= step;
				from += step;
			}
		return from < end ? from : end;
	}
	return end;
}

// The first unit above the block that starts at this one.
static inline size_t block_end(const struct piece *piece, size_t start)
{
	size_t next = next_bit(piece->starts, start + 1, piece->units, true), hole = next_bit(piece->used, start + 1, piece->units, false);

	return next < hole ? next : hole;
}
