// test_guard.c: what the guarded heap promises beyond heap_model.c: each invariant, broken on purpose, and whom it catches.
#include "../guard.h"
#include "heap_model.h"
#include "test.h"

static struct guard_head *head_of(void *payload)
{
	return (struct guard_head *)heap_model_inner(payload) - 1;
}

TEST(guard_invariants)
{
	heap_model_machine(32);
	struct heap *heap = heap_create(&heap_guard, heap_model_arena(), HEAP_MODEL_ARENA);
	struct guard *guard = (struct guard *)heap;
	void *live = heap_alloc(heap, 100), *one = heap_alloc(heap, 100), *other = heap_alloc(heap, 100);

	EXPECT(live && one && other);
	heap_free(heap, one);
	heap_free(heap, other);
	struct guard_head *head = head_of(live), *dead = guard->oldest;
	unsigned char *tail = (unsigned char *)(head + 1) + head->bytes;

	BREAK("Z1", guard->held, guard->held + 1);
	BREAK("Z1", head_of(other)->next, dead); // a ring
	BREAK("Z2", guard->oldest, (struct guard_head *)16);
	BREAK("Z2", guard->oldest, head);
	BREAK("Z2", *(unsigned char *)(dead + 1), 0);
	BREAK("Z3", head->cookie, 0);
	BREAK("Z3", tail[15], 0);
	BREAK("Z3", ((struct tagged *)((char *)(head + 1) - head->front))->bytes, SIZE_MAX);
}

// At level 0 these go unnoticed without it.
static __attribute__((noinline)) void commit(struct heap *heap, const char *rule, ptrdiff_t at, bool freed)
{
	volatile char *block = heap->ops->alloc(heap, 40, HEAP_ALIGN);

	EXPECT(block);
	if (freed)
		heap->ops->free(heap, (void *)block);
	block[at] ^= 1;
	if (freed)
		EXPECT_PANIC(rule, heap->ops->trim(heap));
	else
		EXPECT_PANIC(rule, heap->ops->free(heap, (void *)block));
	block[at] ^= 1;
}

TEST(guard_catches)
{
	heap_model_machine(32);
	struct heap *heap = heap_create(&heap_guard, heap_model_arena(), HEAP_MODEL_ARENA);

	commit(heap, "past its end", 40, false);
	commit(heap, "past its end", 55, false);
	commit(heap, "front was overwritten", -25, false);
	for (ptrdiff_t at = 0; at < 40; at += 13)
		commit(heap, "written to after it was freed", at, true);
	EXPECT_VERDICT(heap->ops->check(heap), NULL);
}

// A block that was freed is not used again before many others were; but what waits is had before anything is refused.
TEST(guard_waits)
{
	heap_model_machine(32);
	struct heap *heap = heap_create(&heap_guard, heap_model_arena(), HEAP_MODEL_ARENA);
	void *first = heap->ops->alloc(heap, 1000, HEAP_ALIGN);

	heap->ops->free(heap, first);
	for (unsigned i = 0; i < 200; i++) {
		void *block = heap->ops->alloc(heap, 1000, HEAP_ALIGN);
		EXPECT(block && block != first);
		heap->ops->free(heap, block);
	}
	EXPECT(((struct guard *)heap)->held == 201000);
	host_fail_after(1); // no memory but its own from here on
	for (unsigned i = 0; i < 100; i++)
		EXPECT(heap->ops->alloc(heap, 2000, HEAP_ALIGN));
	host_fail_after(UINT64_MAX);
}
