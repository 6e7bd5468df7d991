// kmalloc.c: the list of heaps, and the kernel's own heap, which is one of them.
//
//    boot argument heap=NAME -> kmalloc_init(NAME) -> HEAPS -> ops->create over a first arena from port_reserve
//
// A new heap is one line here and one declaration in heap.h. This stands apart from heap.c so that a program which wants one heap only
// (user/malloc) links no other.
//
// Cost: kmalloc at level 0 is seven instructions and a jump into the allocator when that locks by itself.
#include "heap.h"

#define ARENA_MIN ((size_t)16 << 10)
#define ARENA_MAX ((size_t)1 << 20)

const struct heap_ops *const HEAPS[] = {
	&heap_slab,       &heap_first_fit, &heap_next_fit, &heap_best_fit, &heap_worst_fit, &heap_bump,
	&heap_segregated, &heap_fixed,     &heap_buddy,    &heap_lazy_fit, &heap_bitmap_fit, &heap_guard,
	&heap_guard_pages, NULL,
};

// The kernel's heap. At level 0 kmalloc and kfree jump straight into an allocator that locks by itself, else through the entry.
static struct {
	struct heap *heap;
	void *(*alloc)(struct heap *heap, size_t bytes, size_t align);
	void (*free)(struct heap *heap, void *block);
} kernel;

#define CALLER __builtin_return_address(0)

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

// Who asks: kmalloc and kfree jump here (the compiler makes their last call a jump), so that this returns to their callers.
static void *alloc_through_entry(struct heap *heap, size_t bytes, size_t align)
{
	return heap_alloc_for(heap, bytes, align, CALLER);
}

static void free_through_entry(struct heap *heap, void *block)
{
	heap_free_for(heap, block, CALLER);
}

void kmalloc_use(struct heap *heap)
{
	bool directly = MM_CHECK == 0 && PORT_REDZONE == 0 && heap->ops->own_locking;

	kernel.heap = heap;
	kernel.alloc = directly ? heap->ops->alloc : alloc_through_entry;
	kernel.free = directly ? heap->ops->free : free_through_entry;
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
		struct heap *heap = heap_create(ops, arena, bytes);
		if (heap) {
			kmalloc_use(heap);
			return true;
		}
		port_release(arena, bytes);
	}
	return false;
}

struct heap *kmalloc_heap(void)
{
	return kernel.heap;
}

PORT_FRAMELESS void *kmalloc(size_t bytes)
{
	if (MM_CHECK > 0)
		return heap_alloc_for(kernel.heap, bytes, HEAP_ALIGN, CALLER);
	return bytes ? kernel.alloc(kernel.heap, bytes, HEAP_ALIGN) : NULL;
}

void *kzalloc(size_t bytes)
{
	void *block = heap_alloc_for(kernel.heap, bytes, HEAP_ALIGN, CALLER);

	if (block)
		__builtin_memset(block, 0, bytes);
	return block;
}

void *krealloc(void *block, size_t bytes)
{
	return heap_realloc_for(kernel.heap, block, bytes, CALLER);
}

PORT_FRAMELESS void kfree(void *block)
{
	if (MM_CHECK > 0)
		heap_free_for(kernel.heap, block, CALLER);
	else if (block)
		kernel.free(kernel.heap, block);
}
