// test_space_share.c: pages that several have: forks, shared memory, files.
//
//      parent --fork--> child --fork--> ...      private: one page for all until somebody writes; shared: one page, for ever
#include "space_fixture.h"

// ---- fork

TEST(space_fork_chain) // each generation inherits, writes its own, and sees nobody else's
{
	start();
	static struct space generation[12];
	uint64_t va = map(0, 12, RW, false, NULL);
	EXPECT(put(&space, va, 1) == SPACE_OK);
	struct space *parent = &space;
	for (unsigned i = 0; i < 12; i++) {
		EXPECT(space_create(&generation[i], &kernel));
		EXPECT(space_fork(&generation[i], parent) == SPACE_OK);
		parent = &generation[i];
		EXPECT_EQ(get(parent, va), i + 1);
		EXPECT(put(parent, va, (uint8_t)(i + 2)) == SPACE_OK);
		EXPECT(put(parent, va + i * PAGE_BYTES, (uint8_t)(i + 2)) == SPACE_OK);
	}
	EXPECT_EQ(get(&space, va), 1);
	for (unsigned i = 0; i < 12; i += 2) { // the even ones go first
		EXPECT_EQ(get(&generation[i], va), i + 2);
		space_destroy(&generation[i]);
	}
	for (unsigned i = 1; i < 12; i += 2) {
		EXPECT_EQ(get(&generation[i], va), i + 2);
		EXPECT_VERDICT(space_check(&generation[i]), NULL);
		space_destroy(&generation[i]);
	}
	finish();
}

TEST(space_last_owner_writes_without_a_copy)
{
	start();
	uint64_t va = map(0, 1, RW, false, NULL);
	EXPECT(put(&space, va, 5) == SPACE_OK);
	pa_t page = pte_pa(*table_find(&space.table, VA(va)).entry);
	fork_child();
	EXPECT(put(&space, va, 6) == SPACE_OK); // a copy of our own
	EXPECT(pte_pa(*table_find(&space.table, VA(va)).entry).raw != page.raw);
	size_t free = page_free_count();
	EXPECT(put(&child, va, 7) == SPACE_OK); // the child is alone with the old one
	EXPECT_EQ(pte_pa(*table_find(&child.table, VA(va)).entry).raw, page.raw);
	EXPECT_EQ(page_free_count(), free);
	EXPECT_EQ(get(&space, va), 6);
	EXPECT_EQ(get(&child, va), 7);
	finish();
}

TEST(space_shared_memory_is_shared_even_when_touched_after_the_fork)
{
	start();
	uint64_t va = map(0, 3, RW, true, NULL);
	EXPECT(put(&space, va, 1) == SPACE_OK);
	fork_child();
	EXPECT(put(&child, va + PAGE_BYTES, 2) == SPACE_OK);
	EXPECT_EQ(get(&space, va + PAGE_BYTES), 2);
	EXPECT_EQ(get(&child, va), 1);
	EXPECT(put(&child, va, 3) == SPACE_OK);
	EXPECT_EQ(get(&space, va), 3);
	EXPECT(space_unmap(&space, va + PAGE_BYTES, PAGE_BYTES) == SPACE_OK); // ends in the parent only
	EXPECT_EQ(get(&space, va + PAGE_BYTES), -1);
	EXPECT_EQ(get(&child, va + PAGE_BYTES), 2);
	EXPECT(space_protect(&child, va, 3 * PAGE_BYTES, ACCESS_READ) == SPACE_OK);
	EXPECT(put(&child, va, 4) == SPACE_BAD);
	EXPECT(put(&space, va, 4) == SPACE_OK);
	EXPECT_EQ(get(&child, va), 4);
	space_destroy(&space);
	EXPECT_EQ(get(&child, va + PAGE_BYTES), 2);
	EXPECT(space_create(&space, &kernel));
	finish();
}

// ---- files

TEST(space_private_file_borrows_what_it_can)
{
	start();
	uint64_t va = 0x100000;
	EXPECT(space_add(&space, va, 4 * PAGE_BYTES, AREA_DATA, RW, false, &file.source, 0, 2 * PAGE_BYTES + 10) == SPACE_OK);
	EXPECT_EQ(get(&space, va), 'F');
	EXPECT_EQ(file.borrows, 1);
	EXPECT(put(&space, va, 'x') == SPACE_OK); // a copy: the file's page stays as it is
	EXPECT_EQ(get(&space, va + 1), 'F');
	EXPECT_EQ(*(char *)pa_pointer(file.page), 'F');
	EXPECT(put(&space, va + PAGE_BYTES, 'y') == SPACE_OK); // first touch is a write: read at once
	EXPECT_EQ(file.borrows, 1);
	EXPECT_EQ(file.reads, 1);
	EXPECT_EQ(get(&space, va + PAGE_BYTES + 1), 'b');
	EXPECT_EQ(get(&space, va + 2 * PAGE_BYTES + 9), 'c'); // a part of a page: read, the tail zero
	EXPECT_EQ(get(&space, va + 2 * PAGE_BYTES + 10), 0);
	EXPECT_EQ(get(&space, va + 3 * PAGE_BYTES), 0);
	EXPECT_EQ(file.reads, 2);
	EXPECT(space_add(&space, 0x200000, PAGE_BYTES, AREA_DATA, ACCESS_READ, false, &file.source, 512, PAGE_BYTES) == SPACE_OK);
	EXPECT_EQ(get(&space, 0x200000), 'a'); // an odd offset cannot be borrowed
	EXPECT_EQ(file.borrows, 1);
	finish();
}

TEST(space_file_that_fails)
{
	start();
	uint64_t va = map(0, 1, RW, false, &file.source), shared = map(0, 1, RW, true, &file.source);
	file.fails = true;
	size_t free = page_free_count();
	EXPECT(space_fault(&space, va, ACCESS_READ) == SPACE_IO);
	EXPECT(space_fault(&space, va, ACCESS_WRITE) == SPACE_IO);
	EXPECT(space_fault(&space, shared, ACCESS_READ) == SPACE_IO);
	EXPECT_EQ(page_free_count(), free);
	file.fails = false;
	EXPECT_EQ(get(&space, va), 'F');
	EXPECT_EQ(get(&space, shared), 'F');
	finish();
}

TEST(space_shared_file_tells_what_was_written)
{
	start();
	uint64_t va = map(0, 4, RW, true, &file.source);
	EXPECT_EQ(get(&space, va), 'F');
	EXPECT_EQ(get(&space, va + PAGE_BYTES), 'F');
	EXPECT(put(&space, va + PAGE_BYTES, 'w') == SPACE_OK); // read first, written later
	EXPECT(put(&space, va + 2 * PAGE_BYTES, 'w') == SPACE_OK);
	EXPECT_EQ(file.pins, 3);
	fork_child(); // pins when it touches
	EXPECT_EQ(file.pins, 3);
	EXPECT_EQ(child.resident, 0);
	EXPECT_EQ(get(&child, va), 'w');
	EXPECT(space_protect(&space, va, 4 * PAGE_BYTES, ACCESS_READ) == SPACE_OK);
	EXPECT(space_protect(&space, va, 4 * PAGE_BYTES, RW) == SPACE_OK); // the mark outlives the right
	EXPECT(space_unmap(&space, va, PAGE_BYTES) == SPACE_OK);
	EXPECT_EQ(file.dirty, 0);
	EXPECT(space_unmap(&space, va + PAGE_BYTES, PAGE_BYTES) == SPACE_OK);
	EXPECT_EQ(file.dirty, 1);
	space_destroy(&space);
	EXPECT_EQ(file.dirty, 2);
	EXPECT(space_create(&space, &kernel));
	finish();
}

TEST(space_shared_file_opened_for_reading_stays_so)
{
	start();
	uint64_t va = map(0, 1, ACCESS_READ, true, &file.source);
	EXPECT(space_protect(&space, va, PAGE_BYTES, RW) == SPACE_BAD);
	EXPECT(space_protect(&space, va, PAGE_BYTES, ACCESS_READ | ACCESS_EXECUTE) == SPACE_OK);
	finish();
}
