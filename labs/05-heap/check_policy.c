// check_policy.c: the checks of lab 05, steps 5.4 to 5.8: which hole is taken, and what else a heap can do.
//
//     5.4  next, best, worst      next_fit, extreme       5.6  resize, realloc    list_resize
//     5.5  aligned                front_for, leave_front  5.7  trim               cut
//     5.8  whole, memory          all of it
#include "arena.h"

static const struct heap_ops *const POLICIES[] = { &heap_first_fit, &heap_next_fit, &heap_best_fit, &heap_worst_fit };

// ---- 5.4

// Holes of many sizes between live blocks, then requests of many sizes; the shadow compares the hole that each one gets.
static void choose(const struct heap_ops *ops)
{
	for (unsigned round = 0; round < 25; round++) {
		arena_start(ops, 16384 + 16 * random_below(1000), APART);
		while (arena_largest() > 1200) {
			arena_alloc(40 + 100 * random_below(10), HEAP_ALIGN);
			arena_alloc(16, HEAP_ALIGN);
		}
		for (unsigned i = 0; i + 1 < arena.count; i += 1 + (unsigned)random_below(3))
			arena_free((void *)arena.live[i].at);
		for (unsigned i = 0; i < 60; i++) {
			size_t bytes = 1 + random_below(random_below(3) ? 200 : 900);
			if (arena_largest() < bytes)
				break;
			arena_alloc(bytes, HEAP_ALIGN);
			if (random_below(8) == 0)
				arena_free(arena_random());
		}
		arena_look();
	}
}

CHECK(next)
{
	judge_rule("Next fit goes on where the last search ended, and takes the first hole that is large enough.");
	choose(&heap_next_fit);
}

CHECK(best)
{
	judge_rule("Best fit takes the smallest hole that is large enough.");
	choose(&heap_best_fit);
}

CHECK(worst)
{
	judge_rule("Worst fit takes the largest hole.");
	choose(&heap_worst_fit);
}

// ---- 5.5

CHECK(aligned)
{
	judge_rule("A block is aligned as was asked for; what lies below it stays free.");
	for (unsigned round = 0; round < 32; round++) {
		arena_start(POLICIES[round % 4], 40000, round % 3);
		for (unsigned i = 0; i < 60; i++) {
			size_t align = HEAP_ALIGN << random_below(random_below(8) ? 6 : 12);
			if (arena.count > 0 && arena_largest() < 3 * align + 600 && random_below(4))
				arena_free(arena_random());
			else
				arena_alloc(1 + random_below(300), align);
			if (arena.count > 0 && random_below(3) == 0)
				arena_free(arena_random());
			arena_look();
		}
		while (arena.count > 0)
			arena_free(arena_random());
		arena_look();
	}
	arena_start(&heap_first_fit, 20000, APART);
	size_t before = arena_largest();
	void *block = arena_alloc(100, 4096);
	for (unsigned i = 0; i < 10; i++)
		arena_alloc(100, HEAP_ALIGN); // these fit below it: the shadow would complain
	REQUIRE(arena.reserves == 0, (uintptr_t)block, "What lies below an aligned block stays free.", "blocks in the arena",
		"a new piece");
	while (arena.count > 0)
		arena_free(arena_random());
	block = arena_alloc(before, HEAP_ALIGN);
	REQUIRE(block && arena.reserves == 0, NOWHERE, "Front and block become one hole again.", SAY("a block of %zu bytes", before),
		"none in the arena");
	for (size_t align = (size_t)1 << 62; align > (size_t)1 << 25; align >>= 1) {
		call("alloc(8, aligned to %#zx)", align);
		block = arena.ops->alloc(arena.heap, 8, align);
		REQUIRE(!block || (uintptr_t)block % align == 0, NOWHERE, "What cannot be had is refused.", "NULL", "a block");
	}
}

// ---- 5.6

CHECK(resize)
{
	static const char rule[] = "A block shrinks where it stands, and grows where what lies right above it is free.";
	judge_rule(rule);
	for (unsigned round = 0; round < 24; round++) {
		arena_start(POLICIES[round % 4], 12000, APART);
		void *low = arena_alloc(400, HEAP_ALIGN), *block = arena_alloc(400, HEAP_ALIGN), *high = arena_alloc(900, HEAP_ALIGN);
		arena_alloc(40, HEAP_ALIGN);
		arena_resize(block, 500); // nothing is free above it
		arena_resize(low, 100 + random_below(200));
		arena_look();
		arena_resize(low, 400); // what it gave up is still there
		arena_free(high);
		for (unsigned i = 0; i < 30; i++) { // into the hole and back
			arena_resize(block, 1 + random_below(1400));
			arena_look();
		}
		arena_free(low);
		arena_resize(block, 1200); // the hole below is of no use
		arena_look();
		for (unsigned i = 0; i < 60; i++) {
			if (arena.count < 12 || random_below(3) == 0)
				arena_alloc(1 + random_below(500), HEAP_ALIGN);
			else if (random_below(3) == 0)
				arena_free(arena_random());
			else
				arena_resize(arena_random(), 1 + random_below(900));
			arena_look();
		}
		while (arena.count > 0)
			arena_free(arena_random());
		arena_look();
	}
	void *block = arena_alloc(100, HEAP_ALIGN);
	for (size_t less = 0; less < 40; less++)
		arena_resize(block, SIZE_MAX - less);
	arena_look();
	unsigned char *freed = arena_alloc(100, HEAP_ALIGN);
	arena_free(freed);
	arena_free(block);
}

static void expect_bytes(const unsigned char *block, size_t bytes, unsigned char value, size_t was)
{
	for (size_t i = 0; i < bytes; i++)
		REQUIRE(block[i] == value, (uintptr_t)block, "heap_realloc keeps the bytes that fit into both sizes.",
			SAY("the first %zu of the %zu bytes as they were", bytes, was), SAY("byte %zu is 0x%02x", i, block[i]));
}

CHECK(realloc)
{
	static unsigned char *block[24];
	static size_t size[24];
	judge_rule("heap_realloc keeps the bytes that fit into both sizes; on failure the old block is as it was.");
	for (unsigned round = 0; round < 8; round++) {
		arena_start(POLICIES[round % 4], 16384, APART);
		memset(block, 0, sizeof block);
		memset(size, 0, sizeof size);
		for (unsigned i = 0; i < 300; i++) {
			unsigned n = (unsigned)random_below(24);
			size_t bytes = 1 + random_below(random_below(4) ? 300 : 3000);
			arena.refuse_from = i % 100 > 80 ? 1 : 0; // now and then there is no more
			call("heap_realloc(%s of %zu bytes, %zu)", block[n] ? arena_name((uintptr_t)block[n]) : "NULL", size[n], bytes);
			unsigned char *moved = heap_realloc(arena.heap, block[n], bytes);
			answer(moved ? arena_name((uintptr_t)moved) : "NULL");
			if (!moved) {
				REQUIRE(bytes > size[n], NOWHERE, "A block can always be made smaller.", "a block", "NULL");
				expect_bytes(block[n], size[n], (unsigned char)n, size[n]);
				continue;
			}
			expect_bytes(moved, size[n] < bytes ? size[n] : bytes, (unsigned char)n, size[n]);
			memset(moved, (int)n, bytes);
			block[n] = moved;
			size[n] = bytes;
		}
		for (unsigned n = 0; n < 24; n++) {
			if (!block[n])
				continue;
			expect_bytes(block[n], size[n], (unsigned char)n, size[n]);
			call("heap_free(%s)", arena_name((uintptr_t)block[n]));
			heap_free(arena.heap, block[n]);
		}
		arena_look();
	}
}

// ---- 5.7

CHECK(trim)
{
	static const char rule[] = "trim gives back every piece in which nothing is in use, and no other.";
	judge_rule(rule);
	for (unsigned round = 0; round < 24; round++) {
		arena_start(POLICIES[round % 4], 8192, round % 3);
		for (unsigned i = 0; i < 30; i++)
			arena_alloc(1 + random_below(60000), HEAP_ALIGN);
		arena_trim();
		arena_look();
		for (unsigned i = 0; i < 200 && arena.count > 0; i++) {
			if (random_below(5) == 0 && arena.count < 40)
				arena_alloc(1 + random_below(60000), HEAP_ALIGN);
			else
				arena_free(arena_random());
			if (random_below(3) == 0)
				arena_trim();
			if (i % 3 == 0)
				arena_look();
		}
		while (arena.count > 0)
			arena_free(arena_random());
		arena_trim();
		arena_look();
		REQUIRE(arena.reserved == 0, NOWHERE, rule, "no piece is left when nothing is in use",
			SAY("%zu bytes are kept", arena.reserved));
		arena_alloc(100, HEAP_ALIGN);
		arena_look();
	}
}

// ---- 5.8

CHECK(whole)
{
	judge_rule("Any calls in any order: every promise of heap.h is kept.");
	for (unsigned round = 0; round < 12; round++) {
		arena_start(POLICIES[round % 4], 4096 << random_below(4), round / 4);
		for (unsigned step = 0; step < 700; step++) {
			bool up = random_below(100) < (step / 100 % 2 ? 35 : 65);
			size_t bytes = 1 + random_below(random_below(8) ? 300 : random_below(8) ? 4000 : 60000);
			arena.refuse_from = step % 200 > 180 ? 1 : 0;
			if (up && arena.count < 200)
				arena_alloc(bytes, random_below(6) ? HEAP_ALIGN : HEAP_ALIGN << random_below(9));
			else if (arena.count > 0 && random_below(5) == 0)
				arena_resize(arena_random(), bytes);
			else if (arena.count > 0)
				arena_free(arena_random());
			if (random_below(40) == 0)
				arena_trim();
			if (step % 8 == 0)
				arena_look();
		}
		arena.refuse_from = 0;
		while (arena.count > 0)
			arena_free(arena_random());
		arena_trim();
		arena_look();
		REQUIRE(arena.reserved == 0, NOWHERE, "In the end everything is given back.", "no piece is left",
			SAY("%zu bytes", arena.reserved));
	}
}

// The most bytes that were in use at once, in hundredths of the most memory that the heap had.
static unsigned utilisation(const struct heap_ops *ops, unsigned kind)
{
	size_t live = 0, most = 0;
	arena_start(ops, 4096, UPWARDS);
	for (unsigned step = 0; step < 3500; step++) {
		bool up = random_below(100) < (step / 700 % 2 ? 38 : 72);
		size_t bytes = kind == 0 ? 100 + random_below(900) : kind == 1 ? 1 + random_below(random_below(8) ? 400 : 8000)
								       : 100 + step / 4 + random_below(60);
		unsigned char *block = up ? arena_alloc(bytes, HEAP_ALIGN) : NULL;
		live += block ? bytes : 0;
		most = live > most ? live : most;
		if (up || arena.count == 0)
			continue;
		unsigned i = (unsigned)random_below(arena.count);
		live -= arena.live[i].bytes;
		arena_free((void *)arena.live[i].at);
	}
	return (unsigned)(most * 100 / (arena.most + arena.bytes));
}

CHECK(memory)
{
	static const char rule[] = "Memory is used well: what is in use at the peak is most of what the heap has.";
	static const unsigned least[] = { 62, 54, 64, 44 }; // the reference: about 78, 70, 80, 60
	judge_rule(rule);
	for (unsigned policy = 0; policy < 4; policy++) {
		const struct heap_ops *ops = POLICIES[policy];
		unsigned percent = (utilisation(ops, 0) + utilisation(ops, 1) + utilisation(ops, 2)) / 3;
		REQUIRE(percent >= least[policy], NOWHERE, rule,
			SAY("%s: at least %u percent, over three mixtures", ops->name, least[policy]),
			SAY("%u percent", percent));
	}
}
