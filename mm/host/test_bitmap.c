// test_bitmap.c: what the heap of bitmaps promises beyond heap_model.c: the first fit, nothing in blocks; each invariant broken on purpose.
#include "../bitmap.h"
#include "heap_model.h"
#include "test.h"

size_t host_reserved(void);

static struct bitmap *fresh(void)
{
	heap_model_machine(32);
	struct heap *heap = heap_create(&heap_bitmap_fit, heap_model_arena(), HEAP_MODEL_ARENA);
	EXPECT(heap);
	return (struct bitmap *)heap;
}

// Beside a loop over single bits, at all places around the words' edges.
TEST(bitmap_next_bit)
{
	uint64_t map[4] = { random_next() & random_next() & random_next(), 0, UINT64_MAX, random_next() };

	for (size_t from = 0; from < 256; from++)
		for (size_t end = from; end <= 256; end++)
			for (unsigned set = 0; set < 2; set++) {
				size_t expected = from;
				while (expected < end && bit(map, expected) != set)
					expected++;
				EXPECT_EQ(next_bit(map, from, end, set), expected);
			}
}

TEST(bitmap_invariants)
{
	void *block[3];
	struct bitmap *own = fresh();
	struct heap *heap = &own->heap;

	for (unsigned i = 0; i < 3; i++)
		EXPECT((block[i] = heap_alloc(heap, 1500)));
	heap_free(heap, block[1]);
	struct bitmap_piece *piece = own->lowest;
	uint64_t *used = used_of(piece), *ends = ends_of(piece);
	size_t last = piece->granules - 1, beyond = piece->granules;
	size_t hole = next_bit(used, 0, last, false), end = next_bit(ends, 0, last, true);
	EXPECT(end + 1 == hole && !bit(used, last));

	BREAK("M1", own->total, own->total + 16);
	BREAK("M1", piece->above, piece); // a ring
	BREAK("M2", piece->granules, piece->granules + 1);
	BREAK("M2", piece->base, piece->base + 16);
	BREAK("M2", piece->bytes, piece->bytes + 4096);
	BREAK("M3", used[beyond / 64], used[beyond / 64] & ~((uint64_t)1 << beyond % 64));
	BREAK("M3", ends[beyond / 64], ends[beyond / 64] | (uint64_t)1 << beyond % 64);
	BREAK("M4", ends[hole / 64], ends[hole / 64] | (uint64_t)1 << hole % 64);
	BREAK("M5", ends[end / 64], ends[end / 64] & ~((uint64_t)1 << end % 64));
	BREAK("M5", used[last / 64], used[last / 64] | (uint64_t)1 << last % 64);
	BREAK("M6", piece->hint, hole + 1);
	BREAK("M6", piece->hint, beyond + 1);
}

// The lowest hole that is large enough is taken, and a hole is as long as all that is free side by side.
TEST(bitmap_takes_the_first_fit)
{
	char *block[40];
	struct bitmap *own = fresh();
	struct heap *heap = &own->heap;

	for (unsigned i = 0; i < 40; i++)
		EXPECT((block[i] = heap_alloc(heap, 112)));
	size_t step = (size_t)(block[1] - block[0]), around = step - 112;
	for (unsigned i = 1; i < 40; i += i < 20 ? 2 : 1) // single holes, then one long one
		heap_free(heap, block[i]);
	EXPECT(heap_alloc(heap, 2 * step - around) == block[21]);
	EXPECT(heap_alloc(heap, 112) == block[1]);
	EXPECT(heap_alloc(heap, 96) == block[3] && heap_alloc(heap, 112) == block[5]); // 16 bytes remain at block 3's end
	char *aligned = heap_alloc_aligned(heap, 64, 256);
	EXPECT(aligned && (uintptr_t)aligned % 256 == 0);
	EXPECT_VERDICT(heap_check(heap), NULL);
}

// A block grows to the very end of its hole, and not a byte more.
TEST(bitmap_resizes_in_place)
{
	struct bitmap *own = fresh();
	const struct heap_ops *ops = own->heap.ops;
	char *block = ops->alloc(&own->heap, 1000, 16), *hole = ops->alloc(&own->heap, 5000, 16), *wall = ops->alloc(&own->heap, 16, 16);

	ops->free(&own->heap, hole);
	EXPECT(!ops->resize(&own->heap, block, (size_t)(wall - block) + 1));
	EXPECT_EQ(ops->usable(&own->heap, block), 1008);
	EXPECT(ops->resize(&own->heap, block, (size_t)(wall - block)));
	EXPECT(ops->usable(&own->heap, block) == (size_t)(wall - block));
	EXPECT(!ops->resize(&own->heap, wall, SIZE_MAX) && !ops->resize(&own->heap, wall, HEAP_MODEL_ARENA));
	EXPECT(ops->resize(&own->heap, block, 1));
	EXPECT_EQ(ops->usable(&own->heap, block), 16);
	EXPECT(ops->alloc(&own->heap, 16, 16) == block + 16);
	EXPECT_VERDICT(ops->check(&own->heap), NULL);
}

TEST(bitmap_is_not_hurt_by_writes_into_free_memory)
{
	struct bitmap *own = fresh();
	struct heap *heap = &own->heap;
	char *block[8];

	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 8; i++)
			EXPECT((block[i] = heap_alloc(heap, 30000)));
		for (unsigned i = 0; i < 8; i++) {
			heap_free(heap, block[i]);
			memset(block[i], 0xff, 30000);
		}
		EXPECT_VERDICT(heap_check(heap), NULL);
		EXPECT_EQ(heap_model_live_blocks(heap), 0);
	}
	EXPECT(own->lowest->above);
	heap_trim(heap);
	EXPECT(!own->lowest->above && host_reserved() == 0);
}

// A piece has room for its record and maps, too.
TEST(bitmap_grows_by_enough)
{
	for (size_t bytes = 4096; bytes <= (size_t)4 << 20; bytes += bytes / 4) {
		struct heap *heap = &fresh()->heap;
		void *block = heap_alloc(heap, bytes), *aligned = heap_alloc_aligned(heap, bytes, 4096);
		EXPECT(block && aligned);
		heap_free(heap, block);
		heap_free(heap, aligned);
		heap_trim(heap);
	}
}
