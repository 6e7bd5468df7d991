// kmalloc.c: the list of heaps, and the kernel's own heap, which is one of them.
//
//    boot argument heap=NAME -> kmalloc_init(NAME) -> HEAPS -> ops->create over a first arena from port_reserve
//
// A new heap is one line here and one declaration in heap.h. This stands apart from heap.c so that a program which wants one heap only
// (user/malloc) links no other.
//
// Cost: kmalloc at level 0 is five instructions and a jump into the allocator when that locks by itself.
#include "heap.h"

#define ARENA_MIN ((size_t)16 << 10)
#define ARENA_MAX ((size_t)1 << 20)

const struct heap_ops *const HEAPS[] = {
	&heap_slab, &heap_first_fit, &heap_next_fit, &heap_best_fit, &heap_worst_fit, &heap_bump, NULL,
};

static struct heap *kernel_heap;

static bool same(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

const struct heap_ops *heap_named(const char *name)
{
	for (const struct heap_ops *const *ops = HEAPS; *ops; ops++)
		if (same((*ops)->name, name))
			return *ops;
	return NULL;
}

// Each heap needs its own least arena: the first size that its create accepts is taken.
bool kmalloc_init(const char *name)
{
	const struct heap_ops *ops = heap_named(name ? name : "slab");

	if (!ops)
		return false;
	for (size_t bytes = ARENA_MIN; bytes <= ARENA_MAX; bytes *= 2) {
		void *arena = port_reserve(bytes);

		if (!arena)
			return false;
		kernel_heap = heap_create(ops, arena, bytes);
		if (kernel_heap)
			return true;
		port_release(arena, bytes);
	}
	return false;
}

struct heap *kmalloc_heap(void)
{
	return kernel_heap;
}

void *kmalloc(size_t bytes)
{
	if (MM_CHECK == 0 && kernel_heap->ops->own_locking && bytes)
		return kernel_heap->ops->alloc(kernel_heap, bytes, HEAP_ALIGN);
	return heap_alloc_for(kernel_heap, bytes, HEAP_ALIGN, __builtin_return_address(0));
}

void *kzalloc(size_t bytes)
{
	void *block = heap_alloc_for(kernel_heap, bytes, HEAP_ALIGN, __builtin_return_address(0));

	if (block)
		__builtin_memset(block, 0, bytes);
	return block;
}

void *krealloc(void *block, size_t bytes)
{
	return heap_realloc_for(kernel_heap, block, bytes, __builtin_return_address(0));
}

void kfree(void *block)
{
	if (MM_CHECK == 0 && block && kernel_heap->ops->own_locking)
		kernel_heap->ops->free(kernel_heap, block);
	else
		heap_free_for(kernel_heap, block, __builtin_return_address(0));
}
