// test_vmalloc.c: blocks of scattered pages: placed apart, mapped fully, given back wholly. Mapped addresses are walked, not touched:
// on the host they lead nowhere.
#include "../heap.h"
#include "../page.h"
#include "../slab.h"
#include "../vmalloc.h"
#include "test.h"

#define AREA       0xffffffe000000000ull
#define AREA_PAGES 4096u
#define LIVE_MAX   64

uint64_t host_allocations(void);

static struct table kernel;

static void expect_verdict(struct verdict verdict, const char *id)
{
	EXPECT_VERDICT(verdict, id);
}

static void machine(void)
{
	static struct memblock mb;
	struct page_config config = { .dma_limit = PA(0x81000000), .cpus = 1, .reserve = 0 };

	slab_forget();
	host_reset();
	memset(&mb, 0, sizeof mb);
	host_ram(0x80000000, (uint64_t)16 << 20, &mb);
	EXPECT(page_init(&mb, &config));
	EXPECT(table_create(&kernel, NULL));
	kernel.asid = PORT_KERNEL_ASID;
	kernel.cpus = 1;
}

static void start(uint64_t pages)
{
	machine();
	EXPECT(vmalloc_init(&kernel, VA(AREA), pages * PAGE_BYTES));
	expect_verdict(vmalloc_check(), NULL);
}

static bool is_mapped(uint64_t at)
{
	return pte_is_leaf(*table_find(&kernel, VA(at)).entry);
}

// Writes a pattern into every page through the linear map, or expects it there.
static void paint(uint64_t block, size_t bytes, unsigned char pattern, bool expect)
{
	for (uint64_t at = block; at < block + bytes; at += PAGE_BYTES) {
		unsigned char *page = pa_pointer(pte_pa(*table_find(&kernel, VA(at)).entry));

		EXPECT(is_mapped(at));
		for (size_t i = 0; i < PAGE_BYTES; i += 61) {
			if (expect)
				EXPECT_EQ(page[i], pattern);
			page[i] = pattern;
		}
	}
}

struct live {
	uint64_t at;
	size_t bytes;
	unsigned char pattern;
};

static struct live live[LIVE_MAX];
static unsigned lives;

static bool step_alloc(size_t bytes, bool may_fail)
{
	uint64_t at = (uint64_t)(uintptr_t)vmalloc(bytes);

	if (!at) {
		EXPECT(may_fail);
		return false;
	}
	struct live fresh = { at, round_up(bytes, PAGE_BYTES), (unsigned char)random_below(256) };
	EXPECT(is_aligned(at, PAGE_BYTES) && at > AREA && at + fresh.bytes < AREA + AREA_PAGES * PAGE_BYTES);
	EXPECT_EQ(vmalloc_bytes((void *)(uintptr_t)at), fresh.bytes);
	EXPECT(!is_mapped(at - PAGE_BYTES) && !is_mapped(at + fresh.bytes));
	for (unsigned i = 0; i < lives; i++) // apart by a page at least
		EXPECT(live[i].at + live[i].bytes < at || at + fresh.bytes < live[i].at);
	paint(at, fresh.bytes, fresh.pattern, false);
	live[lives++] = fresh;
	return true;
}

static void step_free(unsigned i)
{
	struct live old = live[i];
	uint64_t flushes = host_flushes();

	live[i] = live[--lives];
	paint(old.at, old.bytes, old.pattern, true);
	vfree((void *)(uintptr_t)old.at);
	EXPECT(host_flushes() > flushes); // before its pages can be given out again
	EXPECT(!is_mapped(old.at) && vmalloc_bytes((void *)(uintptr_t)old.at) == 0);
}

static size_t free_pages(void) // after all that is cached went back
{
	kmem_reap();
	page_drain();
	return page_free_count();
}

// Random calls; true when one was refused.
static bool run_model(unsigned steps, bool may_fail)
{
	bool refused = false;

	for (unsigned i = 0; i < steps; i++) {
		if (lives < LIVE_MAX && random_below(100) < 55)
			refused |= !step_alloc(1 + random_below(random_below(4) ? 20000 : 200000), may_fail);
		else if (lives > 0)
			step_free((unsigned)random_below(lives));
		if (i % 32 == 0)
			expect_verdict(vmalloc_check(), NULL);
	}
	return refused;
}

static void free_all(void)
{
	while (lives > 0)
		step_free(lives - 1);
	expect_verdict(vmalloc_check(), NULL);
}

TEST(vmalloc_model)
{
	start(AREA_PAGES);
	size_t free = free_pages();

	run_model(4000, true); // 16 MiB cannot always hold it
	free_all();
	EXPECT_EQ(free_pages(), free);
}

TEST(vmalloc_faults)
{
	for (uint64_t n = 1;; n++) {
		start(AREA_PAGES);
		size_t free = free_pages();

		host_fail_after(n);
		bool refused = run_model(40, true);
		host_fail_after(UINT64_MAX);
		free_all();
		EXPECT_EQ(free_pages(), free);
		if (!refused)
			break;
	}
}

TEST(vmalloc_init_faults)
{
	uint64_t n = 1;

	for (bool done = false; !done; n++) {
		machine();
		host_fail_after(n);
		done = vmalloc_init(&kernel, VA(AREA), AREA_PAGES * PAGE_BYTES);
		host_fail_after(UINT64_MAX);
		EXPECT(done || !vmalloc(1));
	}
	EXPECT(n > 3);
}

// The area is full when no gap with a guard is left, and whole again when all is freed.
TEST(vmalloc_exhaustion)
{
	unsigned count = 0;

	start(64);
	while (lives < LIVE_MAX && step_alloc(PAGE_BYTES, true))
		count++;
	EXPECT_EQ(count, 31); // 64 pages: anchor and guard, then 31 times block and guard
	EXPECT(!vmalloc(1));
	step_free(7);
	EXPECT(!vmalloc(2 * PAGE_BYTES));
	EXPECT(step_alloc(1, false));
	free_all();
	EXPECT(step_alloc(61 * PAGE_BYTES, false));
	free_all();
}

TEST(vmalloc_huge_and_nothing)
{
	start(AREA_PAGES);
	EXPECT(!vmalloc(0));
	EXPECT(!vmalloc(SIZE_MAX));
	EXPECT(!vmalloc(SIZE_MAX - PAGE_BYTES));
	EXPECT(!vmalloc(AREA_PAGES * PAGE_BYTES));
	vfree(NULL);
	expect_verdict(vmalloc_check(), NULL);
}

TEST(vmalloc_several_gib)
{
	machine();
	EXPECT(vmalloc_init(&kernel, VA(AREA + ((uint64_t)1 << 29)), (uint64_t)3 << 30));
	for (unsigned i = 0; i < 4; i++) // at the start, then at each GiB: the upper tables never go away
		EXPECT(is_mapped(AREA + ((uint64_t)i << 30) + (i == 0) * ((uint64_t)1 << 29)));
	EXPECT(!vmalloc(((size_t)1 << 30) - PAGE_BYTES)); // too large between two anchors
	vfree(vmalloc(1));
	expect_verdict(vmalloc_check(), NULL);
}

TEST(vmalloc_mistakes)
{
	start(AREA_PAGES);
	char *block = vmalloc(3 * PAGE_BYTES);

	EXPECT_PANIC("not a block", vfree(block + PAGE_BYTES));
	EXPECT_PANIC("not a block", vfree(block + 8));
	EXPECT_PANIC("not a block", vfree((void *)(uintptr_t)AREA)); // the anchor
	EXPECT_PANIC("not a block", vfree(&block));
	vfree(block);
	EXPECT_PANIC("free already", vfree(block));
}

static bool is_given(void *at)
{
	return is_mapped((uintptr_t)at);
}

// A window has addresses only; pages come and go in it, all or none, and it is not taken for a block.
TEST(vmalloc_window_maps_and_unmaps)
{
	start(AREA_PAGES);
	size_t pages = page_free_count(), blocks = vmalloc_pages();
	char *window = vmalloc_window(600 * PAGE_BYTES), *block = vmalloc(PAGE_BYTES);

	EXPECT(window && block > window + 599 * PAGE_BYTES && !is_given(window));
	vfree(block);
	EXPECT(vmalloc_window_map(window + PAGE_BYTES, 3 * PAGE_BYTES));
	EXPECT(!is_given(window) && is_given(window + PAGE_BYTES) && is_given(window + 3 * PAGE_BYTES));
	EXPECT(!is_given(window + 4 * PAGE_BYTES) && vmalloc_pages() == blocks + 3);
	paint((uintptr_t)window + PAGE_BYTES, 3 * PAGE_BYTES, 0x77, false);
	expect_verdict(vmalloc_check(), NULL);
	host_fail_after(3); // page, table, page
	EXPECT(!vmalloc_window_map(window + 590 * PAGE_BYTES, 2 * PAGE_BYTES));
	host_fail_after(UINT64_MAX);
	EXPECT(!is_given(window + 590 * PAGE_BYTES));
	uint64_t flushes = host_flushes();
	vmalloc_window_unmap(window + PAGE_BYTES, 3 * PAGE_BYTES);
	EXPECT(host_flushes() > flushes && !is_given(window + PAGE_BYTES) && vmalloc_pages() == blocks);
	expect_verdict(vmalloc_check(), NULL);
	kmem_reap();
	page_drain();
	EXPECT(page_free_count() + 2 >= pages); // the window's record, and a table
}

TEST(vmalloc_window_mistakes)
{
	start(AREA_PAGES);
	char *window = vmalloc_window(8 * PAGE_BYTES), *block = vmalloc(PAGE_BYTES);

	EXPECT(vmalloc_window_map(window, PAGE_BYTES));
	EXPECT_PANIC("not a block of vmalloc's", vfree(window));
	EXPECT_PANIC("not in a window", (void)!vmalloc_window_map(block, PAGE_BYTES));
	EXPECT_PANIC("not in a window", vmalloc_window_unmap(window + 7 * PAGE_BYTES, 2 * PAGE_BYTES));
	EXPECT_PANIC("not in a window", vmalloc_window_unmap(window + 64 * PAGE_BYTES, PAGE_BYTES));
}

// kmalloc turns to vmalloc for what no block of pages can hold. At levels above 0 its entry writes a tag into the block.
TEST(vmalloc_behind_kmalloc)
{
	if (MM_CHECK > 0)
		return;
	start(AREA_PAGES);
	EXPECT(kmalloc_init("slab"));
	char *block = kmalloc(((size_t)4 << 20) + 1);

	EXPECT(block && (uintptr_t)block >= AREA);
	EXPECT_EQ(heap_usable(kmalloc_heap(), block), ((size_t)4 << 20) + PAGE_BYTES);
	kfree(block);
	EXPECT_PANIC("foreign", kfree(block));
}

// ---- each invariant, broken on purpose ----

static struct page *record_of(const void *block)
{
	return page_of(pte_pa(*table_find(&kernel, VA((uintptr_t)block)).entry));
}

struct range { // as vmalloc.c has it
	_Alignas(64) struct range *next, *previous;
	uint64_t start, pages, mapped;
};

static struct range *range_of(const void *block)
{
	return pa_pointer(PA((uint64_t)record_of(block)->owner << 6));
}

TEST(vmalloc_invariants)
{
	start(AREA_PAGES);
	void *low = vmalloc(PAGE_BYTES), *high = vmalloc(2 * PAGE_BYTES);
	struct range *range = range_of(high), saved = *range;

	expect_verdict(vmalloc_check(), NULL);
	range->start = range_of(low)->start + PAGE_BYTES; // no guard between
	expect_verdict(vmalloc_check(), "V1");
	*range = saved;
	range->previous = range;
	expect_verdict(vmalloc_check(), "V2");
	*range = saved;
	range->pages++;
	expect_verdict(vmalloc_check(), "V3");
	*range = saved;
	record_of(high)->owner++;
	expect_verdict(vmalloc_check(), "V4");
	record_of(high)->owner--;
	range->previous->next = NULL;
	expect_verdict(vmalloc_check(), "V5");
	range->previous->next = range;
	range->next = range_of(low); // a ring
	expect_verdict(vmalloc_check(), "V5");
	*range = saved;
	char *window = vmalloc_window(4 * PAGE_BYTES);
	EXPECT(vmalloc_window_map(window + PAGE_BYTES, PAGE_BYTES));
	expect_verdict(vmalloc_check(), NULL);
	range->next->mapped++;
	expect_verdict(vmalloc_check(), "V6");
	range->next->mapped--;
	expect_verdict(vmalloc_check(), NULL);
	vfree(low);
	vfree(high);
}
