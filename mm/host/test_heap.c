// test_heap.c: the model over every member of HEAPS; then what the entry and single heaps promise on their own.

#include "../fault.h"
#include "../freelist.h"
#include "../page.h"
#include "../slab.h"
#include "heap_model.h"
#include "test.h"

size_t host_reserved(void);

TEST(heap_model)
{
	for (const struct heap_ops *const *ops = HEAPS; *ops; ops++)
		heap_model_run(*ops, random_below, 20000, UINT64_MAX);
}

TEST(heap_faults)
{
	for (const struct heap_ops *const *ops = HEAPS; *ops; ops++)
		for (uint64_t n = 1; heap_model_run(*ops, random_below, 300, n); n++)
			EXPECT(n < 5000);
}

// ---- what the entry promises ----

// Under AddressSanitizer the host's port refuses what malloc could never give, instead of ending the test.
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}

static __attribute__((noinline)) void expect_refusals(const struct heap_ops *ops)
{
	heap_model_machine(32);
	struct heap *heap = heap_create(ops, heap_model_arena(), HEAP_MODEL_ARENA);

	EXPECT(heap && heap_named(ops->name) == ops);
	EXPECT(!heap_alloc(heap, 0) && !heap_realloc(heap, NULL, 0));
	EXPECT(!heap_alloc_zeroed(heap, SIZE_MAX / 2, 3) && !heap_alloc_zeroed(heap, 0, 8));
	EXPECT(!heap_alloc(heap, SIZE_MAX) && !heap_alloc(heap, SIZE_MAX - 64) && !heap_alloc(heap, SIZE_MAX / 2));
	EXPECT(!heap_alloc_aligned(heap, 8, (size_t)1 << 63));
	EXPECT_PANIC("not a power of two", (void)!heap_alloc_aligned(heap, 8, 24));
	heap_free(heap, NULL);
	EXPECT_VERDICT(heap_check(heap), NULL);
}

TEST(heap_empty_requests)
{
	for (const struct heap_ops *const *ops = HEAPS; *ops; ops++)
		expect_refusals(*ops);
	EXPECT(!heap_named("no such heap") && !kmalloc_init("no such heap"));
}

TEST(heap_too_small_an_arena)
{
	for (const struct heap_ops *const *ops = HEAPS; *ops; ops++) {
		heap_model_machine(32);
		for (size_t bytes = 0; bytes < 64; bytes += 8)
			EXPECT(!heap_create(*ops, heap_model_arena(), bytes));
		EXPECT(!heap_create(*ops, (char *)heap_model_arena() + 8, HEAP_MODEL_ARENA - 8));
	}
}

// Each mistake of a caller panics with a rule that names it.
static __attribute__((noinline)) void make_mistakes(const struct heap_ops *ops)
{
	heap_model_machine(32);
	struct heap *heap = heap_create(ops, heap_model_arena(), HEAP_MODEL_ARENA);
	char *first = heap_alloc(heap, 100), *middle = heap_alloc(heap, 100), *last = heap_alloc(heap, 100);

	EXPECT_PANIC("misaligned", heap_free(heap, middle + 8));
	EXPECT_PANIC("not the start of", heap_free(heap, middle + 16));
	EXPECT_PANIC("foreign", heap_free(heap, pa_pointer(PA(0x80000000 + (20 << 20)))));
	heap_free(heap, middle);
	EXPECT_PANIC("double free", heap_free(heap, middle));
	EXPECT_VERDICT(heap_check(heap), NULL);
	heap_free(heap, first);
	heap_free(heap, last);
	EXPECT_ALL_FREED(heap);
}

TEST(heap_mistakes)
{
	for (const struct heap_ops *const *ops = HEAPS; *ops; ops++)
		make_mistakes(*ops);
}

// At level 1 a write past a block's end is seen when the block is freed.
static __attribute__((noinline)) void overrun(const struct heap_ops *ops)
{
	heap_model_machine(32);
	struct heap *heap = heap_create(ops, heap_model_arena(), HEAP_MODEL_ARENA);
	char *above = heap_alloc(heap, 33), *below = heap_alloc(heap, 33);

	EXPECT_EQ(heap_usable(heap, above), 33);
	above[33] = 0;
	EXPECT_PANIC("past its end", heap_free(heap, above));
	below[-1] ^= 1;
	EXPECT_PANIC("front was overwritten", heap_free(heap, below));
}

TEST(heap_red_zones)
{
	for (const struct heap_ops *const *ops = HEAPS; *ops && MM_CHECK > 0; ops++)
		overrun(*ops);
}

static size_t given, taken;
static const void *given_to;

static void count_given(struct heap *heap, void *block, size_t bytes, const void *caller)
{
	(void)heap, (void)block;
	given += bytes;
	given_to = caller;
}

static void count_taken(struct heap *heap, void *block, size_t bytes, const void *caller)
{
	(void)heap, (void)block, (void)caller;
	taken += bytes;
}

TEST(heap_observer_sees_every_block)
{
	static const struct heap_observer observer = { count_given, count_taken };

	for (const struct heap_ops *const *ops = HEAPS; *ops && MM_CHECK > 0; ops++) {
		heap_model_machine(32);
		struct heap *heap = heap_create(*ops, heap_model_arena(), HEAP_MODEL_ARENA);

		heap_observer = &observer;
		given = taken = 0;
		char *block = heap_alloc_for(heap, 40, 64, &given);
		EXPECT(given == 40 && given_to == &given);
		block = heap_realloc(heap, block, 5000);
		EXPECT(given == 5040 && taken == 40);
		heap_free(heap, block);
		EXPECT(given == taken);
		heap_observer = NULL;
	}
}

// What is asked, given and free, and who asked, is told alike of all heaps.
TEST(heap_reports)
{
	static const char one, other;

	for (const struct heap_ops *const *ops = HEAPS; *ops; ops++) {
		heap_model_machine(32);
		struct heap *heap = heap_create(*ops, heap_model_arena(), HEAP_MODEL_ARENA);
		struct heap_report report;
		struct heap_place places[2];
		void *block[8];

		for (unsigned i = 0; i < 8; i++)
			EXPECT((block[i] = heap_alloc_for(heap, 100 + i, HEAP_ALIGN, i < 5 ? &one : &other)));
		heap_report(heap, &report);
		EXPECT(report.name == (*ops)->name && report.blocks == 8 && report.used >= report.asked);
		EXPECT(report.internal < 1000 && report.external < 1000 && report.largest_free <= report.free);
		EXPECT_EQ(heap_places(heap, places, 2), MM_CHECK ? 2 : 1);
		if (MM_CHECK) {
			EXPECT(report.asked == 828 && report.internal > 0);
			EXPECT(places[0].caller == &one && places[0].blocks == 5 && places[0].bytes == 510);
			EXPECT(places[1].caller == &other && places[1].blocks == 3 && places[1].bytes == 318);
			EXPECT(heap_places(heap, places, 1) == 1 && places[0].caller == NULL && places[0].blocks == 8);
		}
		for (unsigned i = 0; i < 8; i++)
			heap_free(heap, block[i]);
		EXPECT_EQ(heap_places(heap, places, 2), 0);
	}
}

static __attribute__((noinline)) void *forgotten(struct heap *heap, size_t bytes)
{
	void *block = heap_alloc(heap, bytes);

	EXPECT(block);
	return block;
}

// What a test leaves behind is named in its failure.
TEST(heap_leaks_are_named)
{
	for (const struct heap_ops *const *ops = HEAPS; *ops; ops++) {
		heap_model_machine(32);
		struct heap *heap = heap_create(*ops, heap_model_arena(), HEAP_MODEL_ARENA);
		void *one = forgotten(heap, 100), *other = forgotten(heap, 50);
		char text[800];

		EXPECT_EQ(heap_model_describe(heap, text, sizeof text), 2);
		EXPECT_SO(MM_CHECK ? !!strstr(text, "150 bytes in 2 blocks, asked for by ") : !!strstr(text, "level 0"), "it says%s", text);
		EXPECT_SO(!MM_CHECK || strstr(text, "forgotten in ") || strstr(text, "0x"), "it says%s", text);
		heap_free(heap, one);
		heap_free(heap, other);
		EXPECT_ALL_FREED(heap);
	}
}

TEST(kmalloc_over_every_heap)
{
	for (const struct heap_ops *const *ops = HEAPS; *ops; ops++) {
		heap_model_machine(32);
		EXPECT(kmalloc_init((*ops)->name));
		EXPECT(kmalloc_heap()->ops == *ops);
		char *block = kmalloc(10), *zeroed = kzalloc(300);

		heap_model_expect_bytes((unsigned char *)zeroed, 300, 0);
		memset(block, 7, 10);
		block = krealloc(block, 3000);
		heap_model_expect_bytes((unsigned char *)block, 10, 7);
		EXPECT(!kmalloc(0));
		kfree(block);
		kfree(zeroed);
		kfree(NULL);
		EXPECT_VERDICT(heap_check(kmalloc_heap()), NULL);
		EXPECT_ALL_FREED(kmalloc_heap());
	}
}

TEST(fault_heap_refuses_the_nth)
{
	for (const struct heap_ops *const *ops = HEAPS; *ops; ops++) {
		heap_model_machine(32);
		struct fault_heap fault;
		struct heap *heap = fault_create(&fault, heap_create(*ops, heap_model_arena(), HEAP_MODEL_ARENA));
		void *one = heap_alloc(heap, 64), *two = heap_realloc(heap, NULL, 64);

		EXPECT(one && two);
		fault_after(&fault, 2, 1);
		void *three = heap_alloc(heap, 64);
		EXPECT(three && !heap_alloc(heap, 64));
		void *four = heap_alloc(heap, 64);
		EXPECT(four && fault.calls == 3);
		fault_after(&fault, 1, UINT64_MAX);
		EXPECT(!heap_alloc(heap, 1) && !heap_realloc(heap, one, 50000) && heap_usable(heap, one) >= 64);
		void *all[] = { one, two, three, four };
		for (unsigned i = 0; i < 4; i++)
			heap_free(heap, all[i]);
		EXPECT_VERDICT(heap_check(heap), NULL);
		EXPECT_ALL_FREED(fault.wrapper.inner);
	}
}

// ---- what the four policies choose ----

// Three holes of different sizes, kept apart by live blocks; where does the next block go?
TEST(freelist_policies)
{
	static const struct {
		const struct heap_ops *ops;
		unsigned hole; // that a block of 100 bytes goes to; 3: the rest at the end
	} expected[] = { { &heap_first_fit, 0 }, { &heap_best_fit, 1 }, { &heap_worst_fit, 3 }, { &heap_next_fit, 2 } };
	static const size_t sizes[3] = { 600, 200, 400 };

	for (unsigned i = 0; i < 4; i++) {
		heap_model_machine(32);
		struct heap *heap = heap_create(expected[i].ops, heap_model_arena(), HEAP_MODEL_ARENA);
		char *hole[3];

		for (unsigned j = 0; j < 3; j++) {
			hole[j] = heap_alloc(heap, sizes[j]);
			EXPECT(hole[j] && heap_alloc(heap, 16));
		}
		heap_free(heap, hole[0]);
		heap_free(heap, hole[2]);
		heap_free(heap, hole[1]); // next fit's search goes on after this one
		char *block = heap_alloc(heap, 100);
		unsigned found = 3;

		for (unsigned j = 0; j < 3; j++)
			if (block >= hole[j] && block < hole[j] + sizes[j])
				found = j;
		EXPECT_EQ(found, expected[i].hole);
	}
}

TEST(freelist_gives_regions_back)
{
	heap_model_machine(32);
	size_t reserved = host_reserved();
	struct heap *heap = heap_create(&heap_best_fit, heap_model_arena(), HEAP_MODEL_ARENA);
	char *block[20];

	for (unsigned i = 0; i < 20; i++)
		EXPECT((block[i] = heap_alloc(heap, 60000)));
	EXPECT(host_reserved() > reserved && ((struct freelist *)heap)->pieces > 2);
	for (unsigned i = 0; i < 20; i += 2)
		heap_free(heap, block[i]);
	heap_trim(heap);
	EXPECT_VERDICT(heap_check(heap), NULL);
	for (unsigned i = 1; i < 20; i += 2)
		heap_free(heap, block[i]);
	heap_trim(heap);
	EXPECT_EQ(host_reserved(), reserved);
	EXPECT_EQ(((struct freelist *)heap)->pieces, 1);
}

// ---- each invariant, broken on purpose ----

static struct freelist *some_freelist(void *block[4])
{
	heap_model_machine(32);
	struct heap *heap = heap_create(&heap_first_fit, heap_model_arena(), HEAP_MODEL_ARENA);

	for (unsigned i = 0; i < 4; i++)
		EXPECT((block[i] = heap_alloc(heap, 96)));
	heap_free(heap, block[0]);
	heap_free(heap, block[2]);
	EXPECT_VERDICT(heap_check(heap), NULL);
	return (struct freelist *)heap;
}

TEST(freelist_invariants)
{
	void *block[4];
	struct freelist *list = some_freelist(block);
	struct heap *heap = &list->heap;
	struct block *low = block_of(heap_model_inner(block[0])), *used = block_of(heap_model_inner(block[1]));
	struct block *high = block_of(heap_model_inner(block[2]));

	BREAK("F1", list->total, list->total + 16);
	BREAK("F1", list->piece[0].end, list->piece[0].start);
	BREAK("F2", used->bytes, (size_t)1 << 40 | FREELIST_USED);
	BREAK("F2", used->bytes, FREELIST_USED);
	BREAK("F3", high->next, low); // a ring
	BREAK("F3", high->next, (struct block *)16);
	BREAK("F5", list->first, high); // a free block is not in the list
	BREAK("F6", used->cookie, used->cookie ^ 1);
	BREAK("F7", list->rover, used);

	// Two free blocks that touch: the free block at the end is cut in two.
	struct block *end = high->next, *tail = (struct block *)((uintptr_t)end + 64);
	tail->bytes = end->bytes - 64;
	tail->next = NULL;
	end->bytes = 64;
	end->next = tail;
	EXPECT_VERDICT(heap_check(heap), "F4");
}

static bool walk_odd(void *context, heap_visitor *visit, void *visitor_context)
{
	return visit(visitor_context, context, 0, true);
}

static void *odd_block;

static void odd_walk(const struct heap *heap, heap_visitor *visit, void *context)
{
	(void)heap;
	walk_odd(odd_block, visit, context);
}

static struct verdict odd_check(const struct heap *heap)
{
	(void)heap;
	return ALL_HOLD;
}

TEST(heap_invariants)
{
	static size_t tag[8] = { SIZE_MAX };
	static const struct heap_ops odd = { .name = "odd", .walk = odd_walk, .check = odd_check };
	struct heap heap = { 0 };

	EXPECT_VERDICT(heap_check(&heap), "H1");
	heap.ops = &odd;
	odd_block = (char *)tag + 8;
	EXPECT_VERDICT(heap_check(&heap), "H2"); // empty, too
	if (MM_CHECK == 0)
		return;
	heap_model_machine(32);
	struct heap *whole = heap_create(&heap_first_fit, heap_model_arena(), HEAP_MODEL_ARENA);
	volatile size_t *block = heap_alloc(whole, 64);
	block[-4] = SIZE_MAX / 2; // the tag's bytes
	EXPECT_VERDICT(heap_check(whole), "H3");
}
