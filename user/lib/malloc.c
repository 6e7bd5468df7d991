// malloc.c: the program's heap: mm's free list with first fit, in memory from sbrk.
//
//      malloc -> heap_alloc (mm/heap.c) -> first fit (mm/freelist.c) -> port_reserve (port.c) -> sbrk
//
// The heap is made at the first call, so that a program which needs none has none.

#include "mm/heap.h"
#include "user/quire.h"

#define WEAK  __attribute__((weak))
#define ARENA 16384 // bytes to begin with

static struct heap *heap;

static struct heap *ready(void)
{
	if (!heap) {
		void *arena = port_reserve(ARENA);

		if (arena)
			heap = heap_create(&heap_first_fit, arena, ARENA);
	}
	return heap;
}

void *malloc(uint bytes)
{
	return ready() ? heap_alloc(heap, bytes > 0 ? bytes : 1) : NULL;
}

void free(void *block)
{
	if (block)
		heap_free(heap, block);
}

WEAK void *realloc(void *block, uint bytes)
{
	return ready() ? heap_realloc(heap, block, bytes) : NULL;
}

WEAK void *calloc(uint count, uint bytes)
{
	return ready() ? heap_alloc_zeroed(heap, count, bytes) : NULL;
}
