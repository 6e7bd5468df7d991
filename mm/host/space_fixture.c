// space_fixture.c: one address space with a stack, and one file, for the tests of space.
//
//      start --> space [stack] --fork_child--> child --> finish: all pages are free again, nobody holds the file
#include "space_fixture.h"

static struct memblock mb;
struct table kernel;
struct space space, child;
static size_t pages_before;

struct fixture_file file;

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

void start(void)
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

void finish(void)
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

void fork_child(void)
{
	EXPECT(space_create(&child, &kernel));
	child.table.asid = 2;
	EXPECT(space_fork(&child, &space) == SPACE_OK);
	EXPECT_VERDICT(space_check(&child), NULL);
	EXPECT_VERDICT(space_check(&space), NULL);
}

uint64_t map(uint64_t hint, uint64_t pages, unsigned rights, bool shared, struct source *source)
{
	uint64_t place = 0;
	EXPECT(space_map(&space, hint, pages * PAGE_BYTES, rights, shared, source, 0, &place) == SPACE_OK);
	return place;
}

int get(struct space *s, uint64_t va)
{
	uint8_t byte;
	return space_copy_in(s, &byte, va, 1) == SPACE_OK ? byte : -1;
}

enum space_result put(struct space *s, uint64_t va, uint8_t byte)
{
	return space_copy_out(s, va, &byte, 1);
}

size_t areas(const struct space *s)
{
	struct space_report report;
	space_report(s, &report);
	return report.areas;
}
