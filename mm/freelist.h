// freelist.h: inside the free list: its records, shared by the algorithm (freelist.c), its check (freelist_check.c) and the tests.
#pragma once

#include "heap.h"

#define FREELIST_PIECES 64u // each is at least a quarter of all before it while memory lasts, so this is hardly ever the limit
#define FREELIST_USED   ((size_t)1)
#define BLOCK_MIN       (2 * sizeof(struct block))

enum policy { FIRST_FIT, NEXT_FIT, BEST_FIT, WORST_FIT };

struct block {
	_Alignas(HEAP_ALIGN) size_t bytes; // with this header; a multiple of HEAP_ALIGN, plus FREELIST_USED
	union {
		struct block *next; // free: the next free block above
		uintptr_t cookie;   // used
	};
};

struct piece {
	uintptr_t start, end;
	bool reserved; // from port_reserve; else the arena
};

struct freelist {
	struct heap heap;
	enum policy policy;
	struct block *first;
	struct block *rover; // where the last search ended: NULL for before the first, else a free block
	size_t total;        // bytes in all pieces
	unsigned pieces;
	struct piece piece[FREELIST_PIECES];
};

struct verdict freelist_check(const struct heap *heap);
void freelist_walk(const struct heap *heap, heap_visitor *visit, void *context);

static inline size_t block_length(const struct block *block)
{
	return block->bytes & ~FREELIST_USED;
}

static inline uintptr_t block_end(const struct block *block)
{
	return (uintptr_t)block + block_length(block);
}

static inline struct block *block_at(uintptr_t address)
{
	return (struct block *)address;
}

static inline uintptr_t block_cookie(const struct freelist *list, const struct block *block)
{
	return (uintptr_t)0xf2ee115710c4ULL ^ (uintptr_t)block ^ (uintptr_t)list << 1;
}

static inline bool block_is_used(const struct freelist *list, const struct block *block)
{
	return (block->bytes & FREELIST_USED) && block->cookie == block_cookie(list, block);
}

static inline struct block *block_of(const void *payload)
{
	return (struct block *)(uintptr_t)payload - 1;
}

static inline void mark_used(const struct freelist *list, struct block *block, size_t bytes)
{
	block->bytes = bytes | FREELIST_USED;
	block->cookie = block_cookie(list, block);
}

static inline bool touch(const struct block *lower, const struct block *upper)
{
	return lower && upper && block_end(lower) == (uintptr_t)upper;
}

// The free block that holds a link, NULL when the link is the list's head.
static inline struct block *holder(struct freelist *list, struct block **link)
{
	return link == &list->first ? NULL : (struct block *)((uintptr_t)link - offsetof(struct block, next));
}

static inline struct block **after_rover(struct freelist *list)
{
	return list->rover ? &list->rover->next : &list->first;
}

// The piece that an address lies in, NULL when it is in none.
static inline const struct piece *piece_with(const struct freelist *list, uintptr_t address)
{
	for (unsigned i = 0; i < list->pieces; i++)
		if (address >= list->piece[i].start && address < list->piece[i].end)
			return &list->piece[i];
	return NULL;
}
