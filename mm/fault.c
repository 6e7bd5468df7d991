// fault.c: a heap that wraps another and refuses the n-th allocation.
//
//    heap_alloc(&fault.wrapper.heap) ──► counts ──► [n-th: NULL] ──► inner heap
//
// To grow a block in place counts as well, since it can be refused as well: the entry then tries to move the block, which is the next
// call that counts. No invariants of its own: its check is the inner heap's.
//
// Cost: a count and the inner heap's call. Weakness: as wrapper.c.
// Source: SQLite's fault-injecting test_malloc.c.
#include "fault.h"

static bool refuses(struct heap *heap)
{
	struct fault_heap *fault = (struct fault_heap *)heap;

	fault->calls++;
	return fault->calls >= fault->first && fault->calls <= fault->last;
}

static void *fault_alloc(struct heap *heap, size_t bytes, size_t align)
{
	return refuses(heap) ? NULL : wrapper_alloc(heap, bytes, align);
}

static bool fault_resize(struct heap *heap, void *block, size_t bytes)
{
	bool grows = bytes > wrapper_usable(heap, block);

	return !(grows && refuses(heap)) && wrapper_resize(heap, block, bytes);
}

static const struct heap_ops fault_ops = {
	.name = "fault",
	.alloc = fault_alloc,
	.free = wrapper_free,
	.usable = wrapper_usable,
	.resize = fault_resize,
	.inspect = wrapper_inspect,
	.trim = wrapper_trim,
	.check = wrapper_check,
	.walk = wrapper_walk,
};

struct heap *fault_create(struct fault_heap *fault, struct heap *inner)
{
	*fault = (struct fault_heap){ .wrapper = wrapper_around(inner, &fault_ops) };
	fault_after(fault, 0, 0);
	return &fault->wrapper.heap;
}

void fault_after(struct fault_heap *fault, uint64_t n, uint64_t count)
{
	fault->calls = 0;
	fault->first = n ? n : UINT64_MAX;
	fault->last = count > UINT64_MAX - fault->first ? UINT64_MAX : fault->first + count - 1;
}
