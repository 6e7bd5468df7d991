// check_range.c: the checks of lab 04 that need large leaves and ranges: steps 4.6 to 4.9.
//
//     4.6  split, nosplit              large leaves across the ends of a range
//     4.7  protect, narrow             table_protect
//     4.8  range, undo                 table_map_range
//     4.9  whole                       all of it, at random, with memory running out
#include "shadow.h"

// ---- 4.6

CHECK(split)
{
	static const char rule[] =
		"A large leaf across an end of the range is split: inside the range it goes, outside every address keeps its translation.";
	judge_rule(rule);
	for (unsigned round = 0; round < 16; round++) {
		start_tables();
		unsigned level = round % 4 == 0 ? 2 : 1;
		size_t whole = level_bytes(level) / PAGE_BYTES;
		try_map(EDGE, some_pa(level), level, some_bits());
		try_map(EDGE - 1, some_pa(0), 0, PTE_R);
		size_t first = EDGE + random_below(whole), count = 1 + random_below(round % 3 == 0 ? 1 : whole - (first - EDGE));
		try_unmap(first, count);
		require_pages(EDGE, whole, rule);
		try_unmap(EDGE, 1); // the new tables count their entries: they go when they are empty
		try_unmap(EDGE + whole - 1, 1);
		try_unmap(0, EDGE + whole);
		REQUIRE(user.pages == 1, NOWHERE, "When everything is unmapped only the root is left.", "1 table", SAY("%zu", user.pages));
	}
	start_tables();
	try_map(EDGE, some_pa(2), 2, PTE_R | PTE_W | PTE_U);
	try_unmap(EDGE + LARGE, 2 * LARGE); // at its borders a leaf needs no split to 4 KiB
	REQUIRE(user.pages == 2, page_va(EDGE), "Nothing is split further than the range needs.", "2 tables",
		SAY("%zu tables", user.pages));
}

CHECK(nosplit)
{
	static const char rule[] = "When memory runs out for a split, table_unmap says TABLE_NO_MEMORY, and nothing has changed.";
	judge_rule(rule);
	for (unsigned level = 1; level <= 2; level++) {
		for (unsigned k = 1; k <= 5; k++) {
			start_tables();
			try_map(EDGE, some_pa(level), level, PTE_R | PTE_U);
			size_t tables = user.pages;
			host_fail_after(k);
			call("from here on allocation %u and all after it fail", k);
			enum table_result result = try_unmap(EDGE + 3, 1 + LARGE / 2);
			host_fail_after(UINT64_MAX);
			REQUIRE(k > 1 || result == TABLE_NO_MEMORY, page_va(EDGE), rule, "TABLE_NO_MEMORY", "TABLE_OK");
			REQUIRE(result == TABLE_OK || user.pages == tables, page_va(EDGE), rule, SAY("%zu tables", tables),
				SAY("%zu tables", user.pages));
			require_pages(EDGE, level_bytes(level) / PAGE_BYTES, rule);
		}
	}
}

// ---- 4.7

CHECK(protect)
{
	judge_rule("table_protect gives every leaf of the range these rights, and leaves all else of the entry as it is.");
	for (unsigned round = 0; round < 12; round++) {
		start_tables();
		fill(90, 2 * EDGE + 2 * LARGE, round % 3 == 2);
		try_map(EDGE - 3, some_pa(0), 0, PTE_R | PTE_U | PTE_DIRTY); // a bit that is not a right stays
		for (unsigned n = 0; n < 12; n++) {
			size_t first = random_below(2 * EDGE + 2 * LARGE), room = 2 * EDGE + 2 * LARGE - first;
			try_protect(first, 1 + random_below(n % 2 && room > 30 ? 30 : room), some_bits());
		}
		try_unmap(0, PAGES);
	}
}

CHECK(narrow)
{
	static const char rule[] = "Each single right that a leaf loses is told to the CPUs; rights that it gains are not.";
	static const uint64_t all[] = { PTE_R | PTE_W | PTE_X | PTE_U, PTE_R | PTE_W | PTE_U, PTE_R | PTE_X | PTE_U, PTE_R | PTE_U,
		PTE_X | PTE_U, PTE_R | PTE_W, PTE_R, PTE_R | PTE_COW | PTE_U };
	judge_rule(rule);
	for (unsigned from = 0; from < sizeof all / sizeof *all; from++) {
		for (unsigned to = 0; to < sizeof all / sizeof *all; to++) {
			start_tables();
			for (unsigned n = 0; n < 4; n++)
				try_map(EDGE + n * 100, some_pa(0), 0, all[from]);
			try_map(EDGE + LARGE, some_pa(1), 1, all[from]);
			try_protect(EDGE + 50, 2 * LARGE - 50, all[to]);
			try_protect(EDGE + LARGE + 7, 3, all[from]);
			try_protect(EDGE, 1, all[to]);
		}
	}
}

// ---- 4.8

static enum table_result try_range(size_t first, size_t count, uint64_t pa, uint64_t bits)
{
	static const char rule[] = "table_map_range maps all of the range, or, where something is in the way, nothing.";
	bool fits = true;
	for (size_t page = first; page < first + count; page++)
		fits &= !shadow[page];
	judge_place(page_va(first));
	call("table_map_range(va %#lx, pa %#lx, %zu pages, bits %#lx)", (unsigned long)page_va(first), (unsigned long)pa, count,
		(unsigned long)bits);
	enum table_result result = table_map_range(&user, VA(page_va(first)), PA(pa), count * PAGE_BYTES, bits);
	answer("%s", result == TABLE_OK ? "TABLE_OK" : result == TABLE_BUSY ? "TABLE_BUSY" : "TABLE_NO_MEMORY");
	REQUIRE(result == TABLE_NO_MEMORY || result == (fits ? TABLE_OK : TABLE_BUSY), page_va(first), rule,
		fits ? "TABLE_OK" : "TABLE_BUSY", result == TABLE_OK ? "TABLE_OK" : "TABLE_BUSY");
	for (size_t i = 0; result == TABLE_OK && i < count; i++)
		shadow[first + i] = (pa + i * PAGE_BYTES) | bits;
	require_pages(first, count, rule);
	require_counts("What was mapped before the range turned out to be too much comes off again, with its tables.");
	return result;
}

CHECK(range)
{
	static const char rule[] = "A range is mapped with the largest leaves that fit both addresses and what is left.";
	judge_rule(rule);
	for (unsigned round = 0; round < 24; round++) {
		start_tables();
		size_t first = random_below(2 * EDGE), count = 1 + random_below(round % 3 ? 4 * LARGE : 40);
		uint64_t pa = ((uint64_t)3 << 30) + (round % 2 ? page_va(first) % level_bytes(2) : random_below(1024) * PAGE_BYTES);
		if (round == 0)
			first = 0, count = PAGES, pa = ((uint64_t)7 << 30) - EDGE * PAGE_BYTES;
		try_range(first, count, pa, some_bits());
		for (size_t page = first; page < first + count; page += level_bytes(look(&user, page_va(page)).level) / PAGE_BYTES) {
			unsigned level = 2;
			uint64_t both = page_va(page) | (pa + (page - first) * PAGE_BYTES);
			while (level > 0 &&
				((first + count - page) * PAGE_BYTES < level_bytes(level) || !is_aligned(both, level_bytes(level))))
				level--;
			struct found found = look(&user, page_va(page));
			REQUIRE(found.level == level, page_va(page), rule, SAY("a leaf at level %u", level),
				SAY("one at level %u", found.level));
		}
	}
}

CHECK(undo)
{
	judge_rule("table_map_range does all or nothing.");
	for (unsigned round = 0; round < 12; round++) {
		start_tables();
		try_map(2 * EDGE + random_below(2 * LARGE), some_pa(0), 0, PTE_R | PTE_U);
		try_range(EDGE / 2 + random_below(EDGE), 3 * LARGE, (uint64_t)3 << 30, PTE_R | PTE_U);
	}
	for (unsigned k = 1; k < 8; k++) {
		start_tables();
		host_fail_after(k);
		call("from here on allocation %u and all after it fail", k);
		try_range(3, 4 * LARGE, ((uint64_t)3 << 30) + PAGE_BYTES, PTE_R | PTE_W | PTE_U);
		host_fail_after(UINT64_MAX);
		try_range(3, 4 * LARGE, ((uint64_t)3 << 30) + PAGE_BYTES, PTE_R | PTE_W | PTE_U);
	}
}

// ---- 4.9

static void anything(void)
{
	size_t span = random_below(10) == 0 ? PAGES : 2 * EDGE + 3 * LARGE;
	size_t first = random_below(span), room = span - first, count = 1 + random_below(random_below(2) && room > 20 ? 20 : room);
	unsigned level = random_below(3) == 0;
	switch (random_below(5)) {
	case 0:
		try_range(first, count, random_below(3) ? ((uint64_t)3 << 30) + page_va(first) : (uint64_t)5 << 30, some_bits());
		break;
	case 1:
		try_unmap(first, count);
		break;
	case 2:
		try_protect(first, count, some_bits());
		break;
	default:
		try_map(level ? EDGE + random_below(3) * LARGE : first, some_pa(level), level, some_bits());
	}
}

CHECK(whole)
{
	judge_rule(
		"Whatever is called in whatever order, memory says what it should, nothing is remembered too long, and nothing is lost.");
	for (unsigned round = 0; round < 3; round++) {
		start_tables();
		for (unsigned step = 0; step < 130; step++) {
			if (random_below(4) == 0)
				host_fail_after(1 + random_below(4));
			anything();
			host_fail_after(UINT64_MAX);
			if (random_below(25) == 0)
				try_unmap(0, PAGES);
		}
		call("table_destroy(&user, NULL)");
		table_destroy(&user, NULL, NULL);
		REQUIRE(page_free_count() == free_before + 1, NOWHERE, "In the end every page is back.",
			"all pages of the table are free again", SAY("%ld are not", (long)free_before + 1 - (long)page_free_count()));
	}
}
