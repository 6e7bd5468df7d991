// heap_entry.h: inside the entry: its lock, and what it writes around each block at level 1 and above.
#pragma once

#include "heap.h"

#define FRONT_MIN 32u
#define TAIL      16u

struct tag { // at the start of the allocator's block
	size_t bytes;
	const void *caller;
};

struct seal { // just before the caller's block
	size_t front;
	uintptr_t mark;
};

// The heap's lock, unless it locks by itself; at level 2 its check, too, which panics with whose fault a broken invariant is.
void heap_enter(const struct heap *heap);
void heap_leave(const struct heap *heap);
