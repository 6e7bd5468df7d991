// wrapper.c: a heap around another: each operation, passed on.
//
//    heap_alloc(&trace) ──► lock, dress ──► trace ──► quota ──► slab      inner heaps are called through their ops: one entry, one lock
//
// A wrapper names these functions in its ops where it has nothing to add, and calls them where it has.
//
// No invariants of its own: its check is the inner heap's.
//
// Cost: a call. Weakness: all harts stand in line for the outermost wrapper's lock, even around a heap that needs none.
// Source: Gamma, Helm, Johnson and Vlissides, "Design Patterns", 1994: Decorator.
#include "wrapper.h"

static struct heap *inner_of(const struct heap *heap)
{
	return ((const struct wrapper *)heap)->inner;
}

void *wrapper_alloc(struct heap *heap, size_t bytes, size_t align)
{
	struct heap *inner = inner_of(heap);

	inner->caller = heap->caller;
	return inner->ops->alloc(inner, bytes, align);
}

void wrapper_free(struct heap *heap, void *block)
{
	struct heap *inner = inner_of(heap);

	inner->caller = heap->caller;
	inner->ops->free(inner, block);
}

size_t wrapper_usable(const struct heap *heap, const void *block)
{
	return inner_of(heap)->ops->usable(inner_of(heap), block);
}

bool wrapper_resize(struct heap *heap, void *block, size_t bytes)
{
	struct heap *inner = inner_of(heap);

	inner->caller = heap->caller;
	return inner->ops->resize && inner->ops->resize(inner, block, bytes);
}

void wrapper_inspect(const struct heap *heap, const void *place)
{
	if (inner_of(heap)->ops->inspect)
		inner_of(heap)->ops->inspect(inner_of(heap), place);
}

void wrapper_trim(struct heap *heap)
{
	if (inner_of(heap)->ops->trim)
		inner_of(heap)->ops->trim(inner_of(heap));
}

struct verdict wrapper_check(const struct heap *heap)
{
	return inner_of(heap)->ops->check(inner_of(heap));
}

void wrapper_walk(const struct heap *heap, heap_visitor *visit, void *context)
{
	inner_of(heap)->ops->walk(inner_of(heap), visit, context);
}

struct wrapper wrapper_around(struct heap *inner, const struct heap_ops *ops)
{
	return (struct wrapper){ .heap = { .ops = ops, .lock = { .name = ops->name } }, .inner = inner };
}

const struct heap *wrapper_core(const struct heap *heap)
{
	while (heap->ops->walk == wrapper_walk)
		heap = inner_of(heap);
	return heap;
}
