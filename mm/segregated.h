// segregated.h: inside the segregated heap: its records, for segregated*.c and the tests.
#pragma once

#include "bits.h"
#include "heap.h"

#define SEGREGATED_PIECES  64
#define SEGREGATED_SPLITS  8 // classes of each power of two, in units of HEAP_ALIGN
#define SEGREGATED_WORDS   4
#define SEGREGATED_CLASSES (SEGREGATED_WORDS * WORD_BITS)

enum chunk_state { CHUNK_FREE = 1, CHUNK_USED = 2 };

struct chunk {
	_Alignas(HEAP_ALIGN) uint32_t units; // length with this header, in units of HEAP_ALIGN; 0: the mark at a piece's end
	uint32_t below;                      // length of the chunk below, 0 for the first of a piece
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
	uint64_t has[SEGREGATED_WORDS + 1];    // a bit for each class that has a chunk, and one that ends the search
	struct chunk *first[SEGREGATED_CLASSES + 1];
	uintptr_t low, high;                   // all pieces lie between these
	size_t total;                          // bytes of all pieces
	unsigned pieces;
	struct segregated_piece piece[SEGREGATED_PIECES]; // by address
};

struct verdict segregated_check(const struct heap *heap);
void segregated_walk(const struct heap *heap, heap_visitor *visit, void *context);

static inline uintptr_t chunk_cookie(const struct chunk *chunk, enum chunk_state state)
{
	return (uintptr_t)0x5e9c000000000000ULL ^ (uintptr_t)chunk ^ state;
}

static inline bool chunk_is(const struct chunk *chunk, enum chunk_state state)
{
	return chunk->cookie == chunk_cookie(chunk, state);
}

static inline size_t chunk_bytes(const struct chunk *chunk)
{
	return (size_t)chunk->units * HEAP_ALIGN;
}

static inline struct chunk *chunk_at(const struct chunk *chunk, size_t units) // so far above it
{
	return (struct chunk *)((uintptr_t)chunk + units * HEAP_ALIGN);
}

static inline struct chunk *chunk_above(const struct chunk *chunk)
{
	return chunk_at(chunk, chunk->units);
}

// In a class chunks differ by less than 1 << class_shift units.
static inline size_t class_shift(size_t units)
{
	return highest_bit(units / SEGREGATED_SPLITS);
}

// The class of chunks that are so long. The three bits below the top one tell it from others of the same power of two; the top one itself
// carries into the power.
static inline size_t class_of(size_t units)
{
	size_t shift = class_shift(units);

	return shift * SEGREGATED_SPLITS + (units >> shift);
}
