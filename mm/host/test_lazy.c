// test_lazy.c: what the heap that merges late promises beyond heap_model.c: when it merges, and each invariant, broken on purpose.
#include "../lazy.h"
#include "heap_model.h"
#include "test.h"

static struct lazy *fresh(void)
{
	heap_model_machine(32);
	struct heap *heap = heap_create(&heap_lazy_fit, heap_model_arena(), HEAP_MODEL_ARENA);
	EXPECT(heap);
	return (struct lazy *)heap;
}

static size_t waiting(const struct lazy *lazy)
{
	size_t blocks = 0;
	for (unsigned i = 0; i < LAZY_SIZES; i++)
		blocks += lazy->size[i].waiting;
	return blocks;
}

TEST(lazy_invariants)
{
	void *block[8];
	struct lazy *lazy = fresh();
	struct heap *heap = &lazy->heap;

	for (unsigned i = 0; i < 8; i++)
		EXPECT((block[i] = heap_alloc(heap, i == 7 ? 200 : 96)));
	heap_free(heap, block[0]);
	heap_free(heap, block[2]);
	struct lazy_block *low = heap_model_inner(block[0]), *high = heap_model_inner(block[2]), *other = heap_model_inner(block[7]);
	struct lazy_size *size = lazy->size;
	while (!size->first)
		size++;
	EXPECT(size->first == high && size->waiting == 2 && size->live == 5);

	BREAK("L1", high->next, (struct lazy_block *)16);
	BREAK("L1", high->next, other); // in use, and of another size
	BREAK("L1", low->cookie, 0);
	BREAK("L2", low->next, high); // a ring
	BREAK("L2", high->next, NULL);
	BREAK("L2", size->waiting, 1);
	BREAK("L3", size->live, 1);
	BREAK("L4", size->live, 4);
	uintptr_t mine = lazy_cookie(other);
	BREAK("L4", other->cookie, mine); // waits, and is on no list
}

// Never more than are in use; then none is left.
TEST(lazy_waits_within_its_bound)
{
	void *block[100];
	struct lazy *lazy = fresh();

	for (unsigned i = 0; i < 100; i++)
		EXPECT((block[i] = heap_alloc(&lazy->heap, 40)));
	for (unsigned left = 100; left > 0; left--) {
		unsigned i = (unsigned)random_below(left);
		heap_free(&lazy->heap, block[i]);
		block[i] = block[left - 1];
		size_t live = left - 1, most = 100 - live < live ? 100 - live : live;
		EXPECT_EQ(waiting(lazy), most);
	}
}

// What waits is given out again as it is; it is merged when nothing else would do, and at trim.
TEST(lazy_merges_when_it_must)
{
	static void *block[5000];
	struct lazy *lazy = fresh();
	struct heap *heap = &lazy->heap;
	unsigned count = 0;
	struct heap_report before, after;

	host_fail_after(1); // the arena is all there is
	while ((block[count] = heap_alloc(heap, 64)))
		count++;
	for (unsigned i = 0; i < count / 2; i++)
		heap_free(heap, block[i]);
	EXPECT_EQ(waiting(lazy), count / 2);
	EXPECT((block[count / 2 - 1] = heap_alloc(heap, 64))); // the last one that came back
	EXPECT_EQ(waiting(lazy), count / 2 - 1);
	heap_report(heap, &before);
	EXPECT(before.external > 500); // holes side by side
	void *large = heap_alloc(heap, 8000);
	EXPECT(large && waiting(lazy) == 0);

	heap_free(heap, block[count - 2]); // the last one may have a rest that was too small to stand alone
	EXPECT_EQ(waiting(lazy), 1);
	heap_trim(heap);
	EXPECT_EQ(waiting(lazy), 0);
	heap_free(heap, large);
	heap_report(heap, &after);
	EXPECT(after.external < 100);
	EXPECT_VERDICT(heap_check(heap), NULL);
}

// What another heap has left in its memory says nothing of this one's blocks.
TEST(lazy_in_used_memory)
{
	struct heap *heap = &fresh()->heap;

	for (unsigned round = 0; round < 3; round++) {
		void *block[6];
		for (unsigned i = 0; i < 6; i++)
			EXPECT((block[i] = heap->ops->alloc(heap, 64, HEAP_ALIGN)));
		for (unsigned i = 0; i < 3; i++)
			heap->ops->free(heap, block[i]);
		EXPECT_EQ(waiting((struct lazy *)heap), 3);
		heap = heap_create(&heap_lazy_fit, heap, HEAP_MODEL_ARENA);
	}
}
