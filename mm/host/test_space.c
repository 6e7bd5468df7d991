// test_space.c: address spaces beside their shadow (space_model.c), and particular cases of faults, stack, break and mappings.
//
//      [text r-x | file][data rw | file + zeroes]  [heap rw]        [mappings]         [stack rw]
//      0x10000                                     0x40000
#include "space_fixture.h"
#include "space_model.h"

TEST(space_random)
{
	model_start(random_below, 3);
	for (int step = 0; step < 20000; step++) {
		model_step();
		if (step % 32 == 0)
			model_check();
	}
	model_finish();
}

// ---- faults

TEST(space_touches_only_what_is_touched)
{
	start();
	uint64_t old;
	EXPECT(space_sbrk(&space, 100 * PAGE_BYTES, &old) == SPACE_OK);
	EXPECT_EQ(space.resident, 0);
	EXPECT(put(&space, HEAP + 50 * PAGE_BYTES, 7) == SPACE_OK);
	EXPECT_EQ(space.resident, 1);
	EXPECT_EQ(get(&space, HEAP + 50 * PAGE_BYTES + 1), 0);
	EXPECT(space_sbrk(&space, -50 * (int64_t)PAGE_BYTES, &old) == SPACE_OK);
	EXPECT_EQ(space.resident, 0);
	EXPECT(space_sbrk(&space, 50 * PAGE_BYTES, &old) == SPACE_OK);
	EXPECT_EQ(get(&space, HEAP + 50 * PAGE_BYTES), 0); // another page, zeroed
	finish();
}

TEST(space_bad_accesses)
{
	start();
	map(0x100000, 1, ACCESS_READ, false, NULL);
	map(0x110000, 1, 0, false, NULL);
	map(0x120000, 1, ACCESS_EXECUTE, false, NULL);
	EXPECT(space_fault(&space, 0, ACCESS_READ) == SPACE_BAD);
	EXPECT(space_fault(&space, HEAP, ACCESS_READ) == SPACE_BAD);
	EXPECT(space_fault(&space, SPACE_END, ACCESS_READ) == SPACE_BAD);
	EXPECT(space_fault(&space, UINT64_MAX, ACCESS_WRITE) == SPACE_BAD);
	EXPECT(space_fault(&space, 0x100000, ACCESS_WRITE) == SPACE_BAD);
	EXPECT(space_fault(&space, 0x100000, ACCESS_EXECUTE) == SPACE_BAD);
	EXPECT(space_fault(&space, 0x110000, ACCESS_READ) == SPACE_BAD);
	EXPECT(space_fault(&space, 0x120000, ACCESS_READ) == SPACE_BAD);
	EXPECT(space_fault(&space, 0x120000, ACCESS_EXECUTE) == SPACE_OK);
	EXPECT_EQ(get(&space, 0x120000), -1); // present, but not to be read
	EXPECT_EQ(get(&space, 0x100000), 0);
	EXPECT(put(&space, 0x100000, 1) == SPACE_BAD);
	char text[16];
	EXPECT(space_copy_in(&space, text, SPACE_END - 8, 16) == SPACE_BAD);
	EXPECT(space_copy_in(&space, text, UINT64_MAX - 7, 16) == SPACE_BAD);
	EXPECT(space_copy_in(&space, text, 0xffffffc080000000, 8) == SPACE_BAD);
	EXPECT(space_copy_out(&space, 0, text, 0) == SPACE_OK);
	EXPECT(space_copy_in(&space, text, UINT64_MAX, 0) == SPACE_OK);
	EXPECT(space_copy_string(&space, text, 0x100000 + PAGE_BYTES - 1, 16) == SPACE_OK);
	EXPECT(space_copy_string(&space, text, 0x100000 + PAGE_BYTES, 16) == SPACE_BAD);
	EXPECT(space_touch(&space, 0x100000, 2 * PAGE_BYTES, ACCESS_READ) == SPACE_BAD);
	finish();
}

TEST(space_string_without_end) // exactly `max` bytes and no NUL, across a page
{
	start();
	uint64_t old, at = HEAP + PAGE_BYTES - 4;
	char text[9] = "12345678";
	EXPECT(space_sbrk(&space, 2 * PAGE_BYTES, &old) == SPACE_OK);
	EXPECT(space_copy_out(&space, at, "abcdefgh", 9) == SPACE_OK);
	EXPECT(space_copy_string(&space, text, at, 8) == SPACE_BAD);
	EXPECT(space_copy_string(&space, text, at, 9) == SPACE_OK);
	EXPECT(strcmp(text, "abcdefgh") == 0);
	EXPECT(space_copy_out(&space, HEAP + 2 * PAGE_BYTES - 3, "xyz", 3) == SPACE_OK);
	EXPECT(space_copy_string(&space, text, HEAP + 2 * PAGE_BYTES - 3, 9) == SPACE_BAD); // runs out of the heap
	finish();
}

TEST(space_stale_translation_is_forgotten_here_only)
{
	start();
	uint64_t va = map(0, 1, RW, false, NULL), pa;
	EXPECT(put(&space, va, 1) == SPACE_OK);
	fork_child();
	EXPECT(mmu_translate(&space.table, 0, va, MMU_LOAD, true, &pa) && mmu_translate(&space.table, 1, va, MMU_LOAD, true, &pa));
	space_destroy(&child);
	uint64_t flushes = host_flushes();
	host_cpu(0);
	EXPECT(space_fault(&space, va, ACCESS_WRITE) == SPACE_OK); // its page alone again: writable, not copied
	EXPECT_EQ(host_flushes() - flushes, 1);
	EXPECT_EQ(mmu_last_flush.cpus, 1);
	EXPECT(mmu_translate(&space.table, 0, va, MMU_STORE, true, &pa));
	EXPECT(!mmu_translate(&space.table, 1, va, MMU_STORE, true, &pa)); // still stale there
	host_cpu(1);
	EXPECT(space_fault(&space, va, ACCESS_WRITE) == SPACE_OK);
	EXPECT(mmu_translate(&space.table, 1, va, MMU_STORE, true, &pa));
	EXPECT_EQ(mmu_last_flush.cpus, 2);
	finish();
}

// ---- the stack

TEST(space_stack_grows_to_its_limit_and_no_further)
{
	start();
	uint64_t lowest = SPACE_STACK_TOP - SPACE_STACK_MAX;
	EXPECT(put(&space, SPACE_STACK_TOP - 1, 1) == SPACE_OK);
	EXPECT(space_fault(&space, SPACE_STACK_TOP, ACCESS_READ) == SPACE_BAD);
	EXPECT(put(&space, lowest - 1, 1) == SPACE_BAD);
	EXPECT(space_fault(&space, lowest, ACCESS_EXECUTE) == SPACE_BAD);
	EXPECT_EQ(space.areas->start, SPACE_STACK_TOP - PAGE_BYTES); // a refused access grows nothing
	EXPECT(put(&space, lowest, 1) == SPACE_OK);
	EXPECT_EQ(space.areas->start, lowest);
	EXPECT_EQ(space.resident, 2);
	EXPECT(put(&space, lowest - 1, 1) == SPACE_BAD);
	finish();
}

TEST(space_stack_keeps_a_guard_to_what_is_below)
{
	start();
	uint64_t below = SPACE_STACK_TOP - 10 * PAGE_BYTES;
	EXPECT(space_add(&space, below, PAGE_BYTES, AREA_MAPPING, RW, false, NULL, 0, 0) == SPACE_OK);
	EXPECT(put(&space, below + PAGE_BYTES, 1) == SPACE_BAD); // would touch it
	EXPECT(put(&space, below + 2 * PAGE_BYTES, 1) == SPACE_OK);
	EXPECT(put(&space, below - PAGE_BYTES, 1) == SPACE_BAD); // the next area above is no stack
	finish();
}

TEST(space_stack_growth_without_memory_is_undone)
{
	start();
	EXPECT(put(&space, SPACE_STACK_TOP - 1, 1) == SPACE_OK);
	uint64_t low = space.areas->start;
	host_fail_after(1);
	EXPECT(put(&space, low - PAGE_BYTES, 1) == SPACE_NO_MEMORY);
	host_fail_after(UINT64_MAX);
	EXPECT_EQ(space.areas->start, low);
	finish();
}

// ---- the break

TEST(space_sbrk_limits)
{
	start();
	uint64_t old = 1;
	EXPECT(space_sbrk(&space, -1, &old) == SPACE_BAD);
	EXPECT(space_sbrk(&space, INT64_MIN, &old) == SPACE_BAD);
	EXPECT(space_sbrk(&space, INT64_MAX, &old) == SPACE_NO_MEMORY);
	EXPECT(space_sbrk(&space, (int64_t)(AREA_MAPPING_TOP - HEAP + 1), &old) == SPACE_BAD);
	EXPECT(space_sbrk(&space, (int64_t)(AREA_MAPPING_TOP - HEAP), &old) == SPACE_OK); // more than there is: it comes at first touch
	EXPECT(space_sbrk(&space, 1, &old) == SPACE_BAD);
	EXPECT(space_sbrk(&space, -(int64_t)(AREA_MAPPING_TOP - HEAP), &old) == SPACE_OK);
	EXPECT(space_sbrk(&space, 100, &old) == SPACE_OK);
	EXPECT_EQ(old, HEAP);
	EXPECT(space_sbrk(&space, 0, &old) == SPACE_OK);
	EXPECT_EQ(old, HEAP + 100);
	map(HEAP + 4 * PAGE_BYTES, 1, RW, false, NULL);
	EXPECT(space_sbrk(&space, 4 * 4096 - 100, &old) == SPACE_OK);
	EXPECT(space_sbrk(&space, 1, &old) == SPACE_BAD);
	EXPECT_EQ(space.heap_end, HEAP + 4 * PAGE_BYTES);
	EXPECT(space_sbrk(&space, -101, &old) == SPACE_OK);
	EXPECT_EQ(areas(&space), 3);
	EXPECT(space_sbrk(&space, -(int64_t)(space.heap_end - HEAP), &old) == SPACE_OK);
	EXPECT_EQ(areas(&space), 2);
	finish();
}

TEST(space_heap_with_holes_shrinks)
{
	start();
	uint64_t old;
	EXPECT(space_sbrk(&space, 10 * 4096, &old) == SPACE_OK);
	EXPECT(space_touch(&space, HEAP, 10 * PAGE_BYTES, ACCESS_WRITE) == SPACE_OK);
	EXPECT(space_unmap(&space, HEAP + 3 * PAGE_BYTES, 2 * PAGE_BYTES) == SPACE_OK);
	EXPECT(space_protect(&space, HEAP + 7 * PAGE_BYTES, PAGE_BYTES, ACCESS_READ) == SPACE_OK);
	map(HEAP + 4 * PAGE_BYTES, 1, RW, false, NULL);
	EXPECT_EQ(areas(&space), 6);
	EXPECT(space_sbrk(&space, -8 * 4096, &old) == SPACE_OK);
	EXPECT_EQ(areas(&space), 3); // heap, the mapping that was put into it, stack
	EXPECT_EQ(space.resident, 2);
	EXPECT(space_sbrk(&space, 2 * 4096, &old) == SPACE_OK);
	EXPECT(space_sbrk(&space, 1, &old) == SPACE_BAD);
	finish();
}

TEST(space_heap_that_shrank_to_nothing_is_in_nobodys_way)
{
	start();
	uint64_t old;
	EXPECT(space_sbrk(&space, 4096, &old) == SPACE_OK);
	EXPECT(space_sbrk(&space, -4096, &old) == SPACE_OK);
	fork_child();
	EXPECT_EQ(map(HEAP - PAGE_BYTES, 2, RW, false, NULL), HEAP - PAGE_BYTES);
	EXPECT_VERDICT(space_check(&space), NULL);
	EXPECT(space_sbrk(&space, 1, &old) == SPACE_BAD);
	EXPECT(space_unmap(&space, HEAP - PAGE_BYTES, 2 * PAGE_BYTES) == SPACE_OK);
	EXPECT(space_sbrk(&space, 1, &old) == SPACE_OK);
	EXPECT(space_protect(&space, HEAP, PAGE_BYTES, ACCESS_READ) == SPACE_OK);
	EXPECT(space_sbrk(&space, 8192, &old) == SPACE_OK); // grows behind the part that is read-only
	EXPECT(space_sbrk(&space, -8192, &old) == SPACE_OK);
	EXPECT(space_protect(&space, HEAP, PAGE_BYTES, RW) == SPACE_OK);
	EXPECT_EQ(areas(&space), 2);
	EXPECT(space_sbrk(&space, 8192, &old) == SPACE_OK);
	EXPECT_EQ(areas(&space), 2);
	finish();
}

// ---- mappings

TEST(space_map_places)
{
	start();
	uint64_t out;
	EXPECT_EQ(map(0, 4, RW, false, NULL), TOP - 4 * PAGE_BYTES);
	EXPECT_EQ(map(0, 1, ACCESS_READ, false, NULL), TOP - 5 * PAGE_BYTES);
	EXPECT_EQ(map(0x1234567, 1, ACCESS_EXECUTE, false, NULL), TOP - 6 * PAGE_BYTES); // misaligned: anywhere
	EXPECT_EQ(map(0x200000, 1, RW, false, NULL), 0x200000);
	EXPECT_EQ(map(0x200000, 1, 0, false, NULL), TOP - 7 * PAGE_BYTES); // taken: anywhere
	EXPECT(space_unmap(&space, TOP - 5 * PAGE_BYTES, PAGE_BYTES) == SPACE_OK);
	EXPECT_EQ(map(0, 1, 0, false, NULL), TOP - 5 * PAGE_BYTES); // the highest hole
	EXPECT_EQ(map(TOP, 1, 0, false, NULL), TOP - 8 * PAGE_BYTES); // the stack's reach is not for mappings
	EXPECT(space_map(&space, 0, 0, RW, false, NULL, 0, &out) == SPACE_BAD);
	EXPECT(space_map(&space, 0, 4096, RW, false, &file.source, 5, &out) == SPACE_BAD);
	EXPECT(space_map(&space, 0, SPACE_END, RW, false, NULL, 0, &out) == SPACE_NO_MEMORY);
	EXPECT(space_map(&space, 0, UINT64_MAX, RW, false, NULL, 0, &out) == SPACE_NO_MEMORY);
	EXPECT(space_add(&space, 0x200000, 1, AREA_MAPPING, RW, false, NULL, 0, 0) == SPACE_BAD);
	EXPECT(space_add(&space, 0x300001, 1, AREA_MAPPING, RW, false, NULL, 0, 0) == SPACE_BAD);
	EXPECT(space_add(&space, 0, 4096, AREA_MAPPING, RW, false, NULL, 0, 0) == SPACE_BAD);
	EXPECT(space_add(&space, SPACE_END - 4096, 8192, AREA_MAPPING, RW, false, NULL, 0, 0) == SPACE_BAD);
	EXPECT(space_add(&space, 0x300000, 4096, AREA_MAPPING, RW, false, &file.source, 0, 4097) == SPACE_BAD);
	EXPECT(space_add(&space, 0x300000, 4096, AREA_MAPPING, RW, true, &file.source, 5, 4096) == SPACE_BAD);
	finish();
}

TEST(space_unmap_and_protect_cut_and_join)
{
	start();
	uint64_t va = map(0, 9, RW, false, NULL);
	EXPECT(space_touch(&space, va, 9 * PAGE_BYTES, ACCESS_WRITE) == SPACE_OK);
	for (unsigned i = 0; i < 9; i++)
		EXPECT(put(&space, va + i * PAGE_BYTES, (uint8_t)(10 + i)) == SPACE_OK);
	EXPECT(space_protect(&space, va + 3 * PAGE_BYTES, 3 * PAGE_BYTES, 0) == SPACE_OK);
	EXPECT_EQ(areas(&space), 4);
	EXPECT_EQ(get(&space, va + 4 * PAGE_BYTES), -1);
	EXPECT_VERDICT(space_check(&space), NULL);
	EXPECT(space_protect(&space, va + 3 * PAGE_BYTES, 3 * PAGE_BYTES, RW) == SPACE_OK);
	EXPECT_EQ(areas(&space), 2);
	for (unsigned i = 0; i < 9; i++)
		EXPECT_EQ(get(&space, va + i * PAGE_BYTES), 10 + i);
	EXPECT(put(&space, va + 4 * PAGE_BYTES, 99) == SPACE_OK);
	uint64_t flushes = host_flushes();
	EXPECT(space_unmap(&space, va + 4 * PAGE_BYTES, PAGE_BYTES) == SPACE_OK);
	EXPECT_EQ(host_flushes() - flushes, 1);
	EXPECT_EQ(areas(&space), 3);
	EXPECT(space_protect(&space, va, 9 * PAGE_BYTES, ACCESS_READ) == SPACE_BAD); // a hole
	EXPECT(put(&space, va, 1) == SPACE_OK);                                      // and nothing changed
	EXPECT_EQ(map(va + 4 * PAGE_BYTES, 1, RW, false, NULL), va + 4 * PAGE_BYTES);
	EXPECT_EQ(areas(&space), 2);
	EXPECT_EQ(get(&space, va + 4 * PAGE_BYTES), 0);
	EXPECT(space_unmap(&space, va, 9 * PAGE_BYTES) == SPACE_OK);
	EXPECT(space_unmap(&space, va, 9 * PAGE_BYTES) == SPACE_OK); // nothing there: fine
	EXPECT(space_unmap(&space, va + 1, PAGE_BYTES) == SPACE_BAD);
	EXPECT(space_unmap(&space, va, 0) == SPACE_BAD);
	EXPECT(space_unmap(&space, va, UINT64_MAX) == SPACE_BAD);
	EXPECT_EQ(areas(&space), 1);
	finish();
}

TEST(space_many_pages_one_flush)
{
	start();
	uint64_t va = map(0, 1000, RW, false, NULL), flushes;
	EXPECT(space_unmap(&space, va, 10 * PAGE_BYTES) == SPACE_OK);
	EXPECT_EQ(host_flushes(), 0); // none was mapped
	EXPECT(space_touch(&space, va + 10 * PAGE_BYTES, 990 * PAGE_BYTES, ACCESS_WRITE) == SPACE_OK);
	EXPECT_EQ(host_flushes(), 0);
	EXPECT(space_unmap(&space, va + 10 * PAGE_BYTES, 90 * PAGE_BYTES) == SPACE_OK);
	EXPECT_EQ(host_flushes(), 1);
	EXPECT_EQ(mmu_last_flush.start, va + 10 * PAGE_BYTES);
	EXPECT_EQ(mmu_last_flush.pages, 90);
	flushes = host_flushes();
	fork_child();
	EXPECT_EQ(host_flushes() - flushes, 1); // one area was narrowed
	space_destroy(&child);
	fork_child();
	EXPECT_EQ(host_flushes() - flushes, 1); // nothing left to narrow
	finish();
	EXPECT_EQ(host_flushes() - flushes, 1); // a space that ends needs none
}
