// check.c: the checks of lab 01 on memblock.c, beside a shadow of its ranges (ranges.h); those on bump.c are in check_bump.c.
//
//     1.1  sorted, merged, limits               memblock_add, memblock_reserve
//     1.2  gaps, totals                         memblock_next_free, memblock_free_bytes
//     1.3  lowest, bounds                       memblock_alloc
//     1.4  highest, bounds_high, machines       memblock_alloc_high; all of it below page_init
//     1.5  back, misuse                         memblock_free
#include "../../mm/host/page_model.h"
#include "ranges.h"

// ---- 1.1

static const char SORTED[] = "A list has its ranges in rising order, whatever the order in which they came.";
static const char MERGED[] = "Ranges that overlap or touch are one range.";

CHECK(sorted)
{
	judge_rule(SORTED);
	for (unsigned round = 0; round < 40; round++) {
		unsigned turn[48];
		world_start(round % WORLDS);
		for (unsigned i = 0; i < 48; i++) {
			unsigned other = (unsigned)random_below(i + 1);
			turn[i] = turn[other];
			turn[other] = i;
		}
		for (unsigned i = 0; i < 48; i++) {
			uint64_t first = 20 * turn[i] + random_below(10);
			if (random_below(2))
				add(first, 1 + random_below(9));
			else
				reserve(first, 1 + random_below(9));
			require_lists(SORTED);
		}
	}
}

// Five ranges of 10 units, and one more that begins and ends wherever it may.
static void one_more(uint64_t first, uint64_t count, unsigned which)
{
	world_start(which);
	for (uint64_t i = 0; i < 5; i++) {
		add(100 + 20 * i, 10);
		reserve(100 + 20 * i, 10);
	}
	add(first, count);
	require_lists(MERGED);
	reserve(first, count);
	require_lists(MERGED);
}

CHECK(merged)
{
	judge_rule(MERGED);
	one_more(110, 10, 1); // touches both of its neighbours
	for (unsigned round = 0; round < 1500; round++) {
		uint64_t first = 85 + random_below(120);
		one_more(first, 1 + random_below(random_below(2) ? 15 : 210 - first), round % WORLDS);
	}
	for (unsigned round = 0; round < 30; round++) {
		world_start(round % WORLDS);
		for (unsigned i = 0; i < 60 && reserved_ranges() < 50; i++) {
			add(random_below(world.usable - 30), random_below(30));
			reserve(random_below(world.usable - 30), random_below(random_below(8) ? 10 : 30));
			require_lists(MERGED);
		}
	}
}

// Every 16th unit is in a range: MEMBLOCK_RANGES in each list.
static void fill_lists(unsigned which)
{
	world_start(which);
	for (uint64_t i = 0; i < MEMBLOCK_RANGES; i++) {
		add(16 * i, 8);
		reserve(16 * i, 4);
	}
}

static void require_refused(uint64_t start, uint64_t bytes, const char *rule)
{
	call("memblock_add, memblock_reserve(0x%llx, 0x%llx bytes)", (unsigned long long)start, (unsigned long long)bytes);
	REQUIRE(!memblock_add(world.mb, PA(start), bytes), start, rule, "memblock_add: false", "true");
	REQUIRE(!memblock_reserve(world.mb, PA(start), bytes), start, rule, "memblock_reserve: false", "true");
	require_lists("A range that is refused changes nothing.");
}

CHECK(limits)
{
	static const char full[] = "A list has at most MEMBLOCK_RANGES ranges; one more is refused, and nothing is changed.";
	static const char wraps[] = "A range that wraps around the end of the address space is refused, and nothing is changed.";
	static const char grows[] = "A full list still takes what is empty, or part of its ranges, or makes them fewer.";
	judge_rule(full);
	fill_lists(1);
	require_lists(SORTED);
	for (uint64_t i = 0; i < 8; i++)
		require_refused(address_of(16 * i * 9 + 10), 2 * world.unit, full);
	judge_rule(grows);
	add(100, 0);
	reserve(106, 0);
	add(8, 2);
	reserve(16 * 20 + 1, 2);
	reserve(16 * 20, 16 * 4 + 1);
	require_lists(grows);
	add(16 * 30 + 8, 8);
	add(16 * 31 + 10, 3); // there is room for one again
	require_lists(grows);
	judge_rule(wraps);
	for (unsigned which = 3; which < WORLDS; which++) {
		world_start(which);
		add(UNITS - 50, 49); // up to the last address that can be an end
		reserve(UNITS - 10, 9);
		require_lists(SORTED);
		require_refused(address_of(UNITS - 50), 50 * world.unit, wraps);
		require_refused(address_of(UNITS - 1), 2 * world.unit, wraps);
		require_refused(address_of(7), UINT64_MAX, wraps);
		require_refused(1, UINT64_MAX, wraps);
		add(UNITS - 1, 0);
		require_lists("An empty range changes nothing.");
	}
}

// ---- 1.2

static const char FREE_RANGES[] = "Free is what is memory and not reserved: every such run once, in rising order, and nothing else.";

static void some_ranges(unsigned rounds)
{
	for (unsigned i = 0; i < rounds && reserved_ranges() < 45; i++) {
		if (random_below(3) == 0)
			add(random_below(world.usable - 90), random_below(90));
		else
			reserve(random_below(world.usable - 20), random_below(20));
	}
}

CHECK(gaps)
{
	judge_rule(FREE_RANGES);
	for (uint64_t first = 95; first < 132; first++) { // one reservation, wherever it may lie
		for (uint64_t end = first + 1; end < 133; end++) {
			world_start(0);
			add(100, 10);
			add(115, 15);
			reserve(first, end - first);
			require_free(FREE_RANGES);
		}
	}
	for (unsigned round = 0; round < 60; round++) {
		world_start(round % WORLDS);
		if (round % 4 == 0)
			add(0, world.usable);
		for (unsigned i = 0; i < 12; i++) {
			some_ranges(5);
			require_free(FREE_RANGES);
		}
	}
}

static void require_totals(void)
{
	static const char rule[] = "memblock_memory_bytes and memblock_free_bytes tell how many bytes there are.";
	uint64_t memory = 0, free = 0;
	for (uint64_t i = 0; i < UNITS; i++) {
		memory += world.memory[i];
		free += world.memory[i] && !world.reserved[i];
	}
	memory *= world.unit;
	free *= world.unit;
	call("memblock_memory_bytes, memblock_free_bytes");
	uint64_t said[2] = { memblock_memory_bytes(world.mb), memblock_free_bytes(world.mb) };
	REQUIRE(said[0] == memory, world.base, rule, SAY("%llu bytes of memory", (unsigned long long)memory),
		SAY("%llu", (unsigned long long)said[0]));
	REQUIRE(said[1] == free, world.base, rule, SAY("%llu bytes free", (unsigned long long)free),
		SAY("%llu", (unsigned long long)said[1]));
}

CHECK(totals)
{
	for (unsigned round = 0; round < 100; round++) {
		world_start(round % WORLDS);
		judge_rule("An empty memblock has nothing free.");
		require_totals();
		for (unsigned i = 0; i < 10; i++) {
			some_ranges(4);
			require_totals();
		}
		require_lists("Asking changes nothing.");
	}
}

// ---- 1.3, 1.4

static void takes(bool high)
{
	for (unsigned round = 0; round < 250; round++) {
		world_start(round % WORLDS);
		some_ranges(10 + round % 20);
		for (unsigned i = 0; i < 12 && reserved_ranges() < 60; i++) {
			uint64_t size = world.unit * (1 + random_below(random_below(2) ? 8 : 90));
			take(size, world.unit << random_below(random_below(3) ? 5 : 10), high);
			require_lists("What was given out is reserved, to the byte.");
		}
	}
}

CHECK(lowest)
{
	judge_rule("memblock_alloc takes the lowest place where it fits.");
	takes(false);
}

CHECK(highest)
{
	judge_rule("memblock_alloc_high takes the highest place where it fits.");
	takes(true);
}

static void edges(bool high)
{
	static const char rule[] = "Only memory that is there and not reserved is given out, from its first byte to its last.";
	judge_rule(rule);
	for (unsigned which = 0; which < WORLDS; which++) {
		world_start(which);
		take(world.unit, world.unit, high); // there is no memory at all
		add(0, 64);
		add(UNITS - 65, 64);
		take(65 * world.unit, world.unit, high);
		take(64 * world.unit, world.unit, high);
		take(64 * world.unit, world.unit, high); // address 0 is never given out
		take(64 * world.unit, world.unit, high);
		take(world.unit, world.unit, high);
		take(63 * world.unit, world.unit, high);
		require_lists(rule);
	}
	for (uint64_t size = 1; size < 40; size++) { // gaps of 16 to 32 bytes, at all alignments
		for (uint64_t align = 1; align <= 64; align *= 2) {
			world_start(size % 2 ? 2 : 3);
			add(200, 400);
			for (uint64_t at = 200, gap = 16; at < 560; gap = gap % 16 + 17, at += gap)
				reserve(at, 3);
			while (reserved_ranges() < 50 && take(size, align, high))
				;
			require_lists(rule);
		}
	}
}

static void wrong_align(bool high, pa_t (*alloc)(struct memblock *, uint64_t, uint64_t), uint64_t align)
{
	call("memblock_alloc%s(16 bytes, align 0x%llx)", high ? "_high" : "", (unsigned long long)align);
	REFUSES("An alignment that is no power of two is a mistake of the caller's: it panics.", world.base,
		(void)!alloc(world.mb, 16, align).raw);
}

static void absurd(bool high, pa_t (*alloc)(struct memblock *, uint64_t, uint64_t))
{
	static const char rule[] = "What fits nowhere is refused, and nothing is changed.";
	static const uint64_t sizes[] = { 0, 1ull << 63, UINT64_MAX - 4095, UINT64_MAX };
	static const uint64_t wrong[] = { 0, 3, 48, 4097, UINT64_MAX };
	for (unsigned which = 0; which < WORLDS; which++) {
		world_start(which);
		add(3, UNITS - 4);
		reserve(UNITS - 5, 2);
		for (unsigned i = 0; i < 4; i++) {
			call("memblock_alloc%s(0x%llx bytes, align 1)", high ? "_high" : "", (unsigned long long)sizes[i]);
			pa_t got = alloc(world.mb, sizes[i], 1);
			REQUIRE(pa_is_none(got), got.raw, sizes[i] ? rule : "No bytes are refused.", "PA_NONE",
				SAY("0x%llx", (unsigned long long)got.raw));
		}
		for (unsigned bits = 32; bits < 64; bits++)
			take(world.unit, 1ull << bits, high);
		for (unsigned i = 0; i < 5; i++)
			wrong_align(high, alloc, wrong[i]);
		require_lists(rule);
	}
}

// With a full list only what touches a reservation can be given out.
static void full_list(bool high, pa_t (*alloc)(struct memblock *, uint64_t, uint64_t))
{
	static const char rule[] = "When the list of reservations is full, what needs one range more is refused, and nothing is changed.";
	fill_lists(0);
	for (uint64_t i = 0; i < MEMBLOCK_RANGES; i++)
		reserve(16 * i + 4, 1); // free are 5, 6 and 7 of each 16, and 6 touches nothing
	call("memblock_alloc%s(1 byte, align 2) with a full list", high ? "_high" : "");
	judge_rule(rule);
	pa_t got = alloc(world.mb, 1, 2);
	REQUIRE(pa_is_none(got), got.raw, rule, "PA_NONE", SAY("0x%llx", (unsigned long long)got.raw));
	require_lists(rule);
	take(3, 1, high);
	require_lists("A full list still takes what makes one of its ranges longer.");
}

CHECK(bounds)
{
	edges(false);
	absurd(false, memblock_alloc);
	full_list(false, memblock_alloc);
}

CHECK(bounds_high)
{
	edges(true);
	absurd(true, memblock_alloc_high);
	full_list(true, memblock_alloc_high);
}

CHECK(machines)
{
	static const char rule[] = "page_init takes over all free pages of every kind of machine, and no others.";
	judge_rule(rule);
	for (unsigned m = 0; m < MODEL_MACHINE_COUNT; m++) {
		call("page_init on the machine \"%s\"", MODEL_MACHINES[m].name);
		page_model_start("buddy", &MODEL_MACHINES[m], 1, 0, random_below);
		uint64_t high = 0;
		for (const struct memblock_range *ram = MODEL_MACHINES[m].ram; ram->end > 0; ram++)
			high = ram->end > high ? ram->end : high;
		for (unsigned step = 0; step < 100; step++)
			page_model_step();
		page_model_finish();
		struct memblock_range *last = &page_model.mb.reserved.range[page_model.mb.reserved.count - 1];
		REQUIRE(last->end > high - 4096, NOWHERE, "page_init's records lie at the very top, and low memory stays whole.",
			SAY("a reservation that ends at 0x%llx", (unsigned long long)high),
			SAY("the last one ends at 0x%llx", (unsigned long long)last->end));
	}
}

// ---- 1.5

CHECK(back)
{
	static const char rule[] = "What is given back is free again, and what lies before and behind it stays reserved.";
	judge_rule(rule);
	for (uint64_t first = 100; first < 112; first++) { // each part of a reservation between two others
		for (uint64_t end = first; end <= 112; end++) {
			world_start(0);
			add(50, 200);
			reserve(90, 6);
			reserve(100, 12);
			reserve(120, 6);
			give_back(first, end - first);
			require_lists(rule);
			require_free(rule);
		}
	}
	for (unsigned round = 0; round < 60; round++) {
		world_start(round % WORLDS);
		some_ranges(30);
		for (unsigned i = 0; i < 30 && reserved_ranges() < 55; i++) {
			uint64_t at = random_below(UNITS), count = 0, most = random_below(20);
			while (count < most && at + count < UNITS && world.reserved[at + count])
				count++;
			if (count || round % 8 == 0)
				give_back(at, count);
			else
				take(world.unit, world.unit, random_below(2));
			require_lists(rule);
		}
	}
}

static void wrong_free(uint64_t start, uint64_t bytes)
{
	static const char rule[] = "Giving back what is not all reserved is a mistake of the caller's: it panics, and changes nothing.";
	call("memblock_free(0x%llx, 0x%llx bytes)", (unsigned long long)start, (unsigned long long)bytes);
	REFUSES(rule, start, memblock_free(world.mb, PA(start), bytes));
	require_lists(rule);
}

CHECK(misuse)
{
	for (unsigned which = 0; which < WORLDS; which++) {
		world_start(which);
		add(100, 200);
		reserve(120, 10);
		reserve(131, 10);
		reserve(200, 20);
		reserve(500, 5);
		for (uint64_t from = 90; from < 145; from++)
			for (uint64_t count = 1; count < 40; count += random_below(3) + 1) {
				bool inside = (from >= 120 && from + count <= 130) || (from >= 131 && from + count <= 141);
				if (!inside)
					wrong_free(address_of(from), count * world.unit);
			}
		wrong_free(address_of(200), 0 - (uint64_t)world.unit); // wraps
		wrong_free(address_of(205), UINT64_MAX);
		wrong_free(address_of(504), 2 * world.unit);
		give_back(200, 20);
		wrong_free(address_of(200), 20 * world.unit); // twice
	}
	fill_lists(1);
	static const char rule[] = "A hole needs a range more: when there is no room for it, memblock_free panics, and changes nothing.";
	call("memblock_free in the middle of a reservation, with a full list");
	REFUSES(rule, address_of(17), memblock_free(world.mb, PA(address_of(17)), 2 * world.unit));
	require_lists(rule);
	give_back(16, 2);
	give_back(16 * 2 + 3, 1);
	give_back(16 * 3, 4);
	require_lists("Ends of reservations can be given back when the list is full.");
}
