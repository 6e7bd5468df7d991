// test_table_check.c: particular cases of page tables, misuse, and each invariant broken once.
//
//      sample: root[1] -> table -> table[0..2]: three leaves at 1 GiB
#include "table_fixture.h"

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
	uint64_t next = (3u << 21) + 6 * PAGE_BYTES;
	EXPECT_EQ(pte_pa(*table_find(&user, VA((1u << 30) + next)).entry).raw, (2u << 30) + next);
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
