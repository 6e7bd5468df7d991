// check.c: the checks of lab 04: page tables beside a shadow, an own walk, and a software MMU that forgets nothing by itself.
//
//     4.1  create                      table_create
//     4.2  map, refuse, busy, nomap    table_map        from here on, memory must say of every page what the shadow says
//     4.3  destroy                     table_destroy
//     4.4  one                         table_unmap of a page whose table stays
//     4.5  unmap, empty, sparse        table_unmap of any range
#include <stdlib.h>

#include "shadow.h"

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
			REQUIRE(root[i] == (i < 256 ? 0 : theirs[i]), NOWHERE, rule,
				SAY("root entry %u = %#lx", i, (unsigned long)(i < 256 ? 0 : theirs[i])),
				SAY("%#lx", (unsigned long)root[i]));
		REQUIRE(page_free_count() == before - 1 && table.pages == 1, NOWHERE, "A new table is one page: its root.",
			"1 page, pages = 1", SAY("%zu pages, pages = %zu", before - page_free_count(), table.pages));
		REQUIRE(table.asid == 0 && table.cpus == 0 && table.user && !table.large, NOWHERE,
			"A user's table begins with asid 0 and cpus 0, marked `user`, not `large`.", "asid 0, cpus 0, user, not large",
			SAY("asid %u, cpus %u, user %d, large %d", table.asid, table.cpus, table.user, table.large));
		memset(pa_pointer(PA(table.root.raw)), 0xff, PAGE_BYTES / 2); // the page is dirty when the next table gets it
		page_free(table.root);
	}
	REQUIRE(!kernel.user && kernel.asid == PORT_KERNEL_ASID, NOWHERE,
		"The kernel's own table has asid PORT_KERNEL_ASID and is no user's.", "PORT_KERNEL_ASID, not user",
		SAY("asid %#x, user %d", kernel.asid, kernel.user));
	struct table none;
	host_fail_after(1);
	call("table_create(&table, &kernel), with no memory left");
	bool made = table_create(&none, &kernel);
	host_fail_after(UINT64_MAX);
	REQUIRE(!made, NOWHERE, "Without memory for the root table_create answers false.", "false", "true");
}

// ---- 4.2

static const char EXACT[] =
	"An address is translated exactly as table_map was told: to this page, with these bits and V, A, D; all others as before.";

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

#define REFUSED(statement)                                 \
	do {                                               \
		call("%s", #statement);                    \
		EXPECT_PANIC("table", (void)!(statement)); \
	} while (0)

CHECK(refuse)
{
	judge_rule("A leaf that is misaligned, not canonical, or in the upper half of a user's table makes table_map panic.");
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
		try_map(inside, some_pa(0), 0, some_bits());           // below a large leaf
		try_map(EDGE, some_pa(1), 1, some_bits());             // over one
		try_map(EDGE + LARGE, some_pa(1), 1, some_bits());     // over a table with a leaf in it
		try_map(EDGE + LARGE + 3, some_pa(0), 0, some_bits()); // over a page
		try_map(EDGE, some_pa(2), 2, some_bits());             // over all of it
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
			REQUIRE(result == (enough ? TABLE_OK : TABLE_NO_MEMORY), page_va(page), rule,
				enough ? "TABLE_OK" : "TABLE_NO_MEMORY", enough ? "TABLE_NO_MEMORY" : "TABLE_OK");
			REQUIRE(enough || user.pages == tables, page_va(page), rule, SAY("pages = %zu", tables),
				SAY("pages = %zu", user.pages));
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
	REQUIRE(context == &razed && first < PAGES && shadow[first], va.raw, rule, "a leaf that was mapped",
		SAY("address %#lx", (unsigned long)va.raw));
	REQUIRE(pte_pa(leaf).raw == round_down(shadow[first], PAGE_BYTES), va.raw, rule,
		SAY("it leads to %#lx", (unsigned long)round_down(shadow[first], PAGE_BYTES)),
		SAY("%#lx", (unsigned long)pte_pa(leaf).raw));
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
	static const char rule[] =
		"A table that becomes empty is given back, after a flush of the whole address space, also the one above it.";
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
		REQUIRE(!look(&user, va).entry && user.pages == 1, va, "A range may be all of the lower half.", "nothing left",
			"something is left");
	}
}
