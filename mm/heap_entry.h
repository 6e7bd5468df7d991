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

// What stands in front of a block with this alignment, and all that is asked for on top of its bytes.
static inline size_t heap_front(size_t align)
{
	return align > FRONT_MIN ? align : FRONT_MIN;
}

static inline size_t heap_around(size_t align)
{
	return MM_CHECK ? heap_front(align) + TAIL : PORT_REDZONE;
}

// The heap's lock, unless it locks by itself; at level 2 its check, too, which panics with whose fault a broken invariant is.
void heap_enter(const struct heap *heap);
void heap_leave(const struct heap *heap);
