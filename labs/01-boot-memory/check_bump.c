// check_bump.c: the checks of lab 01 on bump.c, beside a shadow of its blocks (arena.h).
//
//     1.6  climb, full                 alloc
//     1.7  pop, dead, mistakes         free
//     1.8  stretch                     resize
#include "arena.h"

// ---- 1.6

static const char APART[] = "Blocks are aligned, inside their region, and have no byte in common.";

CHECK(climb)
{
	static const char dense[] = "The next block lies above all others, as low as its alignment allows.";
	judge_rule(APART);
	for (unsigned round = 0; round < 20; round++) {
		uintptr_t above = 0;
		arena_start(256 << 10, (unsigned)random_below(256));
		for (unsigned i = 0; i < 60; i++) {
			size_t bytes = 1 + random_below(random_below(4) ? 60 : 2000);
			size_t align = 16ul << random_below(random_below(3) ? 3 : 8);
			unsigned index = arena_alloc(bytes, align);
			REQUIRE(index < BLOCKS, above, "NULL only when there is no memory.", "a block", "NULL");
			const struct block *block = &arena.block[index];
			REQUIRE(block->start >= above && (!above || block->start - above < align + 64), block->start, dense,
				SAY("at most %zu bytes above arena + %lu", align + 63, (unsigned long)(above - arena.start)),
				SAY("arena + %ld", (long)(block->start - arena.start)));
			above = block->start + block->bytes;
		}
		require_stamps("Nobody but its owner writes to a live block.");
	}
}

static void fill_arena(size_t bytes, size_t align)
{
	size_t used = 0;
	unsigned index;
	host_fail_after(1); // no further region
	while ((index = arena_alloc(bytes, align)) < BLOCKS)
		used += arena.block[index].bytes > align ? arena.block[index].bytes : align;
	host_fail_after(UINT64_MAX);
	size_t least = arena.end - arena.start - 192 - (arena.count + 1) * (bytes > align ? 48 : align);
	least = arena.end - arena.start < 192 + (arena.count + 2) * (bytes + 48 + align) ? 0 : least;
	REQUIRE(used + 4 * align + bytes >= least || used >= least, arena.end, "NULL only when the arena is used up.",
		SAY("at least %zu bytes in blocks", least), SAY("%zu bytes", used));
	require_stamps("Nobody but its owner writes to a live block.");
}

CHECK(full)
{
	judge_rule("A block ends where its arena ends, at the latest.");
	for (size_t size = 208; size < 1000; size += 8) {
		arena_start(size, (unsigned)random_below(64));
		fill_arena(1 + size % 100, 16);
		arena_start(size, (unsigned)random_below(64));
		fill_arena(16, 16ul << size / 8 % 5);
	}
	for (size_t bytes = 1; bytes < 2000; bytes += bytes / 3 + 1) {
		arena_start(8192, (unsigned)random_below(256));
		fill_arena(bytes, 16);
	}
	judge_rule("When its region is full the heap gets a further one from port_reserve.");
	arena_start(2000, 7);
	for (unsigned i = 0; i < 300; i++)
		REQUIRE(arena_alloc(1 + random_below(900), 16ul << random_below(6)) < BLOCKS, arena.end,
			"NULL only when there is no memory.", "a block in a further region", "NULL");
	REQUIRE(arena_alloc(300000, 4096) < BLOCKS, arena.end, "NULL only when there is no memory.", "a block in a region of its size",
		"NULL");
	for (unsigned bits = 0; bits < 6; bits++) {
		size_t absurd = SIZE_MAX - (bits ? (1ul << 4 * bits) : 0);
		call("alloc(%zu, align 16)", absurd);
		REQUIRE(!heap_bump.alloc(arena.heap, absurd, 16), arena.end, "NULL when there is no memory.", "NULL", "a block");
	}
	require_stamps("Nobody but its owner writes to a live block.");
}

// ---- 1.7

static const char TAKEN_BACK[] = "The last block that comes back makes its room, and its header's and hole's, room again.";

// Whether the block lies where the room began when `index` was taken.
static void require_same_place(unsigned index, uintptr_t start, const char *rule)
{
	REQUIRE(index < BLOCKS && arena.block[index].start == start, start, rule, SAY("arena + %lu", (unsigned long)(start - arena.start)),
		index == BLOCKS ? "NULL" : SAY("arena + %ld", (long)(arena.block[index].start - arena.start)));
}

CHECK(pop)
{
	judge_rule(TAKEN_BACK);
	for (unsigned round = 0; round < 60; round++) {
		unsigned kept = 1 + (unsigned)random_below(6);
		size_t bytes[40];
		arena_start(64 << 10, (unsigned)random_below(64));
		for (unsigned i = 0; i < 40; i++) {
			bytes[i] = 1 + random_below(200);
			arena_alloc(bytes[i], 16);
		}
		for (unsigned i = 40; i-- > kept;)
			arena_free(i);
		for (unsigned i = kept; i < 40; i++)
			require_same_place(arena_alloc(bytes[i], 16), arena.block[i].start, TAKEN_BACK);
		require_stamps("Nobody but its owner writes to a live block.");
	}
	for (size_t align = 32; align <= 4096; align *= 2) { // holes that alignment has left
		arena_start(64 << 10, (unsigned)random_below(64));
		arena_alloc(40, 16);
		unsigned low = arena_alloc(16, 16);
		arena_free(low);
		for (unsigned i = 0; i < 20; i++)
			arena_free(arena_alloc(100, align));
		require_same_place(arena_alloc(16, 16), arena.block[low].start, TAKEN_BACK);
	}
}

static void shuffle(unsigned *what, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		unsigned other = (unsigned)random_below(i + 1), held = what[i];
		what[i] = what[other];
		what[other] = held;
	}
}

CHECK(dead)
{
	static const char below[] = "A block that was freed below others is room again as soon as all above it are.";
	static const char empty[] = "When no block lives, the whole arena is room again, and further regions are given back.";
	judge_rule(below);
	for (unsigned round = 0; round < 100; round++) {
		unsigned turn[20];
		bool grows = round % 3 == 2;
		arena_start(grows ? 1500 : 32 << 10, (unsigned)random_below(64));
		unsigned first = arena_alloc(24, 16);
		for (unsigned i = 0; i < 20; i++) {
			turn[i] = i + 1;
			arena_alloc(1 + random_below(grows ? 9000 : 300), 16ul << random_below(4));
		}
		uintptr_t above = arena.block[1].start;
		shuffle(turn, 20);
		for (unsigned i = 0; i < 20; i++) {
			arena_free(turn[i]);
			require_stamps("Nobody but its owner writes to a live block.");
		}
		judge_rule(grows ? empty : below);
		if (!grows) {
			unsigned next = arena_alloc(16, 16);
			REQUIRE(next < BLOCKS && arena.block[next].start <= above, above, below,
				SAY("at most arena + %lu", (unsigned long)(above - arena.start)), "above it");
			arena_free(next);
		}
		require_stamps("The heap is not empty as long as one block lives.");
		arena_free(first);
		require_same_place(arena_alloc(24, 16), arena.block[first].start, empty);
		REQUIRE(host_reserved() == 0, arena.start, empty, "every further region given back with port_release",
			SAY("%zu bytes are kept", host_reserved()));
	}
}

static void refuses(uintptr_t address, const char *what)
{
	static const char rule[] = "Freeing what is no live block is a mistake of the caller's: it panics.";
	call("free(%s)", what);
	REFUSES(rule, address, heap_bump.free(arena.heap, (void *)address));
	require_stamps("Nobody but its owner writes to a live block.");
}

CHECK(mistakes)
{
	static _Alignas(16) char foreign[256];
	for (unsigned round = 0; round < 10; round++) {
		arena_start(8192, (unsigned)random_below(64));
		unsigned a = arena_alloc(200, 16), b = arena_alloc(200, 64), c = arena_alloc(48, 16), d = arena_alloc(48, 16);
		arena_free(b);
		arena_free(d);
		refuses(arena.block[b].start, "b, a second time");
		refuses(arena.block[d].start, "d, a second time: it was the last");
		refuses(arena.block[a].start + 16, "a + 16");
		refuses(arena.block[a].start + 8, "a + 8");
		refuses(arena.block[c].start + 1, "c + 1");
		refuses((uintptr_t)foreign + 128, "an address outside the arena");
		refuses(arena.start, "the arena's start");
		refuses(arena.end - 64, "an address where no block was yet");
		arena_free(c);
		refuses(arena.block[b].start, "b, a second time, after c");
		arena_free(a);
		refuses(arena.block[a].start, "a, a second time, when the heap is empty");
		require_same_place(arena_alloc(200, 16), arena.block[a].start, "A mistake changes nothing.");
	}
}

// ---- 1.8

static void storm(size_t size, unsigned steps)
{
	arena_start(size, (unsigned)random_below(64));
	for (unsigned step = 0; step < steps; step++) {
		unsigned index = arena.count ? (unsigned)random_below(arena.count) : 0;
		if (random_below(4) && arena.count)
			index = arena.count - 1 - (unsigned)random_below(arena.count < 8 ? arena.count : 8);
		if (random_below(2) || !arena.count || !arena.block[index].live)
			arena_alloc(1 + random_below(300), 16ul << random_below(5));
		else if (random_below(3))
			arena_free(index);
		else
			arena_resize(index, 1 + random_below(600));
	}
	for (unsigned i = 0; i < arena.count; i++)
		if (arena.block[i].live)
			arena_free(i);
	REQUIRE(host_reserved() == 0, arena.start, "When no block lives, further regions are given back.", "nothing is kept",
		SAY("%zu bytes are kept", host_reserved()));
}

CHECK(stretch)
{
	static const char last[] = "The last block grows and shrinks where it is, and the next block lies right behind it.";
	static const char others[] = "A block with another behind it does not grow, and a failed attempt changes nothing.";
	for (unsigned round = 0; round < 100; round++) {
		arena_start(16384, (unsigned)random_below(64));
		unsigned a = arena_alloc(100, 16), b = arena_alloc(1 + random_below(100), 16);
		judge_rule(last);
		for (unsigned i = 0; i < 6; i++) {
			size_t bytes = 1 + random_below(3000);
			REQUIRE(arena_resize(b, bytes), arena.block[b].start, last, "true", "false");
			REQUIRE(arena.block[b].bytes < bytes + 64, arena.block[b].start, last, SAY("about %zu bytes in use", bytes),
				SAY("%zu bytes", arena.block[b].bytes));
		}
		unsigned c = arena_alloc(16, 16);
		REQUIRE(arena.block[c].start < arena.block[b].start + arena.block[b].bytes + 64, arena.block[c].start, last,
			"at most 64 bytes behind it", SAY("arena + %ld", (long)(arena.block[c].start - arena.start)));
		judge_rule(others);
		REQUIRE(!arena_resize(a, 1000), arena.block[a].start, others, "false", "true");
		REQUIRE(!arena_resize(c, 20000), arena.block[c].start, "A block does not leave its arena.", "false", "true");
		REQUIRE(!arena_resize(c, SIZE_MAX - random_below(20)), arena.block[c].start, "A block does not leave its arena.", "false",
			"true");
		require_stamps(others);
		arena_free(c);
		arena_free(b);
		require_same_place(arena_alloc(20, 16), arena.block[b].start, TAKEN_BACK);
	}
	judge_rule(APART);
	storm(100000, 1200);
	storm(3000, 1200);
}
