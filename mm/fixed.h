// fixed.h: inside the heap of fixed sizes: its records, for fixed.c and the tests.
#pragma once

#include "heap.h"

#define FIXED_SIZES  5                               // 32, 64, 128, 256, 512 bytes with the head
#define FIXED_LARGE  FIXED_SIZES                     // in a head: a block of the fallback heap's, for one request
#define FIXED_CUT    (FIXED_SIZES + 1)               // a block of the fallback heap's that was cut into cells
#define FIXED_SHIFT  5                               // of the smallest size
#define FIXED_SLAB   ((size_t)4096)                  // bytes that are cut at once, for any size
#define FIXED_BYTES(size) ((size_t)1 << (FIXED_SHIFT + (size)))

struct fixed_head { // before each block, and at the start of each block of the fallback heap
	_Alignas(HEAP_ALIGN) uint32_t size; // which of the sizes, FIXED_LARGE or FIXED_CUT
	uint32_t offset;                    // from the slab to this head; FIXED_LARGE: from the fallback's block to the caller's
	uintptr_t cookie;
};

struct fixed_cell { // what stands in a free one
	struct fixed_head head;
	struct fixed_cell *next;
};

struct fixed_slab { // cells of one size, out of one block of the fallback heap
	struct fixed_head head;
	struct fixed_slab *next;
	uint32_t size, used;
};

struct fixed {
	struct heap heap;
	struct heap *fallback;
	struct fixed_cell *free[FIXED_SIZES];
	struct fixed_slab *slabs; // of all sizes
	uintptr_t low, high;      // what the fallback heap gave lies between these
};

enum fixed_state { FIXED_FREE = 1, FIXED_USED = 2 };

static inline uintptr_t fixed_cookie(const struct fixed_head *head, enum fixed_state state)
{
	return (uintptr_t)0xf17edce115ULL ^ (uintptr_t)head ^ state;
}
