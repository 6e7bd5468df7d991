// test_fixed.c: what the heap of fixed sizes promises beyond heap_model.c: each invariant, broken on purpose, and where blocks come from.
#include "../fixed.h"
#include "heap_model.h"
#include "test.h"

static struct fixed_head *head_of(void *payload)
{
	return (struct fixed_head *)heap_model_inner(payload) - 1;
}

TEST(fixed_invariants)
{
	heap_model_machine(32);
	struct heap *heap = heap_create(&heap_fixed, heap_model_arena(), HEAP_MODEL_ARENA);
	struct fixed *fixed = (struct fixed *)heap;
	void *one = heap_alloc(heap, 30), *other = heap_alloc(heap, 30), *large = heap_alloc(heap, 3000);

	EXPECT(one && other && large);
	heap_free(heap, other);
	struct fixed_head *used = head_of(one), *freed = head_of(other);
	struct fixed_slab *slab = fixed->slabs;
	EXPECT(slab && !slab->next && head_of(large)->size == FIXED_LARGE);

	BREAK("X1", slab->size, FIXED_SIZES);
	BREAK("X1", slab->next, slab); // a ring
	BREAK("X1", fixed->slabs, (struct fixed_slab *)32);
	BREAK("X2", used->offset, used->offset + 64);
	BREAK("X2", used->cookie, 0);
	BREAK("X3", slab->used, 2);
	BREAK("X4", fixed->free[used->size], ((struct fixed_cell *)freed)->next);
	BREAK("X4", fixed->free[used->size], (struct fixed_cell *)used);
	BREAK("F6", ((uintptr_t *)slab)[-1], 0); // the fallback's own rules count, too
}

// Blocks of one size lie in one slab, whatever comes between; trim gives a slab back when its last block has gone.
TEST(fixed_slabs)
{
	heap_model_machine(32);
	struct heap *heap = heap_create(&heap_fixed, heap_model_arena(), HEAP_MODEL_ARENA);
	struct fixed *fixed = (struct fixed *)heap;
	void *small[20];

	for (unsigned i = 0; i < 20; i++) {
		EXPECT((small[i] = heap_alloc(heap, 40)));
		EXPECT(heap_alloc(heap, 2000));
	}
	for (unsigned i = 1; i < 20; i++)
		EXPECT((uintptr_t)small[i] - (uintptr_t)fixed->slabs < FIXED_SLAB);
	for (unsigned i = 0; i < 20; i++) {
		heap_trim(heap);
		EXPECT(fixed->slabs);
		heap_free(heap, small[i]);
	}
	heap_trim(heap);
	EXPECT(!fixed->slabs);
	EXPECT_VERDICT(heap_check(heap), NULL);
}
