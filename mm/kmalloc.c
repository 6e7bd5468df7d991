// kmalloc.c: the list of heaps, and the kernel's own heap, which is one of them.
//
//    boot argument heap=NAME -> kmalloc_init(NAME) -> HEAPS -> ops->create over a first arena from port_reserve
//
// A new heap is one line here and one declaration in heap.h. This stands apart from heap.c so that a program which wants one heap only
// (user/malloc) links no other.
//
// Cost: at level 0, where the heap is the slab heap itself, kmalloc contains its way to a CPU's own magazine: on RISC-V 12 instructions and
// 2 at its caller for a size that the compiler knows, 25 for others, 31 for kfree. Another heap has no magazines: its calls find none and
// go on to it.
#include "slab_magazine.h"

#define ARENA_MIN ((size_t)16 << 10)
#define ARENA_MAX ((size_t)1 << 20)

const struct heap_ops *const HEAPS[] = {
	&heap_slab,       &heap_first_fit, &heap_next_fit, &heap_best_fit, &heap_worst_fit, &heap_bump,
	&heap_segregated, &heap_fixed,     &heap_buddy,    &heap_lazy_fit, &heap_bitmap_fit, &heap_guard,
	&heap_guard_pages, NULL,
};

static struct {
	struct heap *heap;
	struct window window; // of the pages whose objects go back to magazines: page.c's, or an empty one
} kernel;

_Static_assert(KMALLOC_SMALL == SLAB_SMALL && SLAB_CACHES * sizeof(struct stock) <= UINT16_MAX, "what kmalloc_stock tells");
uint16_t kmalloc_stock[KMALLOC_SMALL / HEAP_ALIGN + 1]; // 0: there is none

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

void kmalloc_use(struct heap *heap)
{
	bool directly = MM_CHECK == 0 && PORT_REDZONE == 0 && heap->ops == &heap_slab;

	kernel.heap = heap;
	kernel.window = directly ? page_state.window : (struct window){ 0 };
	for (size_t units = 1; units <= KMALLOC_SMALL / HEAP_ALIGN; units++)
		kmalloc_stock[units] = directly ? (uint16_t)(slab_class(heap, units * HEAP_ALIGN) * sizeof(struct stock)) : 0;
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

// Who asks: kmalloc and kfree jump here at level 0 (the compiler makes their last call a jump), so that this returns to their callers.
static __attribute__((noinline, cold)) void *alloc_rarely(size_t bytes)
{
	return heap_alloc_for(kernel.heap, bytes, HEAP_ALIGN, CALLER);
}

static __attribute__((noinline, cold)) void free_rarely(void *block)
{
	heap_free_for(kernel.heap, block, CALLER);
}

PORT_FRAMELESS void *kmalloc_from(size_t stock, size_t bytes)
{
	void *block = stock_take(stock);

	return __builtin_expect(block != NULL, 1) ? block : alloc_rarely(bytes);
}

PORT_FRAMELESS void *kmalloc_any(size_t bytes)
{
	size_t units = (bytes + HEAP_ALIGN - 1) / HEAP_ALIGN;

	if (MM_CHECK > 0)
		return heap_alloc_for(kernel.heap, bytes, HEAP_ALIGN, CALLER);
	return units > KMALLOC_SMALL / HEAP_ALIGN ? alloc_rarely(bytes) : kmalloc_from(kmalloc_stock[units], bytes);
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
	else if (!stock_give(&kernel.window, block, 0))
		free_rarely(block);
}
