// test_buddy.c: what the buddy heap promises beyond heap_model.c: each invariant, broken on purpose, and that halves find each other.
#include "../buddy.h"
#include "heap_model.h"
#include "test.h"

static struct buddy_head *head_of(void *payload)
{
	return (struct buddy_head *)heap_model_inner(payload) - 1;
}

static bool are_halves(const struct buddy_heap *buddy, void *low, void *high)
{
	uintptr_t start = (uintptr_t)(buddy->regions + 1), one = (uintptr_t)head_of(low) - start, other = (uintptr_t)head_of(high) - start;

	return (one ^ other) == BUDDY_BYTES(head_of(low)->order);
}

TEST(buddy_invariants)
{
	heap_model_machine(32);
	struct heap *heap = heap_create(&heap_buddy, heap_model_arena(), HEAP_MODEL_ARENA);
	struct buddy_heap *buddy = (struct buddy_heap *)heap;
	void *block[24];

	for (unsigned i = 0; i < 24; i++)
		EXPECT((block[i] = heap_alloc(heap, 100)));
	unsigned half = 23; // two halves of one block, and a third block that is the half of neither
	while (!are_halves(buddy, block[half - 1], block[half]))
		half--;
	heap_free(heap, block[half - 3]);
	heap_free(heap, block[half - 1]);
	struct buddy_head *used = head_of(block[half]);
	struct buddy_block *one = (struct buddy_block *)head_of(block[half - 3]), *other = (struct buddy_block *)head_of(block[half - 1]);

	BREAK("Y1", buddy->total, buddy->total + 32);
	BREAK("Y1", buddy->regions->next, buddy->regions); // a ring
	BREAK("Y2", used->order, BUDDY_ORDERS);
	BREAK("Y2", used->order, 12);
	BREAK("Y3", used->cookie, 0);
	BREAK("Y4", used->cookie, buddy_cookie(used, BUDDY_FREE)); // its buddy, other, is free
	BREAK("Y5", other->next, (struct buddy_block *)32);
	BREAK("Y5", one->link, &other->next->next);
	BREAK("Y6", other->next, NULL);
	BREAK("Y7", buddy->orders, 0);
}

// However a block is torn, it comes back whole.
TEST(buddy_joins_all_halves)
{
	heap_model_machine(32);
	struct heap *heap = heap_create(&heap_buddy, heap_model_arena(), HEAP_MODEL_ARENA);
	struct heap_report before, after;
	void *block[200];

	heap_report(heap, &before);
	for (unsigned round = 0; round < 20; round++) {
		for (unsigned i = 0; i < 200; i++)
			EXPECT((block[i] = heap_alloc(heap, 1 + random_below(300))));
		for (unsigned left = 200; left > 0; left--) {
			unsigned i = (unsigned)random_below(left);
			heap_free(heap, block[i]);
			block[i] = block[left - 1];
		}
		heap_trim(heap);
		heap_report(heap, &after);
		EXPECT(after.largest_free == before.largest_free && after.free == before.free && after.blocks == 0);
	}
}
