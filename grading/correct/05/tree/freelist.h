// freelist.h: the records of a heap whose holes are a tree.
#pragma once

#include "heap.h"

#define USED        ((size_t)1)
#define HOLE_MIN    ((size_t)48)
#define PIECES_MOST 100u

enum policy { FIRST_FIT, NEXT_FIT, BEST_FIT, WORST_FIT };

struct block {
	_Alignas(HEAP_ALIGN) size_t word; // length with this header, and USED
	uintptr_t cookie;                 // of a used one
};

struct hole {
	struct block block;
	struct hole *left, *right; // lower and higher addresses
	size_t most;               // length of the longest hole in this subtree
};

struct piece {
	uintptr_t start, end;
	bool reserved;
};

struct freelist {
	struct heap heap;
	enum policy policy;
	struct hole *root;
	uintptr_t place; // where the last search ended
	size_t total;
	unsigned pieces;
	struct piece piece[PIECES_MOST]; // in no order
};

struct verdict freelist_check(const struct heap *heap);
void freelist_walk(const struct heap *heap, heap_visitor *visit, void *context);

static inline size_t length_of(const struct block *block)
{
	return block->word & ~USED;
}

static inline uintptr_t end_of(const struct block *block)
{
	return (uintptr_t)block + length_of(block);
}

static inline uintptr_t cookie_of(const struct block *block)
{
	return (uintptr_t)0x7ee0b10c ^ (uintptr_t)block * 5;
}
