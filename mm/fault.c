// fault.c: a heap that wraps another and refuses the n-th allocation.
//
//    heap_alloc(&fault.heap) ──► counts ──► [n-th: NULL] ──► heap_alloc(inner)
//
// An allocation that grows a block in place counts as well, since it can be refused as well. No invariants of its own: its check is the
// inner heap's.
//
// Cost: a count and the inner heap's call. Weakness: one call after the other under its own lock.
// Source: SQLite's fault-injecting test_malloc.c.
#include "fault.h"

static struct fault_heap *fault_of(const struct heap *heap)
{
	return (struct fault_heap *)(uintptr_t)heap;
}

static bool refuses(struct fault_heap *fault)
{
	fault->calls++;
	return fault->calls >= fault->first && fault->calls <= fault->last;
}

static void *fault_alloc(struct heap *heap, size_t bytes, size_t align)
{
	return refuses(fault_of(heap)) ? NULL : heap_alloc_aligned(fault_of(heap)->inner, bytes, align);
}

static void fault_free(struct heap *heap, void *block)
{
	heap_free(fault_of(heap)->inner, block);
}

static size_t fault_usable(const struct heap *heap, const void *block)
{
	return heap_usable(fault_of(heap)->inner, block);
}

static void fault_trim(struct heap *heap)
{
	heap_trim(fault_of(heap)->inner);
}

static struct verdict fault_check(const struct heap *heap)
{
	return heap_check(fault_of(heap)->inner);
}

static void fault_walk(const struct heap *heap, heap_visitor *visit, void *context)
{
	const struct heap *inner = fault_of(heap)->inner;

	inner->ops->walk(inner, visit, context);
}

static const struct heap_ops fault_ops = {
	.name = "fault",
	.alloc = fault_alloc,
	.free = fault_free,
	.usable = fault_usable,
	.trim = fault_trim,
	.check = fault_check,
	.walk = fault_walk,
};

struct heap *fault_create(struct fault_heap *fault, struct heap *inner)
{
	*fault = (struct fault_heap){ .heap = { .ops = &fault_ops, .lock = { .name = "fault" } }, .inner = inner };
	fault_after(fault, 0, 0);
	return &fault->heap;
}

void fault_after(struct fault_heap *fault, uint64_t n, uint64_t count)
{
	fault->calls = 0;
	fault->first = n ? n : UINT64_MAX;
	fault->last = count > UINT64_MAX - fault->first ? UINT64_MAX : fault->first + count - 1;
}
