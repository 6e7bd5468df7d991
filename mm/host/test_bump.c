// test_bump.c: what the bump heap promises beyond heap_model.c: what comes back, two ends, marks; each invariant, broken on purpose.
#include "../bump.h"
#include "heap_model.h"
#include "test.h"

size_t host_reserved(void);

static struct heap *fresh(void)
{
	heap_model_machine(32);
	struct heap *heap = heap_create(&heap_bump, heap_model_arena(), HEAP_MODEL_ARENA);
	EXPECT(heap);
	return heap;
}

static struct bump_region *region_of(struct heap *heap)
{
	return ((struct bump *)heap)->region;
}

TEST(bump_takes_back_the_last)
{
	heap_model_machine(32);
	struct heap *heap = heap_create(&heap_bump, heap_model_arena(), HEAP_MODEL_ARENA);
	char *keep = heap_alloc(heap, 24), *one = heap_alloc(heap, 100), *two = heap_alloc(heap, 200), *three = heap_alloc(heap, 300);

	heap_free(heap, three);
	EXPECT(heap_alloc(heap, 40) == (void *)three); // the last block's place at once
	heap_free(heap, one);
	heap_free(heap, three);
	heap_free(heap, two); // and the dead ones below with it
	EXPECT(heap_alloc(heap, 500) == (void *)one);
	heap_free(heap, one);
	heap_free(heap, keep);
	EXPECT(((struct bump *)heap)->live == 0 && ((struct bump *)heap)->region->last == NULL);
}

// Blocks that stay do not keep those of the other end, and are taken back in their own order.
TEST(bump_has_two_ends)
{
	struct heap *heap = fresh();
	uintptr_t start = region_of(heap)->next, end = region_of(heap)->end;
	char *stays = heap_alloc_back(heap, 100), *low = heap_alloc(heap, 100), *more = heap_alloc_back(heap, 200);

	EXPECT(low < more && more < stays && region_of(heap)->end < (uintptr_t)more);
	heap_free(heap, low);
	EXPECT_EQ(region_of(heap)->next, start);
	heap_free(heap, stays);
	EXPECT(region_of(heap)->end < (uintptr_t)more);
	EXPECT_PANIC("double free", heap_free(heap, stays));
	EXPECT_PANIC("foreign pointer, not the start", heap_free(heap, more + 32));
	EXPECT_VERDICT(heap_check(heap), NULL);
	low = heap_alloc(heap, 100);
	heap_free(heap, more); // and the dead one above with it
	EXPECT_EQ(region_of(heap)->end, end);
	EXPECT_PANIC("double free", heap_free(heap, more));
	EXPECT_EQ(heap_model_live_blocks(heap), 1);
	heap_free(heap, low);
}

TEST(bump_ends_meet)
{
	struct heap *heap = fresh();
	struct bump_region *region = region_of(heap);
	unsigned blocks = 0;

	host_fail_after(1); // the arena is all there is
	for (bool back = false; back ? heap_alloc_back(heap, 400) : heap_alloc(heap, 400); back = !back)
		blocks++;
	EXPECT(region->end - region->next < 600 && blocks > HEAP_MODEL_ARENA / 600);
	while (heap_alloc_back(heap, 1))
		blocks++;
	EXPECT(region->end - region->next < 16 + 16 + (MM_CHECK ? 48 : 0));
	EXPECT_VERDICT(heap_check(heap), NULL);
	EXPECT_EQ(heap_model_live_blocks(heap), blocks);
	EXPECT(!heap->ops->alloc_back(heap, 16, (size_t)1 << 31));
}

TEST(bump_release_gives_up_what_came_since)
{
	struct heap *heap = fresh();
	size_t reserved = host_reserved();
	char *below = heap_alloc(heap, 100), *stays;
	struct bump_mark mark = bump_mark(heap);
	uintptr_t next = (uintptr_t)mark.piece;

	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 200; i++)
			EXPECT(heap_alloc(heap, 1 + random_below(3000))); // in new regions, too
		EXPECT((stays = heap_alloc_back(heap, 64)));
		memset(stays, 7, 64);
		struct bump_mark inner = bump_mark(heap);
		EXPECT(heap_alloc(heap, 10) && inner.piece);
		EXPECT_VERDICT(heap_check(heap), NULL);
		bump_release(heap, mark);
		EXPECT_VERDICT(heap_check(heap), NULL);
		EXPECT_PANIC("does not stand", bump_release(heap, inner));
		EXPECT_PANIC("does not stand", bump_release(heap, mark));
		EXPECT_EQ(heap_model_live_blocks(heap), 2);
		heap_model_expect_bytes((unsigned char *)stays, 64, 7);
		heap_free(heap, stays);
		mark = bump_mark(heap);
	}
	bump_release(heap, mark);
	heap_free(heap, below);
	EXPECT_EQ(host_reserved(), reserved);
	EXPECT((uintptr_t)mark.piece != 0 && region_of(heap)->next < next);
}

// What is below a mark is not taken back, dead or not, until the mark is released.
TEST(bump_marks_hold)
{
	heap_model_machine(32);
	char *arena = heap_model_arena();
	struct heap *heap = heap_create(&heap_bump, arena, HEAP_MODEL_ARENA / 2);
	struct heap *other = heap_create(&heap_bump, arena + HEAP_MODEL_ARENA / 2, HEAP_MODEL_ARENA / 2);
	EXPECT(heap && other);
	uintptr_t start = region_of(heap)->next;
	char *below = heap_alloc(heap, 100);
	struct heap_report before, after;
	heap_report(heap, &before);
	struct bump_mark outer = bump_mark(heap), inner = bump_mark(heap), twin = inner;
	heap_report(heap, &after);
	EXPECT_EQ(before.free - after.free, 2 * ((uintptr_t)inner.piece - (uintptr_t)outer.piece)); // a mark is no block, used or free

	EXPECT(inner.piece > outer.piece);
	heap_free(heap, below);
	EXPECT(region_of(heap)->last == inner.piece && heap_model_live_blocks(heap) == 0);
	EXPECT_PANIC("foreign", bump_release(other, outer));
	bump_release(heap, inner);
	inner = bump_mark(heap); // at the same place
	EXPECT(inner.piece == twin.piece);
	EXPECT_PANIC("does not stand", bump_release(heap, twin));
	EXPECT_VERDICT(heap_check(heap), NULL);
	if (MM_CHECK == 0)
		EXPECT_PANIC("not the start of a block", heap_free(heap, inner.piece + 1));
	bump_release(heap, outer);
	EXPECT_EQ(region_of(heap)->next, start);
	host_fail_after(1);
	while (heap_alloc(heap, 16))
		;
	while ((inner = bump_mark(heap)).piece)
		;
	EXPECT_VERDICT(heap_check(heap), NULL);
}

TEST(bump_invariants)
{
	heap_model_machine(32);
	struct heap *heap = heap_create(&heap_bump, heap_model_arena(), HEAP_MODEL_ARENA);
	struct bump *bump = (struct bump *)heap;
	struct bump_piece *piece = NULL;

	for (unsigned i = 0; i < 3; i++) {
		EXPECT(heap_alloc(heap, 64));
		if (i == 1)
			piece = bump->region->last;
	}
	BREAK("B1", bump->region->next, bump->region->end + 16);
	BREAK("B2", piece->units, 0);
	BREAK("B2", piece->units, 1000);
	BREAK("B3", piece->below, 1);
	BREAK("B4", piece->cookie, 0);
	BREAK("B5", bump->live, 2);
	BREAK("B6", bump->region->last, piece);

	EXPECT(heap_alloc_back(heap, 64) && heap_alloc_back(heap, 64));
	piece = (struct bump_piece *)bump->region->end;
	BREAK("B7", bump->region->end, bump->region->end + 16);
	BREAK("B7", piece->units, 1000);
	BREAK("B7", piece->units, 0);
	uintptr_t dead = bump_cookie(piece, BUMP_DEAD), mark = bump_cookie(piece, BUMP_MARK);
	BREAK("B7", piece->cookie, dead); // the lowest
	BREAK("B7", piece->cookie, mark);
}
