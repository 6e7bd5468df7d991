// check.c: the checks of lab 05, steps 5.1 to 5.3: the heap alone in its arena, call by call.
//
//     5.1  hole, take, sizes          insert, split, carve, length_for, first_from: blocks out of one hole
//     5.2  grow, refuse               grow
//     5.3  give, coalesce, exact, misuse      is_live, absorb, blame
//
// Every allocation is judged by the shadow (arena.c), which knows the gaps between live blocks, whatever records a heap keeps there.
#include "arena.h"

#define FIRST (&heap_first_fit)

static const char WHOLE[] = "When everything was given back, in any order, the heap is one hole again.";

// ---- 5.1

static size_t hole_bytes, holes;

static bool count_hole(void *context, void *block, size_t bytes, bool used)
{
	static const char rule[] = "A new heap is one hole, which is nearly all of its arena.";
	(void)context;
	REQUIRE(!used, (uintptr_t)block, rule, "a free block", "a used one");
	REQUIRE(++holes == 1, (uintptr_t)block, rule, "one free block", "more than one");
	hole_bytes = bytes;
	return true;
}

CHECK(hole)
{
	static const char rule[] = "A new heap is one hole, which is nearly all of its arena.";
	judge_rule(rule);
	for (size_t bytes = 0; bytes < 40000; bytes = bytes < 4096 ? bytes + 48 : bytes + 16 * random_below(100) + 16) {
		holes = hole_bytes = 0;
		if (!arena_start(FIRST, bytes, APART)) {
			REQUIRE(bytes < 4096, NOWHERE, rule, "a heap", "create returned NULL");
			continue;
		}
		arena.ops->walk(arena.heap, count_hole, NULL);
		REQUIRE(holes == 1 && (bytes < 4096 || hole_bytes > bytes - bytes / 32 - 3072), NOWHERE, rule,
			SAY("a free block of nearly %zu bytes", bytes), SAY("%zu free blocks, %zu bytes", holes, hole_bytes));
		arena_look();
	}
}

static size_t some_size(void)
{
	return 1 + random_below(random_below(4) ? 120 : 900);
}

// Blocks of all sizes for as long as they fit without a new piece.
static void fill(size_t size)
{
	for (size_t bytes = size ? size : some_size(); arena_largest() >= bytes; bytes = size ? size : some_size())
		arena_alloc(bytes, HEAP_ALIGN);
}

CHECK(take)
{
	judge_rule("Each block is aligned, lies in the arena and is apart from all others.");
	for (unsigned i = 0; i < 12; i++) {
		arena_start(FIRST, 5000 + 16 * random_below(1000), APART);
		for (unsigned n = 0; n < 40 && arena_largest() > 1000; n++) {
			arena_alloc(some_size(), HEAP_ALIGN);
			arena_look();
		}
		fill(0);
		arena_look();
		arena_start(FIRST, 5000, APART);
		fill(1 + 10 * i); // what is over must stay free: the sum of all would not fit otherwise
		arena_look();
	}
}

CHECK(sizes)
{
	static const char rule[] = "A size for which there is no block length is refused, and nothing has changed.";
	judge_rule(rule);
	arena_start(FIRST, 16000, APART);
	arena_alloc(100, HEAP_ALIGN);
	for (size_t less = 0; less < 16; less++) {
		call("alloc(SIZE_MAX - %zu)", less);
		void *block = arena.ops->alloc(arena.heap, SIZE_MAX - less, HEAP_ALIGN);
		REQUIRE(!block, (uintptr_t)block, rule, "NULL", SAY("a block at %s", arena_name((uintptr_t)block)));
		arena_look();
	}
	for (size_t bytes = 1; bytes < 80; bytes++)
		arena_alloc(bytes, HEAP_ALIGN);
	arena_look();
}

// ---- 5.2

CHECK(grow)
{
	static const char rule[] = "A heap that is full asks port_reserve for more: in large pieces, but not for many times what it needs.";
	judge_rule(rule);
	for (unsigned round = 0; round < 3; round++) {
		arena_start(FIRST, 4096 << round, APART);
		arena_alloc(200000, HEAP_ALIGN); // more than a piece would have by itself
		arena_look();
		arena_alloc(4096, HEAP_ALIGN);
		for (size_t live = 204096; live < 1500000; live += 1000) {
			arena_alloc(1000, HEAP_ALIGN);
			REQUIRE(arena.most <= 2 * live + 300000, NOWHERE, rule, SAY("at most twice the %zu bytes that are in use", live),
				SAY("%zu bytes", arena.most));
		}
		arena_look();
		REQUIRE(arena.reserves <= 40, NOWHERE, rule, "at most 40 calls of port_reserve for 1.5 MB", SAY("%u", arena.reserves));
	}
}

CHECK(refuse)
{
	static const char rule[] = "When port_reserve gives nothing the answer is NULL, and the heap works on with what it has.";
	judge_rule(rule);
	for (unsigned from = 1; from < 9; from++) { // from this call of port_reserve on nothing is given
		arena_start(FIRST, 8192, APART);
		arena.refuse_from = from;
		while (arena_alloc(20000, HEAP_ALIGN))
			;
		while (arena_alloc(some_size(), HEAP_ALIGN))
			;
		arena_look();
	}
	for (unsigned round = 0; round < 3; round++) { // memory comes to its end: smaller pieces are still there
		arena_start(FIRST, 8192, APART);
		for (size_t bytes = 300000 + 100000 * round; bytes > 100; bytes /= 3)
			while (arena_alloc(bytes, HEAP_ALIGN))
				;
		arena_look();
	}
	arena_start(FIRST, 8192, APART);
	for (size_t bytes = SIZE_MAX; bytes > (size_t)1 << 24; bytes -= bytes / 3) {
		call("alloc(%#zx)", bytes);
		void *block = arena.ops->alloc(arena.heap, bytes, HEAP_ALIGN);
		REQUIRE(!block, (uintptr_t)block, rule, "NULL", "a block");
	}
	arena_look();
}

// ---- 5.3

static void *turn[400];

// Fills the arena, frees all in some order; every `rare` frees the heap is looked at.
static void there_and_back(unsigned way, size_t size, unsigned rare)
{
	unsigned count = 0;
	size_t before = arena_largest();
	for (size_t bytes; count < 400 && arena_largest() >= (bytes = size ? size : some_size());)
		turn[count++] = arena_alloc(bytes, HEAP_ALIGN);
	for (unsigned i = 0; i < count; i++) { // 0: upwards, 1: downwards, 2: every second first, else at random
		unsigned second = i * 2 < count ? i * 2 : (i - (count + 1) / 2) * 2 + 1;
		unsigned from = way == 1 ? count - 1 - i : way == 2 ? second : i;
		unsigned other = i + (unsigned)random_below(count - i);
		if (way > 2) {
			void *held = turn[i];
			turn[i] = turn[other];
			turn[other] = held;
		}
		arena_free(turn[from]);
		if (i % rare == 0)
			arena_look();
	}
	arena_look();
	REQUIRE(arena_alloc(before, HEAP_ALIGN), NOWHERE, WHOLE, SAY("the largest block again, %zu bytes", before), "NULL");
	REQUIRE(arena.reserves == 0, NOWHERE, WHOLE, SAY("the largest block again, %zu bytes, in the arena", before),
		"port_reserve was asked for more memory");
	arena_free((void *)arena.live[0].at);
}

CHECK(give)
{
	static const char rule[] = "What was given back can be had again, and what lies beside it is left alone.";
	judge_rule(rule);
	arena_start(FIRST, 8192, APART);
	fill(100);
	for (unsigned i = 0; i < 200; i++) { // one block at a time: each hole is filled again before the next one comes
		void *block = arena_random();
		arena_free(block);
		arena_look();
		void *again = arena_alloc(100, HEAP_ALIGN);
		REQUIRE(again == block, (uintptr_t)block, rule, SAY("the only hole, at %s", arena_name((uintptr_t)block)),
			arena_name((uintptr_t)again));
	}
	for (unsigned round = 0; round < 20; round++) { // many holes that do not touch
		for (unsigned i = (unsigned)random_below(3); i < arena.count; i += 1 + (unsigned)random_below(3))
			arena_free((void *)arena.live[i].at); // the next block takes its place in the list: they never touch
		arena_look();
		fill(100);
	}
}

CHECK(coalesce)
{
	judge_rule(WHOLE);
	for (unsigned way = 0; way < 6; way++) {
		arena_start(FIRST, 12000, APART);
		there_and_back(way, 200, 2);
		there_and_back(way, 0, 2);
	}
	for (unsigned round = 0; round < 10; round++) {
		arena_start(FIRST, 4096 + 16 * random_below(2000), APART);
		for (unsigned i = 0; i < 3; i++)
			there_and_back(3, 0, 16);
	}
	for (unsigned layout = UPWARDS; layout <= DOWNWARDS; layout++) { // blocks may cross from one piece into the next
		arena_start(FIRST, 8192, layout);
		for (unsigned i = 0; i < 60; i++)
			arena_alloc(1 + random_below(20000), HEAP_ALIGN);
		while (arena.count > 0) {
			arena_free(arena_random());
			arena_look();
		}
	}
}

CHECK(exact)
{
	static const char rule[] = "A hole that is just large enough is taken, as a whole when the rest would be too small for a block.";
	judge_rule(rule);
	for (size_t size = 100; size < 300; size += 36) {
		for (size_t less = 0; less <= 64; less++) {
			arena_start(FIRST, 6000, APART);
			void *low = arena_alloc(80, HEAP_ALIGN), *hole = arena_alloc(size, HEAP_ALIGN), *high = arena_alloc(80, HEAP_ALIGN);
			arena_free(hole);
			void *again = arena_alloc(size - less, HEAP_ALIGN);
			REQUIRE(again == hole, (uintptr_t)hole, rule,
				SAY("the hole at %s, in which %zu bytes were", arena_name((uintptr_t)hole), size),
				arena_name((uintptr_t)again));
			arena_look();
			arena_free(low);
			arena_look();
			arena_free(again);
			arena_free(high);
			arena_look();
		}
	}
}

CHECK(misuse)
{
	judge_rule("A caller's mistake panics at once, with the name of the rule.");
	for (unsigned i = 0; i < 24; i++) {
		arena_start(FIRST, 8192, APART);
		fill(0);
		unsigned n = (unsigned)random_below(arena.count - 1);
		unsigned char *block = (void *)arena.live[n + i % 2].at, *other = (void *)arena.live[n + 1 - i % 2].at; // neighbours
		unsigned char *large = arena_alloc(5000, HEAP_ALIGN);
		static char elsewhere[64] __attribute__((aligned(16)));
		arena_expect_panic("misaligned", block + 1 + random_below(15), "inside a block");
		arena_expect_panic("foreign|not the start", large + 16 * (1 + random_below(300)), "inside a block");
		arena_expect_panic("foreign|not the start", elsewhere + 16, "no memory of the heap's");
		arena_expect_panic("foreign|not the start", (void *)(uintptr_t)64, "no memory at all");
		arena_free(block);
		arena_expect_panic("double", block, "free already");
		arena_free(other);
		arena_expect_panic("double", other, "free already");
		arena_expect_panic("double", block, "free already");
		while (arena.count > 0)
			arena_free((void *)arena.live[arena.count - 1].at);
		arena_expect_panic("double", block, "free already"); // it is inside of a larger hole now
		arena_look();
	}
}
