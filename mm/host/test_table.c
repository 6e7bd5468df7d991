// test_table.c: page tables against a shadow of every page and a software MMU with a stale TLB.
//
//      [edge .. 1 GiB of pages .. edge]     shadow: what each page translates to, 0 for nothing
//       random map/unmap/protect/copy, some with memory running out; after each: the MMU on two CPUs must say what the shadow says
#include <stdlib.h>

#include "table_fixture.h"

// ---- the shadow

#define BASE    ((uint64_t)0x40000000 - 16 * PAGE_BYTES) // the universe: 1 GiB and a little on both sides
#define PAGES   (262144u + 32)
#define LARGE   512u
#define U_PAGE(va) (((va)-BASE) / PAGE_BYTES)

static uint64_t *shadow; // pa | permission bits
static uint64_t page_va(size_t i)
{
	return BASE + i * PAGE_BYTES;
}

static size_t live(size_t first, size_t count)
{
	size_t n = 0;
	for (size_t i = first; i < first + count; i++)
		n += shadow[i] != 0;
	return n;
}

#define SHADOW_BITS (PTE_PERMISSIONS | PTE_COW)

static void probe(struct table *table, size_t i)
{
	for (unsigned cpu = 0; cpu < 2; cpu++)
		for (int access = MMU_LOAD; access <= MMU_FETCH; access++) {
			static const uint64_t right[] = { PTE_R, PTE_W, PTE_X };
			uint64_t pa = 0;
			bool expected = shadow[i] & right[access];
			bool user_mode = shadow[i] ? (shadow[i] & PTE_U) != 0 : true;
			bool ok = mmu_translate(table, cpu, page_va(i), (enum mmu_access)access, user_mode, &pa);
			if (!ok && expected) { // widened: one local flush must do
				port_flush(table->asid, 1u << cpu, page_va(i), 1);
				ok = mmu_translate(table, cpu, page_va(i), (enum mmu_access)access, user_mode, &pa);
			}
			EXPECT_EQ(ok, expected);
			if (ok)
				EXPECT_EQ(pa, round_down(shadow[i], PAGE_BYTES));
			EXPECT(!mmu_translate(table, cpu, page_va(i), (enum mmu_access)access, !user_mode, &pa));
		}
}

static void probe_some(struct table *table, size_t first, size_t count)
{
	size_t edges[] = { 0, 15, 16, 17, 16 + LARGE - 1, 16 + LARGE, PAGES - 17, PAGES - 16, PAGES - 1, first, first + count - 1 };
	for (size_t i = 0; i < sizeof edges / sizeof *edges; i++)
		probe(table, edges[i]);
	if (first > 0)
		probe(table, first - 1);
	if (first + count < PAGES)
		probe(table, first + count);
	for (int i = 0; i < 12; i++)
		probe(table, first + random_below(count));
	for (int i = 0; i < 12; i++)
		probe(table, random_below(PAGES));
	for (int i = 0; i < 8; i++)
		probe(table, 16 + random_below(4 * LARGE));
}

static void random_range(size_t *first, size_t *count) // mostly near the start, so that things meet
{
	uint64_t wide = random_below(8) == 0 ? PAGES : 16 + 3 * LARGE;
	*first = random_below(wide);
	size_t room = (size_t)wide - *first;
	*count = 1 + random_below(random_below(2) ? (room < 20 ? room : 20) : room);
	if (random_below(6) == 0)
		*first = 16, *count = random_below(2) ? LARGE : 262144;
}

static uint64_t random_bits(void)
{
	static const uint64_t some[] = { PTE_R, PTE_R | PTE_W, PTE_R | PTE_X, PTE_X, PTE_R | PTE_COW };
	return some[random_below(5)] | (random_below(3) ? PTE_U : 0);
}

// ---- one operation of each kind

static struct table *unmapping;
static uint64_t flushes_before, last_released;
static size_t released, flushes_expected;

static void on_release(void *context, pte_t leaf, va_t va, unsigned level)
{
	size_t first = U_PAGE(va.raw);
	EXPECT(context == &released);
	EXPECT(va.raw > last_released || released == 0);
	last_released = va.raw;
	EXPECT_EQ(host_flushes() - flushes_before, flushes_expected); // before the memory is given away, not after
	for (size_t i = first; i < first + level_bytes(level) / PAGE_BYTES; i++) {
		EXPECT_EQ(round_down(shadow[i], PAGE_BYTES), pte_pa(leaf).raw + (i - first) * PAGE_BYTES);
		released++;
		if ((i - first) % 97)
			continue;
		uint64_t pa;
		for (unsigned cpu = 0; cpu < 2 && unmapping; cpu++)
			EXPECT(!mmu_translate(unmapping, cpu, page_va(i), MMU_LOAD, (shadow[i] & PTE_U) != 0, &pa));
	}
}

static void op_map(void)
{
	unsigned level = random_below(12) == 0 ? 2 : random_below(3) == 0;
	size_t count = level_bytes(level) / PAGE_BYTES, first = level == 2 ? 16 : random_below(20 + 3 * LARGE);
	if (level == 1)
		first = 16 + first / LARGE * LARGE;
	uint64_t pa = (1 + random_below(3)) << 30 | (level < 2 ? random_below(256) * level_bytes(level) : 0), bits = random_bits();
	enum table_result expected = live(first, count) ? TABLE_BUSY : TABLE_OK;
	enum table_result result = table_map(&user, VA(page_va(first)), PA(pa), level, bits);
	if (result == TABLE_NO_MEMORY)
		return;
	EXPECT_EQ(result, expected);
	for (size_t i = 0; result == TABLE_OK && i < count; i++)
		shadow[first + i] = (pa + i * PAGE_BYTES) | bits;
	probe_some(&user, first, count);
}

static void op_map_range(void)
{
	size_t first, count;
	random_range(&first, &count);
	uint64_t pa = (2ull << 30) + (random_below(3) ? page_va(first) : random_below(1024) * PAGE_BYTES), bits = random_bits();
	size_t busy = live(first, count), pages = user.pages;
	enum table_result result = table_map_range(&user, VA(page_va(first)), PA(pa), count * PAGE_BYTES, bits);
	if (result == TABLE_OK) {
		EXPECT_EQ(busy, 0);
		for (size_t i = 0; i < count; i++)
			shadow[first + i] = (pa + i * PAGE_BYTES) | bits;
	} else {
		EXPECT(result == TABLE_NO_MEMORY || busy);
		EXPECT_EQ(user.pages, pages);
	}
	probe_some(&user, first, count);
}

// Of pages first..last; first > last: none. Of everything, if so, when tables may go as well.
static void expect_flush(size_t first, size_t last, bool tables_go)
{
	EXPECT_EQ(host_flushes() - flushes_before, first <= last && user.cpus ? 1 : 0);
	if (first > last || !user.cpus)
		return;
	EXPECT_EQ(mmu_last_flush.asid, 7);
	EXPECT_EQ(mmu_last_flush.cpus, user.cpus);
	if (!tables_go || mmu_last_flush.start) {
		EXPECT_EQ(mmu_last_flush.start, page_va(first));
		EXPECT_EQ(mmu_last_flush.pages, last - first + 1);
	}
}

static void op_unmap(void)
{
	size_t first, count, expected, lowest = SIZE_MAX, highest = 0, tables = user.pages;
	random_range(&first, &count);
	probe_some(&user, first, count); // fills the TLBs
	expected = live(first, count);
	for (size_t i = first; i < first + count; i++)
		if (shadow[i]) {
			lowest = lowest == SIZE_MAX ? i : lowest;
			highest = i;
		}
	bool large = user.large; // a split may make one table while another goes
	released = 0;
	unmapping = &user;
	flushes_before = host_flushes();
	flushes_expected = expected && user.cpus;
	enum table_result result = table_unmap(&user, VA(page_va(first)), count * PAGE_BYTES, on_release, &released);
	if (result == TABLE_OK) {
		EXPECT_EQ(released, expected);
		expect_flush(lowest, highest, large || user.pages < tables);
		memset(&shadow[first], 0, count * sizeof *shadow);
	} else {
		EXPECT_EQ(result, TABLE_NO_MEMORY);
		EXPECT_EQ(released, 0);
		EXPECT_EQ(user.pages, tables);
	}
	probe_some(&user, first, count);
}

static void op_protect(void)
{
	size_t first, count, lowest = SIZE_MAX, highest = 0, tables = user.pages;
	random_range(&first, &count);
	probe_some(&user, first, count);
	uint64_t bits = random_bits();
	for (size_t i = first; i < first + count; i++)
		if (shadow[i] && ((shadow[i] & ~bits & PTE_PERMISSIONS) || (~shadow[i] & bits & PTE_U))) {
			lowest = lowest == SIZE_MAX ? i : lowest;
			highest = i;
		}
	flushes_before = host_flushes();
	enum table_result result = table_protect(&user, VA(page_va(first)), count * PAGE_BYTES, bits);
	if (result == TABLE_OK) {
		expect_flush(lowest, highest, false);
		for (size_t i = first; i < first + count; i++)
			if (shadow[i])
				shadow[i] = (shadow[i] & ~(uint64_t)SHADOW_BITS) | bits;
	} else {
		EXPECT_EQ(result, TABLE_NO_MEMORY);
		EXPECT_EQ(user.pages, tables);
	}
	probe_some(&user, first, count);
}

static unsigned clone_narrowed(void *context, pte_t *from, pte_t *to, size_t count, va_t va, unsigned level, bool *narrowed)
{
	unsigned copied = 0;
	EXPECT(context == &shadow && (level == 0 || count == 1));
	for (; count--; from++, to++, va.raw += level_bytes(level)) {
		size_t first = U_PAGE(va.raw);
		if (!pte_is_valid(*from))
			continue;
		EXPECT_EQ(round_down(shadow[first], PAGE_BYTES), pte_pa(*from).raw);
		if (from->raw & PTE_W) {
			from->raw = (from->raw & ~(uint64_t)PTE_W) | PTE_COW;
			*narrowed = true;
			for (size_t i = first; i < first + level_bytes(level) / PAGE_BYTES; i++)
				shadow[i] = (shadow[i] & ~(uint64_t)PTE_W) | PTE_COW;
		}
		if (random_below(16)) { // else leave it out
			*to = *from;
			copied++;
		}
	}
	return copied;
}

static void op_copy(void)
{
	struct table copy;
	size_t first, count, tables = user.pages;
	random_range(&first, &count);
	if (!table_create(&copy, &kernel))
		return;
	copy.asid = 100 + (uint32_t)random_below(1 << 30);
	probe_some(&user, first, count);
	bool narrows = false;
	for (size_t i = first; i < first + count; i++)
		narrows |= shadow[i] & PTE_W;
	flushes_before = host_flushes();
	enum table_result result = table_copy(&copy, &user, VA(page_va(first)), count * PAGE_BYTES, clone_narrowed, &shadow);
	if (result == TABLE_OK)
		EXPECT_EQ(host_flushes() - flushes_before, narrows && user.cpus);
	EXPECT(user.pages >= tables);
	EXPECT_VERDICT(table_check(&copy), NULL);
	probe_some(&user, first, count);
	for (int i = 0; i < 20; i++) {
		uint64_t pa, at = first + random_below(count);
		if (mmu_translate(&copy, 0, page_va(at), MMU_LOAD, (shadow[at] & PTE_U) != 0, &pa))
			EXPECT_EQ(pa, round_down(shadow[at], PAGE_BYTES));
		else if (result == TABLE_OK && (shadow[at] & PTE_R))
			EXPECT(!pte_is_valid(*table_find(&copy, VA(page_va(at))).entry)); // was left out
	}
	released = 0;
	unmapping = NULL;
	flushes_expected = host_flushes() - flushes_before;
	table_destroy(&copy, on_release, &released);
}

TEST(table_random)
{
	start();
	shadow = calloc(PAGES, sizeof *shadow);
	size_t free_before = page_free_count();
	for (int step = 0; step < 1500; step++) {
		if (random_below(3) == 0)
			host_fail_after(1 + random_below(5));
		if (random_below(50) == 0)
			user.cpus = 0, mmu_reset();
		switch (random_below(6)) {
		case 0: op_map_range(); break;
		case 1: op_unmap(); break;
		case 2: op_protect(); break;
		case 3: op_copy(); break;
		default: op_map();
		}
		host_fail_after(UINT64_MAX);
		EXPECT_VERDICT(table_check(&user), NULL);
		EXPECT_EQ(page_free_count() + user.pages, free_before + 1);
		if (live(0, PAGES) > 100000 && random_below(2)) {
			unmapping = NULL;
			EXPECT(table_unmap(&user, VA(page_va(0)), PAGES * PAGE_BYTES, NULL, NULL) == TABLE_OK);
			memset(shadow, 0, PAGES * sizeof *shadow);
			EXPECT_EQ(user.pages, 1);
		}
	}
	released = 0;
	unmapping = NULL;
	flushes_before = host_flushes();
	flushes_expected = 0;
	size_t expected = live(0, PAGES);
	table_destroy(&user, on_release, &released);
	EXPECT_EQ(released, expected);
	finish(free_before + 1);
	free(shadow);
}
