// test_wrapper.c: heaps around heaps: they change nothing but what they are for, over every member of HEAPS.
#include <stdlib.h>

#include "../fault.h"
#include "../quota.h"
#include "../trace.h"
#include "heap_model.h"
#include "test.h"
#include "trace_file.h"

#define RING 65536

static struct fault_heap fault;
static struct quota quota;
static struct trace trace;
static struct trace_event ring[RING], read[RING];

static struct heap *made(const struct heap_ops *ops)
{
	heap_model_machine(32);
	struct heap *heap = heap_create(ops, heap_model_arena(), HEAP_MODEL_ARENA);
	EXPECT(heap);
	return heap;
}

// ---- all three

static struct heap *all_around(struct heap *inner)
{
	return trace_create(&trace, quota_create(&quota, fault_create(&fault, inner), SIZE_MAX), ring, 100);
}

TEST(wrappers_change_nothing)
{
	heap_model_wrap = all_around;
	for (const struct heap_ops *const *ops = HEAPS; *ops; ops++) {
		heap_model_run(*ops, random_below, 5000, UINT64_MAX);
		EXPECT(quota.used == 0 && quota.peak > 0 && quota.refused == 0);
		EXPECT(trace.last > 2000 && fault.calls > 1000);
		for (uint64_t n = 1; heap_model_run(*ops, random_below, 100, n); n += 1 + n / 4)
			EXPECT(n < 5000);
	}
}

TEST(wrappers_of_the_kernels_heap)
{
	for (const struct heap_ops *const *ops = HEAPS; *ops; ops++) {
		heap_model_machine(32);
		EXPECT(kmalloc_init((*ops)->name));
		kmalloc_use(all_around(kmalloc_heap()));
		EXPECT(wrapper_core(kmalloc_heap())->ops == *ops && wrapper_core(wrapper_core(kmalloc_heap()))->ops == *ops);
		char *block = kzalloc(1000);
		EXPECT(block && quota.used >= 1000);
		quota.limit = quota.used;
		EXPECT(!kmalloc(1) && !krealloc(block, 5000) && quota.refused == 2);
		kfree(block);
		EXPECT(quota.used == 0 && trace_read(&trace, 1, read, RING) >= 4);
		EXPECT(read[0].op == TRACE_ALLOC && read[0].bytes == 1000 && read[0].done && read[0].caller);
		EXPECT(!read[1].done && read[1].bytes == 1 && read[1].caller && read[1].caller != read[0].caller);
		EXPECT_VERDICT(heap_check(kmalloc_heap()), NULL);
	}
}

static __attribute__((noinline)) void free_twice(const struct heap_ops *ops)
{
	struct heap *heap = all_around(made(ops));
	void *block = heap_alloc(heap, 100);

	heap_free(heap, block);
	EXPECT_PANIC("double free", heap_free(heap, block));
	EXPECT(quota.used == 0);
}

TEST(wrappers_pass_mistakes_on)
{
	for (const struct heap_ops *const *ops = HEAPS; *ops; ops++)
		free_twice(*ops);
}

// ---- fault

TEST(fault_refuses_to_grow_in_place)
{
	struct heap *heap = fault_create(&fault, made(&heap_first_fit));
	char *block = heap_alloc(heap, 64);

	EXPECT(heap_realloc(heap, block, 1000) == block); // there is room behind it
	fault_after(&fault, 1, 1);
	char *moved = heap_realloc(heap, block, 2000); // the second call that counts may move it
	EXPECT(moved && moved != block && fault.calls == 2);
	fault_after(&fault, 1, 2);
	EXPECT(!heap_realloc(heap, moved, 3000) && fault.calls == 2);
	EXPECT(heap_realloc(heap, moved, 64) == moved && fault.calls == 2); // to shrink takes no memory
	heap_free(heap, moved);
}

// ---- quota

static bool add_block(void *context, void *block, size_t bytes, bool used)
{
	(void)block;
	*(size_t *)context += used ? bytes : 0;
	return true;
}

static size_t live_bytes(const struct heap *heap)
{
	size_t bytes = 0;

	heap->ops->walk(heap, add_block, &bytes);
	return bytes;
}

TEST(quota_holds)
{
	for (const struct heap_ops *const *ops = HEAPS; *ops; ops++) {
		struct heap *heap = quota_create(&quota, made(*ops), 20000);
		unsigned char *block[64] = { 0 };

		for (unsigned i = 0; i < 3000; i++) {
			size_t at = random_below(64), bytes = 1 + random_below(2000);
			unsigned char *other = random_below(3) ? heap_realloc(heap, block[at], bytes) : NULL;

			if (other) {
				block[at] = other;
			} else if (random_below(2)) {
				heap_free(heap, block[at]);
				block[at] = NULL;
			}
			EXPECT(quota.used <= quota.limit && quota.used <= quota.peak);
			EXPECT_EQ(quota.used, live_bytes(heap));
		}
		EXPECT(quota.refused > 10 && quota.peak > 15000);
		for (unsigned i = 0; i < 64; i++)
			heap_free(heap, block[i]);
		EXPECT_EQ(quota.used, 0);
		EXPECT_VERDICT(heap_check(heap), NULL);
	}
}

TEST(quota_can_be_changed)
{
	for (const struct heap_ops *const *ops = HEAPS; *ops; ops++) {
		struct heap *heap = quota_create(&quota, made(*ops), 0);

		EXPECT(!heap_alloc(heap, 1) && quota.refused == 1 && quota.peak == 0);
		quota.limit = 10000;
		void *one = heap_alloc(heap, 1000), *other = heap_alloc(heap, 1000);
		size_t used = quota.used;
		EXPECT(one && other && used >= 2000);
		quota.limit = 10;
		EXPECT(!heap_alloc(heap, 1) && quota.refused == 2 && quota.used == used);
		heap_free(heap, one);
		EXPECT(!heap_alloc(heap, 1) && quota.used < used);
		quota.limit = SIZE_MAX;
		EXPECT((one = heap_alloc(heap, 5000)) && quota.peak == quota.used && quota.refused == 3);
		heap_free(heap, one);
		heap_free(heap, other);
		EXPECT(quota.used == 0 && quota.peak > used);
		one = heap_alloc(heap, 16);
		EXPECT(one && quota.peak > used);
		quota.limit = 2 * quota.used;
		other = heap_alloc(heap, 16);
		EXPECT(other && quota.used == quota.limit && quota.refused == 3); // up to the last byte
		uint64_t calls = host_allocations();
		EXPECT(!heap_alloc(heap, 200000) && host_allocations() == calls); // the inner heap does not grow in vain
		heap_free(heap, one);
		heap_free(heap, other);
	}
}

// A block that is rounded up beyond the limit goes back, and one that was to grow stays as it was.
TEST(quota_counts_what_is_given)
{
	struct heap *heap = quota_create(&quota, made(&heap_buddy), 0);
	size_t around = MM_CHECK ? FRONT_MIN + TAIL : 0;

	quota.limit = 1024;
	EXPECT(!heap_alloc(heap, 1025 - around - 16) && quota.used == 0 && quota.refused == 1);
	heap = quota_create(&quota, made(&heap_segregated), SIZE_MAX);
	void *block = heap_alloc(heap, 100);
	quota.limit = quota.used + 200;
	EXPECT(heap_realloc(heap, block, 250) == block);
	EXPECT(!heap_realloc(heap, block, 3000) && quota.refused == 1);
	EXPECT_EQ(quota.used, live_bytes(heap));
	heap_free(heap, block);

	// Grows into a hole of 32 bytes as a whole, since what it would leave of it is no block.
	heap = quota_create(&quota, made(&heap_first_fit), SIZE_MAX);
	void *low = heap->ops->alloc(heap, 96, HEAP_ALIGN), *hole = heap->ops->alloc(heap, 16, HEAP_ALIGN);
	EXPECT(low && hole && heap->ops->alloc(heap, 16, HEAP_ALIGN));
	heap->ops->free(heap, hole);
	quota.limit = quota.used + 16;
	EXPECT(!heap->ops->resize(heap, low, 112) && heap->ops->usable(heap, low) == 96 && quota.used == quota.limit - 16);
	quota.limit += 16;
	EXPECT(heap->ops->resize(heap, low, 112) && heap->ops->usable(heap, low) == 128 && quota.used == quota.limit);
	EXPECT_EQ(quota.used, live_bytes(heap));
}

TEST(quota_invariants)
{
	struct heap *heap = quota_create(&quota, made(&heap_first_fit), SIZE_MAX);

	EXPECT(heap_alloc(heap, 100) && heap_alloc(heap, 200));
	BREAK("Q1", quota.used, quota.used - 16);
	BREAK("Q2", quota.peak, quota.used - 1);
}

// ---- trace

TEST(trace_tells_what_was_asked)
{
	static const char caller;
	struct heap *heap = trace_create(&trace, fault_create(&fault, made(&heap_best_fit)), ring, 8);
	heap = quota_create(&quota, heap, SIZE_MAX); // it is told of callers through others
	void *one = heap_alloc_for(heap, 100, 64, &caller);

	fault_after(&fault, 1, 1);
	EXPECT(one && !heap_alloc(heap, 200));
	EXPECT(heap_realloc_for(heap, one, 1000, &caller) == one);
	heap_free_for(heap, one, &one);
	EXPECT_EQ(trace_read(&trace, 0, read, RING), 4);
	for (unsigned i = 0; i < 4; i++)
		EXPECT_EQ(read[i].sequence, i + 1);
	EXPECT(read[0].op == TRACE_ALLOC && read[0].done && read[0].bytes == 100 && read[0].align == 64 && read[0].caller == &caller);
	EXPECT(read[1].op == TRACE_ALLOC && !read[1].done && !read[1].block && read[1].bytes == 200 && read[1].align == HEAP_ALIGN);
	EXPECT(read[2].op == TRACE_RESIZE && read[2].done && read[2].bytes >= 1000 && read[2].block == read[0].block);
	EXPECT(read[3].op == TRACE_FREE && read[3].caller == &one && read[3].block == read[0].block && read[3].cpu == 0);
	EXPECT(MM_CHECK || read[0].block == one);
}

TEST(trace_keeps_the_newest)
{
	struct heap *heap = trace_create(&trace, made(&heap_first_fit), ring, 8);
	uint64_t next = 1;

	for (unsigned round = 0; round < 50; round++) {
		for (unsigned i = 0; i < 3; i++)
			heap_free(heap, heap_alloc(heap, 16));
		size_t count = trace_read(&trace, next, read, 5), more = trace_read(&trace, next + count, read + count, 5);
		EXPECT(count == 5 && more == 1);
		for (unsigned i = 0; i < 6; i++)
			EXPECT(read[i].sequence == next + i && read[i].op == (i % 2 ? TRACE_FREE : TRACE_ALLOC));
		next += 6;
	}
	EXPECT_EQ(trace_read(&trace, 1, read, RING), 8); // what is older is gone
	EXPECT(read[0].sequence == 293 && read[7].sequence == 300);
	EXPECT_EQ(trace_read(&trace, 301, read, RING), 0);
	EXPECT_VERDICT(heap_check(heap), NULL);
}

static struct heap *traced(struct heap *inner)
{
	return trace_create(&trace, inner, ring, RING);
}

static size_t through_text(const struct trace_event *event, size_t count, struct trace_event **scanned)
{
	FILE *file = tmpfile();

	EXPECT(file);
	for (size_t i = 0; i < count; i++) {
		trace_print(file, &event[i], "somewhere+0x12");
		fprintf(file, "$ echo 1 2 words of another kind\n");
	}
	rewind(file);
	size_t found = trace_scan(file, scanned);
	fclose(file);
	return found;
}

// What was recorded of one heap can be asked of all: the same blocks in the same order.
TEST(trace_replays)
{
	heap_model_wrap = traced;
	heap_model_run(&heap_segregated, random_below, 8000, UINT64_MAX);
	size_t count = trace_read(&trace, 1, read, RING), allocs = 0;
	struct trace_event *scanned;

	EXPECT(count > 4000 && count < RING && through_text(read, count, &scanned) == count);
	for (size_t i = 0; i < count; i++) {
		const struct trace_event *one = &read[i], *other = &scanned[i];

		EXPECT(one->sequence == other->sequence && one->block == other->block && one->bytes == other->bytes);
		EXPECT(one->align == other->align && one->op == other->op && one->done == other->done);
		allocs += one->op == TRACE_ALLOC;
	}
	struct replay replay = replay_make(scanned, count);
	EXPECT(replay.unknown == 0 && replay.slots == allocs);
	for (const struct heap_ops *const *ops = HEAPS; *ops; ops++) {
		struct heap *heap = trace_create(&trace, made(*ops), ring, RING);
		struct replay_result result = replay_run(&replay, heap);

		EXPECT(result.refused == 0 && result.peak > 10000);
		EXPECT_ALL_FREED(heap);
		size_t calls = trace_read(&trace, 1, read, RING), given = 0, moved = 0, freed = 0;
		for (size_t i = 0; i < calls; i++) {
			given += read[i].op == TRACE_ALLOC;
			freed += read[i].op == TRACE_FREE;
			moved += read[i].op == TRACE_RESIZE && !read[i].done; // where it cannot grow in place
		}
		EXPECT(calls < RING && given == replay.slots + moved && freed == given);
		replay_run(&replay, heap); // and again
		EXPECT_ALL_FREED(heap);
	}
	replay_drop(&replay);
	free(scanned);
}

// Of blocks that are older than the trace, or whose end was lost, as much is asked as makes sense.
TEST(trace_with_gaps_replays)
{
	static const char a, b;
	const struct trace_event events[] = {
		{ .sequence = 7, .op = TRACE_FREE, .block = &a, .done = true },
		{ .sequence = 8, .op = TRACE_ALLOC, .block = &b, .bytes = 10, .align = 16, .done = true },
		{ .sequence = 9, .op = TRACE_ALLOC, .bytes = 1000, .align = 16 },
		{ .sequence = 19, .op = TRACE_ALLOC, .block = &b, .bytes = 20, .align = 16, .done = true },
		{ .sequence = 20, .op = TRACE_RESIZE, .block = &b, .bytes = 40, .done = true },
	};
	struct replay replay = replay_make(events, 5);
	struct heap *heap = made(&heap_first_fit);

	EXPECT(replay.unknown == 1 && replay.slots == 2 && replay.steps == 4);
	struct replay_result result = replay_run(&replay, heap);
	EXPECT(result.peak == 40 && result.refused == 0);
	EXPECT_ALL_FREED(heap);
	replay_drop(&replay);
}

TEST(trace_invariants)
{
	struct heap *heap = trace_create(&trace, made(&heap_first_fit), ring, 8);

	for (unsigned i = 0; i < 11; i++)
		EXPECT(heap_alloc(heap, 16));
	BREAK("TR1", trace.ring[0].sequence, 3);
	BREAK("TR1", trace.last, 12);
	BREAK("TR2", trace.ring[5].op, 0);
}
