// heap_tag.h: what the entry writes around each block at level 1 and above, for heap.c and heap_report.c.
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
