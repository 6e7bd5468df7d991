// fault.h: a heap that wraps another and refuses the n-th allocation: for tests of what its users do without memory.
#pragma once

#include "wrapper.h"

struct fault_heap {
	struct wrapper wrapper; // pass &wrapper.heap to heap_alloc and so on
	uint64_t calls; // allocations asked for since fault_after
	uint64_t first; // the first and the last of them that fail, counted from 1
	uint64_t last;
};

// Wraps `inner`; nothing fails yet. Blocks of the wrapper must be freed through the wrapper.
struct heap *fault_create(struct fault_heap *fault, struct heap *inner);

// From now on let n - 1 allocations pass, then refuse `count` (UINT64_MAX: all that follow). n == 0: refuse none.
void fault_after(struct fault_heap *fault, uint64_t n, uint64_t count);
