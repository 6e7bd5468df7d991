// freelist.h: the records of a heap with boundary tags.
#pragma once

#include "heap.h"

#define USED       ((size_t)1) // this block is in use
#define BELOW_FREE ((size_t)2) // the block below is not: its length stands in the word before this header
#define HOLE_MIN   ((size_t)48)

enum policy { FIRST_FIT, NEXT_FIT, BEST_FIT, WORST_FIT };

struct block {
	_Alignas(HEAP_ALIGN) size_t word; // length with this header, and the two flags; a piece ends with a used block of no length
	uintptr_t cookie;
};

struct hole {
	struct block block;
	struct hole *next, *previous; // by length
};

struct piece { // at its own start
	_Alignas(HEAP_ALIGN) struct piece *next;
	struct block *end;
	bool reserved;
};

struct freelist {
	struct heap heap;
	enum policy policy;
	struct piece *pieces;
	struct hole holes; // the list's anchor
	uintptr_t place;   // where the last search ended
	size_t total;
};

struct verdict freelist_check(const struct heap *heap);
void freelist_walk(const struct heap *heap, heap_visitor *visit, void *context);

static inline size_t length_of(const struct block *block)
{
	return block->word & ~(USED | BELOW_FREE);
}

static inline struct block *above(const struct block *block)
{
	return (struct block *)((uintptr_t)block + length_of(block));
}

static inline struct block *first_of(const struct piece *piece)
{
	return (struct block *)(uintptr_t)(piece + 1);
}

static inline uintptr_t cookie_of(const struct block *block)
{
	return (uintptr_t)0x7a65b10c ^ (uintptr_t)block << 3;
}
