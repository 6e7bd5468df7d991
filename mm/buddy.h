// buddy.h: inside the buddy heap: its records, for buddy.c and the tests.
#pragma once

#include "bits.h"
#include "heap.h"

#define BUDDY_ORDERS 36                                   // 32 bytes to 1 TiB
#define BUDDY_BYTES(order) ((size_t)2 * HEAP_ALIGN << (order))

enum buddy_state { BUDDY_FREE = 1, BUDDY_USED = 2 };

struct buddy_head { // at the start of each block, and right before the caller's part
	_Alignas(HEAP_ALIGN) uint32_t order;
	uint32_t offset; // from the block's start to the caller's part
	uintptr_t cookie;
};

struct buddy_block { // a free one
	struct buddy_head head;
	struct buddy_block *next, **link; // the next of its order, and what points to this one
};

struct buddy_region {
	_Alignas(HEAP_ALIGN) struct buddy_region *next;
	size_t bytes;  // of blocks, which follow this header
	bool reserved; // from port_reserve
};

struct buddy_heap {
	struct heap heap;
	uint64_t orders; // bit k: there is a free block of order k
	struct buddy_block *first[BUDDY_ORDERS];
	struct buddy_region *regions;
	size_t total; // bytes of blocks in all regions
};

static inline uintptr_t buddy_cookie(const struct buddy_head *head, enum buddy_state state)
{
	return (uintptr_t)0xb0dd1e5ab1eULL ^ (uintptr_t)head ^ state;
}
