// lazy.h: inside the heap that merges late: its records, for lazy.c and the tests.
#pragma once

#include "heap.h"

#define LAZY_SIZES 64u // 16, 32, ... 1024 bytes: larger blocks do not wait

struct lazy_block { // what stands in a block that waits; the free list takes it for one in use
	struct lazy_block *next;
	uintptr_t cookie;
};

struct lazy_size {
	struct lazy_block *first;
	size_t waiting, live; // blocks
};

struct lazy {
	struct heap heap;
	struct heap *list;   // the free list
	uintptr_t low, high; // its blocks lie between these
	struct lazy_size size[LAZY_SIZES];
};

static inline uintptr_t lazy_cookie(const struct lazy_block *block)
{
	return (uintptr_t)0x1a2b10c3a175ULL ^ (uintptr_t)block << 3;
}
