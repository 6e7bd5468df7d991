// test_space.c: address spaces beside their shadow (space_model.c), particular cases, memory running out at each place, each invariant broken once.
//
//      [text r-x | file][data rw | file + zeroes]  [heap rw]        [mappings]         [stack rw]
//      0x10000                                     0x40000
#include "../area.h"
#include "../heap.h"
#include "../page.h"
#include "../slab.h"
#include "mmu.h"
#include "space_model.h"
#include "test.h"

#define RW   (ACCESS_READ | ACCESS_WRITE)
#define HEAP ((uint64_t)0x40000)
#define TOP  (SPACE_STACK_TOP - SPACE_STACK_MAX - PAGE_BYTES) // mappings end here

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

// ---- one space, one file

static struct memblock mb;
static struct table kernel;
static struct space space, child;
static size_t pages_before;

static struct {
	struct source source;
	int users, pins, borrows, reads, dirty;
	bool fails;
	pa_t page; // every offset has the same one
} file;

static void file_get(struct source *source)
{
	(void)source;
	file.users++;
}

static void file_put(struct source *source)
{
	(void)source;
	file.users--;
}

static bool file_read(struct source *source, uint64_t offset, void *to, size_t bytes)
{
	(void)source;
	file.reads++;
	memset(to, (int)('a' + offset / PAGE_BYTES), bytes);
	return !file.fails;
}

static pa_t file_borrow(struct source *source, uint64_t offset)
{
	(void)source, (void)offset;
	if (file.fails)
		return PA_NONE;
	file.borrows++;
	page_share(file.page);
	return file.page;
}

static pa_t file_pin(struct source *source, uint64_t offset)
{
	(void)source, (void)offset;
	file.pins += !file.fails;
	return file.fails ? PA_NONE : file.page;
}

static void file_unpin(struct source *source, uint64_t offset, pa_t page, bool dirty)
{
	(void)source, (void)offset;
	EXPECT_EQ(page.raw, file.page.raw);
	file.pins--;
	file.dirty += dirty;
}

static const struct source_ops file_ops = { file_get, file_put, file_read, file_borrow, file_pin, file_unpin };

static void settle(void) // gives back what heaps and caches keep
{
	kmem_reap();
	page_drain();
}

static void start(void)
{
	host_reset();
	memset(&mb, 0, sizeof mb);
	host_ram(0x80000000, (uint64_t)16 << 20, &mb);
	slab_forget();
	EXPECT(page_init(&mb, &(struct page_config){ .cpus = 4, .dma_limit = PA(0x80000000) }));
	EXPECT(kmalloc_init(NULL) && table_create(&kernel, NULL));
	mmu_reset();
	memset(&file, 0, sizeof file);
	file.source.ops = &file_ops;
	file.page = page_alloc(0, PAGE_ZERO);
	memset(pa_pointer(file.page), 'F', PAGE_BYTES);
	kfree(kmalloc(sizeof(struct area)));
	settle();
	pages_before = page_free_count();
	EXPECT(space_create(&space, &kernel));
	space.table.asid = 1;
	space.table.cpus = 1;
	EXPECT(space_add(&space, SPACE_STACK_TOP - PAGE_BYTES, PAGE_BYTES, AREA_STACK, RW, false, NULL, 0, 0) == SPACE_OK);
	space.heap_start = space.heap_end = HEAP;
}

static void finish(void)
{
	EXPECT_VERDICT(space_check(&space), NULL);
	space_destroy(&space);
	space_destroy(&child);
	space_destroy(NULL);
	settle();
	EXPECT_EQ(page_free_count(), pages_before);
	EXPECT_EQ(file.users, 0);
	EXPECT_EQ(file.pins, 0);
	EXPECT_EQ(page_refs(file.page), 1);
}

static void fork_child(void)
{
	EXPECT(space_create(&child, &kernel));
	child.table.asid = 2;
	EXPECT(space_fork(&child, &space) == SPACE_OK);
	EXPECT_VERDICT(space_check(&child), NULL);
	EXPECT_VERDICT(space_check(&space), NULL);
}

static uint64_t map(uint64_t hint, uint64_t pages, unsigned rights, bool shared, struct source *source)
{
	uint64_t place = 0;
	EXPECT(space_map(&space, hint, pages * PAGE_BYTES, rights, shared, source, 0, &place) == SPACE_OK);
	return place;
}

static int get(struct space *s, uint64_t va)
{
	uint8_t byte;
	return space_copy_in(s, &byte, va, 1) == SPACE_OK ? byte : -1;
}

static enum space_result put(struct space *s, uint64_t va, uint8_t byte)
{
	return space_copy_out(s, va, &byte, 1);
}

static size_t areas(const struct space *s)
{
	struct space_report report;
	space_report(s, &report);
	return report.areas;
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
	EXPECT(space_sbrk(&space, (int64_t)page_total_count() * 4096 + 1, &old) == SPACE_NO_MEMORY);
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

// ---- memory runs out at each place in turn

static void scenario(void) // every call may fail; whatever happens, nothing may be lost
{
	uint64_t old, a = 0, b = 0;
	enum space_result ignored;
	ignored = space_sbrk(&space, 5 * 4096, &old);
	ignored = space_touch(&space, HEAP, 5 * PAGE_BYTES, ACCESS_WRITE);
	ignored = space_map(&space, 0, 6 * PAGE_BYTES, RW, false, &file.source, 0, &a);
	if (a) {
		ignored = space_touch(&space, a, 6 * PAGE_BYTES, ACCESS_READ);
		ignored = space_touch(&space, a, 3 * PAGE_BYTES, ACCESS_WRITE);
		ignored = space_unmap(&space, a + 2 * PAGE_BYTES, PAGE_BYTES);
		ignored = space_protect(&space, a + 4 * PAGE_BYTES, PAGE_BYTES, ACCESS_READ);
	}
	ignored = space_map(&space, 0, 3 * PAGE_BYTES, RW, true, NULL, 0, &b);
	if (b)
		ignored = space_touch(&space, b, 2 * PAGE_BYTES, ACCESS_WRITE);
	EXPECT_VERDICT(space_check(&space), NULL);
	if (space_create(&child, &kernel)) {
		child.table.asid = 2;
		if (space_fork(&child, &space) == SPACE_OK) {
			ignored = space_touch(&child, HEAP, 5 * PAGE_BYTES, ACCESS_WRITE);
			if (b)
				ignored = space_touch(&child, b, 3 * PAGE_BYTES, ACCESS_WRITE);
		} else {
			EXPECT(!child.areas && child.resident == 0 && child.table.pages == 1);
		}
		EXPECT_VERDICT(space_check(&child), NULL);
	}
	ignored = space_touch(&space, HEAP, 5 * PAGE_BYTES, ACCESS_WRITE);
	(void)ignored;
}

// Runs `what` with the n-th request for memory failing and all after it, for every n, the heap having `records` objects left.
static void run_out(void (*what)(void), unsigned records)
{
	uint64_t sites = 1;
	for (uint64_t n = 1; n <= sites; n++) {
		void *held[300];
		size_t count = 0;
		start();
		host_fail_after(1);
		while (count < 300 && (held[count] = kmalloc(sizeof(struct area))))
			count++;
		for (unsigned i = 0; i < records && count; i++)
			kfree(held[--count]);
		host_fail_after(n);
		what();
		sites = host_allocations();
		host_fail_after(UINT64_MAX);
		while (count)
			kfree(held[--count]);
		finish();
	}
}

TEST(space_out_of_memory_everywhere)
{
	for (unsigned records = 0; records < 16; records++)
		run_out(scenario, records);
}

// ---- each invariant broken once

static struct area *sample(void) // heap of four touched pages, a mapping, a stack
{
	start();
	uint64_t old;
	EXPECT(space_sbrk(&space, 4 * 4096, &old) == SPACE_OK);
	EXPECT(space_touch(&space, HEAP, 4 * PAGE_BYTES, ACCESS_WRITE) == SPACE_OK);
	EXPECT(space_touch(&space, map(0, 2, RW, true, NULL), PAGE_BYTES, ACCESS_WRITE) == SPACE_OK);
	EXPECT_VERDICT(space_check(&space), NULL);
	return space.areas;
}

static pte_t *leaf_at(uint64_t va)
{
	return table_find(&space.table, VA(va)).entry;
}

TEST(space_check_A1)
{
	struct area *heap = sample();
	heap->end = heap->next->start + PAGE_BYTES;
	EXPECT_VERDICT(space_check(&space), "A1");
	heap->next->end = heap->next->start;
	EXPECT_VERDICT(space_check(&space), "A1");
	heap->next->end = heap->next->start + 2 * PAGE_BYTES;
	heap->end = HEAP + 4 * PAGE_BYTES + 8;
	EXPECT_VERDICT(space_check(&space), "A1");
	heap->end = HEAP + 4 * PAGE_BYTES;
	struct area *next = heap->next;
	heap->next = heap; // a circle
	EXPECT_VERDICT(space_check(&space), "A1");
	heap->next = (struct area *)3;
	EXPECT_VERDICT(space_check(&space), "A1");
	heap->next = next;
	EXPECT_VERDICT(space_check(&space), NULL);
}

TEST(space_check_A2)
{
	struct area *heap = sample();
	heap->rights = ACCESS_WRITE;
	EXPECT_VERDICT(space_check(&space), "A2");
	heap->rights = heap->most = 8;
	EXPECT_VERDICT(space_check(&space), "A2");
	heap->rights = RW;
	heap->most = ACCESS_READ;
	EXPECT_VERDICT(space_check(&space), "A2");
}

TEST(space_check_A3)
{
	struct area *heap = sample();
	heap->next->offset = 100;
	EXPECT_VERDICT(space_check(&space), "A3");
	heap->next->offset = 0;
	heap->shared = true;
	EXPECT_VERDICT(space_check(&space), "A3");
}

TEST(space_check_A4)
{
	struct area *heap = sample();
	heap->source_bytes = 1;
	EXPECT_VERDICT(space_check(&space), "A4");
	heap->source_bytes = 0;
	heap->next->source_bytes = 2 * PAGE_BYTES + 1;
	EXPECT_VERDICT(space_check(&space), "A4");
	heap->next->source_bytes = PAGE_BYTES;
	EXPECT_VERDICT(space_check(&space), "A4");
}

TEST(space_check_A5)
{
	struct area stranger = *sample();
	space.recent = &stranger;
	EXPECT_VERDICT(space_check(&space), "A5");
}

TEST(space_check_S1)
{
	struct area *heap = sample();
	heap->start += PAGE_BYTES;
	EXPECT_VERDICT(space_check(&space), "S1");
	heap->start -= PAGE_BYTES;
	pte_t kept = *leaf_at(HEAP);
	*leaf_at(HEAP) = pte_make(PA(0x40000000), kept.raw & 0x3ff);
	EXPECT_VERDICT(space_check(&space), "S1");
}

TEST(space_check_S2)
{
	struct area *heap = sample();
	leaf_at(HEAP)->raw |= PTE_X;
	EXPECT_VERDICT(space_check(&space), "S2");
	leaf_at(HEAP)->raw &= ~(uint64_t)(PTE_X | PTE_W); // read-only, but neither is the area nor says PTE_COW why
	EXPECT_VERDICT(space_check(&space), "S2");
	leaf_at(HEAP)->raw |= PTE_COW;
	EXPECT_VERDICT(space_check(&space), NULL);
	leaf_at(heap->next->start)->raw |= PTE_COW;
	EXPECT_VERDICT(space_check(&space), "S2");
}

TEST(space_check_S3)
{
	sample();
	page_share(pte_pa(*leaf_at(HEAP)));
	EXPECT_VERDICT(space_check(&space), "S3");
}

TEST(space_check_S4)
{
	sample();
	space.resident++;
	EXPECT_VERDICT(space_check(&space), "S4");
}

TEST(space_check_S5)
{
	sample();
	space.heap_end = HEAP;
	EXPECT_VERDICT(space_check(&space), "S5");
	space.heap_end = HEAP + 4 * PAGE_BYTES;
	space.heap_start = space.heap_end + 1;
	EXPECT_VERDICT(space_check(&space), "S5");
}

TEST(space_check_S6)
{
	struct area *heap = sample();
	leaf_at(HEAP)->raw |= PTE_DIRTY;
	EXPECT_VERDICT(space_check(&space), "S6");
	leaf_at(HEAP)->raw &= ~(uint64_t)PTE_DIRTY;
	leaf_at(heap->next->start)->raw &= ~(uint64_t)PTE_DIRTY;
	EXPECT_VERDICT(space_check(&space), "S6");
}
