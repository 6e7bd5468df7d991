// check.c: the checks of lab 04: page tables beside a shadow, an own walk, and a software MMU that forgets nothing by itself.
//
//     4.1  create                      table_create
//     4.2  map, refuse, busy, nomap    table_map        from here on, memory must say of every page what the shadow says
//     4.3  destroy                     table_destroy
//     4.4  one                         table_unmap of a page whose table stays
//     4.5  unmap, empty, sparse        table_unmap of any range
//     4.6  split, nosplit              large leaves across the ends of a range
//     4.7  protect, narrow             table_protect
//     4.8  range, undo                 table_map_range
//     4.9  whole                       all of it, at random, with memory running out
#include <stdlib.h>

#include "shadow.h"

static uint64_t some_pa(unsigned level)
{
	return ((1 + random_below(3)) << 30) + (level < 2 ? random_below(256) * level_bytes(level) : 0);
}

static uint64_t some_bits(void)
{
	static const uint64_t some[] = { PTE_R, PTE_R | PTE_W, PTE_R | PTE_X, PTE_X, PTE_R | PTE_COW };
	return some[random_below(5)] | (random_below(3) ? PTE_U : 0);
}

// ---- 4.1

CHECK(create)
{
	static const char rule[] = "A user's new table has an empty lower half, and in the upper half the entries of the kernel's root.";
	judge_rule(rule);
	start_tables();
	for (unsigned round = 0; round < 8; round++) {
		struct table table;
		memset(&table, 0xa5, sizeof table);
		size_t before = page_free_count();
		call("table_create(&table, &kernel)");
		EXPECT(table_create(&table, &kernel));
		const uint64_t *root = pa_pointer(table.root), *theirs = pa_pointer(kernel.root);
		for (unsigned i = 0; i < 512; i++)
			REQUIRE(root[i] == (i < 256 ? 0 : theirs[i]), NOWHERE, rule, SAY("root entry %u = %#lx", i, (unsigned long)(i < 256 ? 0 : theirs[i])),
				SAY("%#lx", (unsigned long)root[i]));
		REQUIRE(page_free_count() == before - 1 && table.pages == 1, NOWHERE, "A new table is one page: its root.", "1 page, pages = 1",
			SAY("%zu pages, pages = %zu", before - page_free_count(), table.pages));
		REQUIRE(table.asid == 0 && table.cpus == 0 && table.user && !table.large, NOWHERE,
			"A user's table begins with asid 0 and cpus 0, marked `user`, not `large`.", "asid 0, cpus 0, user, not large",
			SAY("asid %u, cpus %u, user %d, large %d", table.asid, table.cpus, table.user, table.large));
		memset(pa_pointer(PA(table.root.raw)), 0xff, PAGE_BYTES / 2); // the page is dirty when the next table gets it
		page_free(table.root);
	}
	REQUIRE(!kernel.user && kernel.asid == PORT_KERNEL_ASID, NOWHERE, "The kernel's own table has asid PORT_KERNEL_ASID and is no user's.",
		"PORT_KERNEL_ASID, not user", SAY("asid %#x, user %d", kernel.asid, kernel.user));
	struct table none;
	host_fail_after(1);
	call("table_create(&table, &kernel), with no memory left");
	bool made = table_create(&none, &kernel);
	host_fail_after(UINT64_MAX);
	REQUIRE(!made, NOWHERE, "Without memory for the root table_create answers false.", "false", "true");
}

// ---- 4.2

static const char EXACT[] = "An address is translated exactly as table_map was told: to this page, with these bits and V, A, D; all others as before.";

CHECK(map)
{
	judge_rule(EXACT);
	for (unsigned round = 0; round < 12; round++) {
		start_tables();
		for (unsigned n = 0; n < 60; n++) {
			unsigned level = n > 1 && random_below(8) == 0;
			size_t page = level ? EDGE + random_below(3) * LARGE : random_below(2 * EDGE + 3 * LARGE);
			if (n < 2)
				page = n * (PAGES - 1); // both ends
			try_map(page, some_pa(level), level, some_bits());
			require_pages(page, level_bytes(level) / PAGE_BYTES, EXACT);
			require_counts("A table is made where the way to the leaf needs one, and nowhere else.");
		}
		require_pages(0, PAGES, EXACT);
	}
	start_tables();
	try_map(EDGE, some_pa(2), 2, PTE_R | PTE_U);
	require_pages(EDGE, PAGES - 2 * EDGE, "A leaf at level 2 maps a gigabyte.");
	REQUIRE(user.large, page_va(EDGE), "A table that may have a leaf above level 0 is marked `large`.", "large = true", "false");
}

#define REFUSED(statement)                                                                     \
	do {                                                                                   \
		call("%s", #statement);                                                        \
		EXPECT_PANIC("table", (void)!(statement));                                     \
	} while (0)

CHECK(refuse)
{
	judge_rule("A leaf is aligned to its size at both ends, canonical, and a user's table keeps out of the upper half; else table_map panics.");
	start_tables();
	REFUSED(table_map(&user, VA(0x1001), PA(0x80000000), 0, PTE_R));
	REFUSED(table_map(&user, VA(0x1000), PA(0x80000800), 0, PTE_R));
	REFUSED(table_map(&user, VA(0x201000), PA(0x80000000), 1, PTE_R));
	REFUSED(table_map(&user, VA(0x200000), PA(0x80001000), 1, PTE_R));
	REFUSED(table_map(&user, VA(0x40000000), PA(0x80200000), 2, PTE_R));
	REFUSED(table_map(&user, VA(0x40200000), PA(0x80000000), 2, PTE_R));
	REFUSED(table_map(&user, VA(0), PA(0), 3, PTE_R));
	REFUSED(table_map(&user, VA(0x4000000000), PA(0x80000000), 0, PTE_R));
	REFUSED(table_map(&user, VA(0x8000000000), PA(0x80000000), 0, PTE_R));
	REFUSED(table_map(&user, VA(0xffffffc080000000), PA(0x80000000), 0, PTE_R));
	REFUSED(table_map(&user, VA(0xfffffffffffff000), PA(0x80000000), 0, PTE_R));
	try_map(0, 0x80000000, 0, PTE_R);
	require_counts("What was refused has changed nothing.");
}

CHECK(busy)
{
	static const char rule[] = "Where something is mapped already, in whole or in part, table_map says TABLE_BUSY and changes nothing.";
	judge_rule(rule);
	start_tables();
	try_map(EDGE, some_pa(1), 1, PTE_R | PTE_U);
	try_map(EDGE + LARGE + 3, some_pa(0), 0, PTE_R);
	size_t tables = user.pages;
	for (unsigned n = 0; n < 40; n++) {
		size_t inside = EDGE + random_below(LARGE);
		try_map(inside, some_pa(0), 0, some_bits());               // below a large leaf
		try_map(EDGE, some_pa(1), 1, some_bits());                 // over one
		try_map(EDGE + LARGE, some_pa(1), 1, some_bits());         // over a table with a leaf in it
		try_map(EDGE + LARGE + 3, some_pa(0), 0, some_bits());     // over a page
		try_map(EDGE, some_pa(2), 2, some_bits());                 // over all of it
	}
	REQUIRE(user.pages == tables, NOWHERE, rule, SAY("%zu tables", tables), SAY("%zu tables", user.pages));
	require_pages(EDGE, 3 * LARGE, rule);
	require_counts(rule);
}

CHECK(nomap)
{
	static const char rule[] = "When memory runs out on the way, table_map says TABLE_NO_MEMORY, and everything is as it was before.";
	judge_rule(rule);
	for (unsigned k = 1; k <= 2; k++) {
		for (unsigned with = 0; with < 2; with++) {
			start_tables();
			if (with)
				try_map(EDGE + 2 * LARGE, some_pa(0), 0, PTE_R); // the table of level 1 is there already
			size_t page = EDGE + 5;
			size_t tables = user.pages;
			host_fail_after(k);
			call("from here on allocation %u and all after it fail", k);
			enum table_result result = try_map(page, some_pa(0), 0, PTE_R | PTE_U);
			host_fail_after(UINT64_MAX);
			bool enough = with && k == 2;
			REQUIRE(result == (enough ? TABLE_OK : TABLE_NO_MEMORY), page_va(page), rule, enough ? "TABLE_OK" : "TABLE_NO_MEMORY",
				enough ? "TABLE_NO_MEMORY" : "TABLE_OK");
			REQUIRE(enough || user.pages == tables, page_va(page), rule, SAY("pages = %zu", tables), SAY("pages = %zu", user.pages));
			require_pages(page, 1, rule);
			require_counts(rule);
			try_map(page, 0x80000000, 0, PTE_R | PTE_U); // later it can be had
			require_pages(page, 1, EXACT);
			require_counts(rule);
		}
	}
}

// ---- 4.3

static size_t razed;

static void on_raze(void *context, pte_t leaf, va_t va, unsigned level)
{
	static const char rule[] = "table_destroy passes each leaf to `release` once, with its address and level.";
	size_t first = (va.raw - BASE) / PAGE_BYTES, count = level_bytes(level) / PAGE_BYTES;
	REQUIRE(context == &razed && first < PAGES && shadow[first], va.raw, rule, "a leaf that was mapped", SAY("address %#lx", (unsigned long)va.raw));
	REQUIRE(pte_pa(leaf).raw == round_down(shadow[first], PAGE_BYTES), va.raw, rule,
		SAY("it leads to %#lx", (unsigned long)round_down(shadow[first], PAGE_BYTES)), SAY("%#lx", (unsigned long)pte_pa(leaf).raw));
	memset(&shadow[first], 0, count * sizeof *shadow);
	razed++;
}

CHECK(destroy)
{
	static const char rule[] = "table_destroy gives every table of its own back, the root included, and nothing of the kernel's half.";
	judge_rule(rule);
	for (unsigned round = 0; round < 10; round++) {
		size_t leaves = 0;
		start_tables();
		unsigned long entry = ((unsigned long *)pa_pointer(kernel.root))[258];
		for (unsigned n = 0; n < 50; n++) {
			unsigned level = n % 5 == 0;
			size_t page = level ? EDGE + random_below(9) * LARGE : random_below(round % 2 ? PAGES : 2 * EDGE + 9 * LARGE);
			leaves += try_map(page, some_pa(level), level, some_bits()) == TABLE_OK;
		}
		razed = 0;
		call("table_destroy(&user, %s)", round == 9 ? "NULL" : "release");
		table_destroy(&user, round == 9 ? NULL : on_raze, &razed);
		REQUIRE(round == 9 || razed == leaves, NOWHERE, rule, SAY("%zu leaves released", leaves), SAY("%zu", razed));
		REQUIRE(page_free_count() == free_before + 1, NOWHERE, rule, "all pages of the table are free again",
			SAY("%ld are not", (long)free_before + 1 - (long)page_free_count()));
		REQUIRE(((unsigned long *)pa_pointer(kernel.root))[258] == entry && page_is_allocated(kernel.root), NOWHERE, rule,
			"the kernel's table untouched", "it was changed");
		REQUIRE(pa_is_none(user.root), NOWHERE, "A table that was destroyed has no root: PA_NONE.", "PA_NONE", "an address");
		call("table_destroy(&user, NULL), again");
		table_destroy(&user, NULL, NULL);
	}
}

// ---- 4.4

CHECK(one)
{
	judge_rule("A page is unmapped: the entry is cleared, then the CPUs are told, then the page is released.");
	for (unsigned round = 0; round < 20; round++) {
		start_tables();
		try_map(EDGE, some_pa(0), 0, PTE_R | PTE_U); // it stays, so no table becomes empty
		try_map(0, some_pa(0), 0, PTE_R | PTE_W | PTE_U);
		try_map(1, some_pa(0), 0, some_bits());
		for (unsigned n = 0; n < 10; n++)
			try_map(EDGE + 1 + random_below(LARGE - 1), some_pa(0), 0, some_bits());
		if (round % 4 == 3)
			user.cpus = 0; // nobody has used it: nobody needs to be told
		for (unsigned n = 0; n < 30; n++)
			try_unmap(EDGE + 1 + random_below(LARGE - 1), 1);
		for (unsigned i = 1; i < LARGE; i++)
			if (shadow[EDGE + i])
				try_unmap(EDGE + i, 1);
		try_unmap(1, 1);
	}
}

// ---- 4.5

static void fill(unsigned leaves, size_t pages, bool large)
{
	for (unsigned n = 0; n < leaves; n++) {
		unsigned level = large && random_below(6) == 0;
		size_t page = level ? EDGE + random_below(pages / LARGE ? pages / LARGE : 1) * LARGE : random_below(pages);
		try_map(page, some_pa(level), level, some_bits());
	}
}

CHECK(unmap)
{
	judge_rule("table_unmap takes every leaf of the range out, tells the CPUs once, and then releases them.");
	for (unsigned round = 0; round < 12; round++) {
		start_tables();
		fill(80, 2 * EDGE + 2 * LARGE, false);
		for (unsigned n = 0; n < 12; n++) {
			size_t first = random_below(2 * EDGE + 2 * LARGE), room = 2 * EDGE + 2 * LARGE - first;
			try_unmap(first, 1 + random_below(n % 2 && room > 40 ? 40 : room));
		}
	}
}

CHECK(empty)
{
	static const char rule[] = "A table that becomes empty is given back, after a flush of the whole address space, also the one above it.";
	judge_rule(rule);
	for (unsigned round = 0; round < 12; round++) {
		start_tables();
		fill(40, PAGES, false);
		fill(40, 2 * EDGE + 2 * LARGE, false);
		for (unsigned n = 0; n < 30; n++) {
			size_t page = random_below(2 * EDGE + 2 * LARGE);
			try_unmap(page, 1);
			try_map(page, some_pa(0), 0, some_bits()); // the same place again: who cached the old table is wrong
			touch(page, 1);
			require_forgotten(page, 1, rule);
		}
		try_unmap(0, PAGES / 2);
		try_unmap(0, PAGES);
		REQUIRE(user.pages == 1, NOWHERE, rule, "only the root is left", SAY("%zu tables", user.pages));
	}
}

CHECK(sparse)
{
	judge_rule("What is not there costs nothing: absent tables are stepped over, not walked.");
	start_tables();
	for (unsigned n = 0; n < 400; n++) {
		uint64_t va = random_below(200) << 30;
		call("table_map(va %#lx), table_unmap(0, 256 GiB)", (unsigned long)va);
		EXPECT(table_map(&user, VA(va), PA(0x80000000), 0, PTE_R) == TABLE_OK);
		EXPECT(table_unmap(&user, VA(0), (uint64_t)1 << 38, NULL, NULL) == TABLE_OK);
		REQUIRE(!look(&user, va).entry && user.pages == 1, va, "A range may be all of the lower half.", "nothing left", "something is left");
	}
}

// ---- 4.6

CHECK(split)
{
	static const char rule[] = "A large leaf across an end of the range is split: inside the range it goes, outside every address keeps its translation.";
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
	REQUIRE(user.pages == 2, page_va(EDGE), "Nothing is split further than the range needs.", "2 tables", SAY("%zu tables", user.pages));
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
	static const uint64_t all[] = { PTE_R | PTE_W | PTE_X | PTE_U, PTE_R | PTE_W | PTE_U, PTE_R | PTE_X | PTE_U, PTE_R | PTE_U, PTE_X | PTE_U,
					PTE_R | PTE_W, PTE_R, PTE_R | PTE_COW | PTE_U };
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
	call("table_map_range(va %#lx, pa %#lx, %zu pages, bits %#lx)", (unsigned long)page_va(first), (unsigned long)pa, count, (unsigned long)bits);
	enum table_result result = table_map_range(&user, VA(page_va(first)), PA(pa), count * PAGE_BYTES, bits);
	answer("%s", result == TABLE_OK ? "TABLE_OK" : result == TABLE_BUSY ? "TABLE_BUSY" : "TABLE_NO_MEMORY");
	REQUIRE(result == TABLE_NO_MEMORY || result == (fits ? TABLE_OK : TABLE_BUSY), page_va(first), rule, fits ? "TABLE_OK" : "TABLE_BUSY",
		result == TABLE_OK ? "TABLE_OK" : "TABLE_BUSY");
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
			while (level > 0 && ((first + count - page) * PAGE_BYTES < level_bytes(level) || !is_aligned(both, level_bytes(level))))
				level--;
			struct found found = look(&user, page_va(page));
			REQUIRE(found.level == level, page_va(page), rule, SAY("a leaf at level %u", level), SAY("one at level %u", found.level));
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
	judge_rule("Whatever is called in whatever order, memory says what it should, nothing is remembered too long, and nothing is lost.");
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
		REQUIRE(page_free_count() == free_before + 1, NOWHERE, "In the end every page is back.", "all pages of the table are free again",
			SAY("%ld are not", (long)free_before + 1 - (long)page_free_count()));
	}
}
