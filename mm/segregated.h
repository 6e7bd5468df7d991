// segregated.h: inside the segregated heap: its records, for segregated*.c and the tests.
#pragma once

#include "heap.h"

#define SEGREGATED_PIECES 64
#define SEGREGATED_ROWS   32 // powers of two, in units of HEAP_ALIGN
#define SEGREGATED_SPLITS 16 // classes of each

enum chunk_state { CHUNK_FREE = 1, CHUNK_USED = 2 };

struct chunk {
	_Alignas(HEAP_ALIGN) uint32_t units; // length with this header, in units of HEAP_ALIGN; 0: the mark at a piece's end
	uint32_t below;                      // length of the chunk below, 0 for the first
	uintptr_t cookie;
	struct chunk *next, **link; // in a free chunk: the next of its class, and what points to this one
};

#define CHUNK_HEAD ((size_t)HEAP_ALIGN)
#define CHUNK_MIN  (2 * CHUNK_HEAD)

struct segregated_piece {
	uintptr_t start, end; // of its chunks, and of the mark behind the last one
	bool reserved;        // from port_reserve
};

struct segregated {
	struct heap heap;
	uint32_t rows;                         // bit r: some class of row r has a chunk
	uint16_t classes[SEGREGATED_ROWS];     // bit c of row r: class c has one
	struct chunk *first[SEGREGATED_ROWS * SEGREGATED_SPLITS];
	uintptr_t low, high;                   // all pieces lie between these
	size_t total;                          // bytes of all pieces
	unsigned pieces;
	struct segregated_piece piece[SEGREGATED_PIECES]; // by address
};

struct verdict segregated_check(const struct heap *heap);
void segregated_walk(const struct heap *heap, heap_visitor *visit, void *context);

static inline uintptr_t chunk_cookie(const struct chunk *chunk, enum chunk_state state)
{
	return (uintptr_t)0x5e9c09a7ed00ULL ^ (uintptr_t)chunk ^ state;
}

static inline bool chunk_is(const struct chunk *chunk, enum chunk_state state)
{
	return chunk->cookie == chunk_cookie(chunk, state);
}

static inline size_t chunk_bytes(const struct chunk *chunk)
{
	return (size_t)chunk->units * HEAP_ALIGN;
}

static inline struct chunk *chunk_above(const struct chunk *chunk)
{
	return (struct chunk *)((uintptr_t)chunk + chunk_bytes(chunk));
}

// In a class chunks differ by less than 1 << class_shift units.
static inline unsigned class_shift(uint32_t units)
{
	return 27 - (unsigned)__builtin_clz(units | SEGREGATED_SPLITS);
}

// The class of chunks that are so long: the row times SEGREGATED_SPLITS, plus the column. The four bits below the top one tell the column;
// the top one itself carries into the row.
static inline unsigned class_of(uint32_t units)
{
	unsigned shift = class_shift(units);

	return shift * SEGREGATED_SPLITS + (units >> shift);
}
