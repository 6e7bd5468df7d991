// heap_report.h: what a heap's memory is used for, and who asked for it.
#pragma once

#include "heap.h"

struct heap_report {
	const char *name;
	size_t blocks;       // live blocks
	size_t asked;        // bytes that their users asked for; at level 0, where that is not written down: `used`
	size_t used;         // bytes given to them
	size_t free;         // bytes in free blocks
	size_t largest_free; // bytes
	unsigned internal;   // per mille of `used` that nobody asked for
	unsigned external;   // per mille of `free` that is not in the largest block
};
void heap_report(const struct heap *heap, struct heap_report *report); // walks: slow

// Live memory by who asked for it, most bytes first; the number of places, at most `limit`: the entry without a caller stands for those
// that found no room. At level 0 nobody is known, and one entry has it all.
struct heap_place {
	const void *caller;
	size_t blocks, bytes;
};
size_t heap_places(const struct heap *heap, struct heap_place *places, size_t limit);
