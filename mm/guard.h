// guard.h: inside the guarded heap: its records, for guard.c and the tests.
#pragma once

#include "heap.h"

#define GUARD_TAIL  16u
#define GUARD_HOLDS ((size_t)256 << 10) // bytes that wait before they are used again

struct tagged {
	size_t bytes; // that were asked for
	size_t front; // from the inner block's start to the caller's part
};

struct guard_head { // right before the caller's part; what begins it stands at the start of the inner block, too
	_Alignas(HEAP_ALIGN) size_t bytes;
	size_t front;
	uintptr_t cookie;
	struct guard_head *next; // of a dead one: the one that was freed after it
	uintptr_t sum;           // of a dead one: over its bytes, as they were left
};

struct guard {
	struct heap heap;
	struct heap *inner;
	struct guard_head *oldest, **newest; // dead blocks that wait; where the next one is hung up
	size_t held;                         // bytes of them
	uintptr_t low, high;                 // all blocks lie between these
};

enum guard_state { GUARD_DEAD = 1, GUARD_LIVE = 2 };

static inline uintptr_t guard_cookie(const struct guard_head *head, enum guard_state state)
{
	return (uintptr_t)0x9a2dedb10c5ULL ^ (uintptr_t)head ^ head->bytes << 8 ^ head->front << 32 ^ state;
}
