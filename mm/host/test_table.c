// test_table.c: page tables against a shadow of every page and a software MMU with a stale TLB; each invariant broken once.
//
//      [edge .. 1 GiB of pages .. edge]     shadow: what each page translates to, 0 for nothing
//       random map/unmap/protect/copy, some with memory running out; after each: the MMU on two CPUs must say what the shadow says
#include <stdlib.h>

#include "../page.h"
#include "../table.h"
#include "mmu.h"
#include "test.h"

#define RAM_START 0x80000000u
#define RAM_BYTES ((uint64_t)8 << 20)

static struct memblock mb;
static struct table kernel, user;

static void start(void)
{
	host_reset();
	memset(&mb, 0, sizeof mb);
	host_ram(RAM_START, RAM_BYTES, &mb);
	EXPECT(page_init(&mb, &(struct page_config){ .cpus = 4, .dma_limit = PA(RAM_START) }));
	EXPECT(table_create(&kernel, NULL));
	EXPECT(table_map_range(&kernel, VA(0xffffffc080000000), PA(RAM_START), RAM_BYTES, PTE_R | PTE_W | PTE_G) == TABLE_OK);
	EXPECT(table_create(&user, &kernel));
	user.asid = 7;
	mmu_reset();
}

static void finish(size_t before)
{
	EXPECT_VERDICT(table_check(&kernel), NULL);
	EXPECT_EQ(page_free_count(), before);
}

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

static struct table_cloned clone_narrowed(void *context, pte_t *from, pte_t *to, size_t count, va_t va, unsigned level)
{
	struct table_cloned cloned = { 0, false };
	EXPECT(context == &shadow && (level == 0 || count == 1));
	for (; count--; from++, to++, va.raw += level_bytes(level)) {
		size_t first = U_PAGE(va.raw);
		if (!pte_is_valid(*from))
			continue;
		EXPECT_EQ(round_down(shadow[first], PAGE_BYTES), pte_pa(*from).raw);
		if (from->raw & PTE_W) {
			from->raw = (from->raw & ~(uint64_t)PTE_W) | PTE_COW;
			cloned.narrowed = true;
			for (size_t i = first; i < first + level_bytes(level) / PAGE_BYTES; i++)
				shadow[i] = (shadow[i] & ~(uint64_t)PTE_W) | PTE_COW;
		}
		if (random_below(16)) { // else leave it out
			*to = *from;
			cloned.leaves++;
		}
	}
	return cloned;
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

// ---- particular cases

TEST(table_splits_only_what_it_must) // 1 GiB leaf, one page taken out of the middle: 511 large, 511 small leaves, two more tables
{
	start();
	EXPECT(table_map(&user, VA(1u << 30), PA(2u << 30), 2, PTE_R | PTE_W | PTE_U) == TABLE_OK);
	EXPECT_EQ(user.pages, 1);
	EXPECT(table_unmap(&user, VA((1u << 30) + (3u << 21) + 5 * PAGE_BYTES), PAGE_BYTES, NULL, NULL) == TABLE_OK);
	EXPECT_EQ(user.pages, 3);
	EXPECT_EQ(table_find(&user, VA(1u << 30)).level, 1);
	EXPECT_EQ(table_find(&user, VA((1u << 30) + (3u << 21))).level, 0);
	EXPECT(!pte_is_valid(*table_find(&user, VA((1u << 30) + (3u << 21) + 5 * PAGE_BYTES)).entry));
	EXPECT_EQ(pte_pa(*table_find(&user, VA((1u << 30) + (3u << 21) + 6 * PAGE_BYTES)).entry).raw, (2u << 30) + (3u << 21) + 6 * PAGE_BYTES);
	EXPECT_VERDICT(table_check(&user), NULL);
	EXPECT(table_unmap(&user, VA(1u << 30), 1u << 30, NULL, NULL) == TABLE_OK);
	EXPECT_EQ(user.pages, 1);
	EXPECT_VERDICT(table_check(&user), NULL);
}

TEST(table_anchor_keeps_the_kernel_half_shared) // a table made before a mapping in the anchored range sees it, and outlives its removal
{
	start();
	va_t va = VA(0xffffffe000000000);
	uint64_t pa;
	struct table later;
	EXPECT(table_anchor(&kernel, va, 1u << 30));
	EXPECT(table_anchor(&kernel, va, 1u << 30));
	EXPECT(table_create(&later, &kernel));
	kernel.cpus = UINT32_MAX;
	for (int round = 0; round < 2; round++) {
		EXPECT(table_map(&kernel, va, PA(RAM_START), 0, PTE_R | PTE_W | PTE_G) == TABLE_OK);
		EXPECT(mmu_translate(&later, 0, va.raw, MMU_LOAD, false, &pa));
		EXPECT(!mmu_translate(&later, 0, va.raw, MMU_LOAD, true, &pa));
		EXPECT(table_unmap(&kernel, va, PAGE_BYTES, NULL, NULL) == TABLE_OK);
		EXPECT(!mmu_translate(&later, 0, va.raw, MMU_LOAD, false, &pa));
		EXPECT_VERDICT(table_check(&kernel), NULL);
	}
	table_destroy(&later, NULL, NULL);
}

TEST(table_misuse_panics)
{
	start();
	enum table_result ignored;
	EXPECT_PANIC("aligned", ignored = table_map(&user, VA(0x1001), PA(RAM_START), 0, PTE_R));
	EXPECT_PANIC("aligned", ignored = table_map(&user, VA(0x1000), PA(RAM_START), 1, PTE_R));
	EXPECT_PANIC("bits 63 to 39", ignored = table_map(&user, VA(1ull << 38), PA(RAM_START), 0, PTE_R));
	EXPECT_PANIC("upper half", ignored = table_map(&user, VA(0xffffffe000000000), PA(RAM_START), 0, PTE_R));
	EXPECT_PANIC("upper half", ignored = table_unmap(&user, VA(0xffffffe000000000), PAGE_BYTES, NULL, NULL));
	EXPECT_PANIC("not empty", ignored = table_unmap(&user, VA(0x1000), 0, NULL, NULL));
	EXPECT_PANIC("one half", ignored = table_protect(&user, VA(0x1000), 1ull << 39, PTE_R));
	EXPECT_PANIC("table_anchor", ignored = table_anchor(&kernel, VA(0x1000), PAGE_BYTES));
	EXPECT_PANIC("table_anchor", ignored = table_anchor(&user, VA(0xffffffe000000000), PAGE_BYTES));
	(void)ignored;
}

TEST(table_destroy_twice_is_harmless)
{
	start();
	size_t before = page_free_count();
	table_destroy(&user, NULL, NULL);
	table_destroy(&user, NULL, NULL);
	finish(before + 1);
}

// ---- each invariant broken once

static pte_t *sample(void) // three leaves at 1 GiB; returns the first one's entry
{
	start();
	for (unsigned i = 0; i < 3; i++)
		EXPECT(table_map(&user, VA((1u << 30) + i * PAGE_BYTES), PA(RAM_START), 0, PTE_R | PTE_W | PTE_U) == TABLE_OK);
	EXPECT_VERDICT(table_check(&user), NULL);
	return table_find(&user, VA(1u << 30)).entry;
}

static pa_t table_of(const pte_t *entry)
{
	return PA(round_down(pa_of(entry).raw, PAGE_BYTES));
}

TEST(table_check_T1)
{
	pte_t *leaf = sample();
	page_share(table_of(leaf));
	EXPECT_VERDICT(table_check(&user), "T1");
	page_free(table_of(leaf));
	pte_t *pointer = &((pte_t *)pa_pointer(user.root))[1];
	pte_t kept = *pointer;
	*pointer = pte_make(PA(0x40000000), PTE_V); // no RAM there: must not be followed
	EXPECT_VERDICT(table_check(&user), "T1");
	*pointer = kept;
	EXPECT_VERDICT(table_check(&user), NULL);
}

TEST(table_check_T2)
{
	page_of(table_of(sample()))->tag = 4;
	EXPECT_VERDICT(table_check(&user), "T2");
}

TEST(table_check_T3)
{
	pte_t *leaf = sample();
	for (unsigned i = 0; i < 3; i++)
		leaf[i].raw = 0;
	page_of(table_of(leaf))->tag = 0;
	EXPECT_VERDICT(table_check(&user), "T3");
}

TEST(table_check_T4)
{
	sample()[5].raw = PTE_R;
	EXPECT_VERDICT(table_check(&user), "T4");
}

TEST(table_check_T5)
{
	pte_t *leaf = sample(), kept = *leaf;
	leaf->raw |= 1ull << 60;
	EXPECT_VERDICT(table_check(&user), "T5");
	leaf->raw = (kept.raw & ~(uint64_t)PTE_R) | PTE_X;
	EXPECT_VERDICT(table_check(&user), "T5");
	*leaf = kept;
	user.large = true;
	((pte_t *)pa_pointer(user.root))[2] = pte_make(PA(RAM_START + PAGE_BYTES), PTE_V | PTE_R);
	page_of(user.root)->tag++;
	EXPECT_VERDICT(table_check(&user), "T5");
}

TEST(table_check_T6)
{
	pte_t *leaf = sample();
	*leaf = pte_make(table_of(leaf), PTE_V);
	EXPECT_VERDICT(table_check(&user), "T6");
}

TEST(table_check_T7)
{
	sample();
	user.pages--;
	EXPECT_VERDICT(table_check(&user), "T7");
	user.pages += 2;
	EXPECT_VERDICT(table_check(&user), "T7");
	user.pages--;
	((pte_t *)pa_pointer(user.root))[3] = pte_make(user.root, PTE_V); // a circle ends the check, not the stack
	EXPECT_VERDICT(table_check(&user), "T7");
}

TEST(table_check_T8)
{
	start();
	EXPECT(table_map(&user, VA(1u << 30), PA(2u << 30), 2, PTE_R | PTE_U) == TABLE_OK);
	user.large = false;
	EXPECT_VERDICT(table_check(&user), "T8");
}
