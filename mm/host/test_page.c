// test_page.c: physical pages: every engine on every machine of page_model.c against the shadow, then rule by rule.
#include <sys/mman.h>

#include "../page_engine.h"
#include "page_model.h"

// ---- the model; one test body for all engines

static void run_model(const char *engine, unsigned steps)
{
	for (unsigned i = 0; i < MODEL_MACHINE_COUNT; i++) {
		for (unsigned variant = 0; variant < 3; variant++) {
			static const unsigned cpus[] = { 1, 4, 16 }, reserve[] = { 0, 5, 16 };
			page_model_start(engine, &MODEL_MACHINES[i], cpus[variant], reserve[variant], random_below);
			for (unsigned step = 0; step < steps; step++) {
				page_model_step();
				if (step % 64 == 0)
					EXPECT_VERDICT(page_check(), NULL);
			}
			page_model_finish();
		}
	}
}

#define STEPS (MM_CHECK ? 150u : 700u)

TEST(page_model_buddy)
{
	run_model("buddy", STEPS);
}

TEST(page_model_buddy_lazy)
{
	run_model("buddy_lazy", STEPS);
}

TEST(page_model_bitmap)
{
	run_model("bitmap", STEPS);
}

TEST(page_model_stack)
{
	run_model("stack", STEPS);
}

// ---- to the last page and back, on every machine

static void exhaust(const char *engine, const struct machine *machine, unsigned order)
{
	page_model_start(engine, machine, 4, 0, random_below);
	while (page_model.live < MODEL_BLOCKS && page_model_alloc(order, PAGE_ATOMIC) < MODEL_BLOCKS)
		host_cpu((unsigned)random_below(4));
	EXPECT(order > 0 || page_model.free == 0);
	EXPECT_VERDICT(page_check(), NULL);
	page_model_finish();
}

TEST(page_exhaustion)
{
	for (unsigned e = 0; PAGE_ENGINES[e]; e++)
		for (unsigned m = 0; m < MODEL_MACHINE_COUNT; m++)
			for (unsigned order = 0; order <= PAGE_MAX_ORDER; order += 1 + order / 3)
				exhaust(PAGE_ENGINES[e]->name, &MODEL_MACHINES[m], order);
}

// ---- caches

// A page that lies in another CPU's cache is found before memory is refused.
TEST(page_caches_are_searched_before_memory_is_refused)
{
	for (unsigned e = 0; PAGE_ENGINES[e]; e++) {
		page_model_start(PAGE_ENGINES[e]->name, &MODEL_MACHINES[1], 4, 0, random_below);
		unsigned hidden = page_model_alloc(0, 0);
		while (page_model_alloc(0, 0) < MODEL_BLOCKS)
			;
		page_model_free(hidden); // into CPU 0's cache
		host_cpu(3);
		EXPECT(page_model_alloc(0, PAGE_KERNEL) < MODEL_BLOCKS);
		EXPECT(page_model_alloc(0, PAGE_ATOMIC) == MODEL_BLOCKS);
		page_model_finish();
	}
}

// Pages that lie in caches join into a large block when one is needed.
TEST(page_caches_give_way_to_a_large_block)
{
	for (unsigned e = 0; PAGE_ENGINES[e]; e++) {
		page_model_start(PAGE_ENGINES[e]->name, &MODEL_MACHINES[2], 2, 0, random_below);
		for (unsigned cpu = 0; cpu < 2; cpu++) {
			host_cpu(cpu);
			page_model_free(page_model_alloc(0, 0)); // leaves a batch in the cache
		}
		unsigned blocks = 0;
		while (page_model_alloc(5, 0) < MODEL_BLOCKS)
			blocks++;
		EXPECT(blocks >= page_model.total / 32 - 1);
		page_model_finish();
	}
}

TEST(page_fast_path_takes_no_lock)
{
	page_model_start("buddy", &MODEL_MACHINES[0], 2, 16, random_below);
	pa_t page[8];
	page_free(page_alloc(0, 0));
	uint64_t before = page_lock_acquisitions();
	for (unsigned i = 0; i < 1000; i++) {
		for (unsigned k = 0; k < 8; k++)
			page[k] = page_alloc(0, 0);
		for (unsigned k = 0; k < 8; k++)
			page_free(page[k]);
	}
	EXPECT_EQ(page_lock_acquisitions(), before);
	before = page_lock_acquisitions(); // a long way up and down: a lock for each batch, and no more at the turn
	unsigned index[512];
	for (unsigned i = 0; i < 512; i++)
		index[i] = page_model_alloc(0, 0);
	for (unsigned i = 0; i < 512; i++)
		page_model_free(index[i]);
	EXPECT(page_lock_acquisitions() - before <= 2 * 512 / CACHE_BATCH + 2);
	page_model_finish();
}

// ---- zones and the reserve

TEST(page_normal_memory_goes_first)
{
	for (unsigned e = 0; PAGE_ENGINES[e]; e++) {
		page_model_start(PAGE_ENGINES[e]->name, &MODEL_MACHINES[0], 1, 0, random_below);
		struct page_zone_report report[PAGE_ZONES];
		EXPECT_EQ(page_report(report), 2);
		for (size_t i = 0; i < report[1].total; i++)
			EXPECT(page_alloc(0, 0).raw >= MODEL_MACHINES[0].dma_limit);
		EXPECT(page_alloc(0, 0).raw < MODEL_MACHINES[0].dma_limit);
		EXPECT(!pa_is_none(page_alloc(0, PAGE_DMA)));
		EXPECT(!pa_is_none(page_alloc(3, PAGE_KERNEL)));
		EXPECT_VERDICT(page_check(), NULL);
	}
}

TEST(page_reserve_is_for_atomic_and_fills_first)
{
	for (unsigned e = 0; PAGE_ENGINES[e]; e++) {
		page_model_start(PAGE_ENGINES[e]->name, &MODEL_MACHINES[1], 2, 8, random_below);
		while (page_model_alloc(0, PAGE_KERNEL) < MODEL_BLOCKS)
			;
		EXPECT_EQ(page_free_count(), 8);
		for (unsigned i = 0; i < 8; i++)
			EXPECT(page_model_alloc(0, PAGE_ATOMIC | PAGE_ZERO) < MODEL_BLOCKS);
		EXPECT_EQ(page_model_alloc(0, PAGE_ATOMIC), MODEL_BLOCKS);
		for (unsigned i = 0; i < 8; i++) { // the first eight pages that come back are the reserve again
			page_model_free(i);
			EXPECT_EQ(page_model_alloc(0, PAGE_KERNEL), MODEL_BLOCKS);
		}
		page_model_free(8);
		EXPECT(page_model_alloc(0, PAGE_KERNEL) < MODEL_BLOCKS);
		page_model_finish();
	}
}

// ---- page_init

TEST(page_init_refuses_and_takes_nothing)
{
	struct memblock mb, before;
	struct page_config config = { .engine = "clock", .dma_limit = PA(0), .cpus = 1, .reserve = 0 };
	page_model_boot(&MODEL_MACHINES[0], &mb);
	before = mb;
	EXPECT(!page_init(&mb, &config)); // no such engine
	config.engine = NULL;
	struct memblock none = { 0 };
	EXPECT(!page_init(&none, &config)); // no memory
	EXPECT(memblock_reserve(&none, PA(4096), 4096) && memblock_add(&none, PA(1), 2 * 4096));
	EXPECT(!page_init(&none, &config)); // no whole page
	EXPECT(memcmp(&mb, &before, sizeof mb) == 0);
	EXPECT(pa_is_none(page_alloc(0, 0)) && pa_is_none(page_alloc(3, PAGE_DMA)));
	EXPECT_EQ(page_free_count(), 0);
	EXPECT(page_init(&mb, &config));
	EXPECT(strcmp(page_engine_name(), "buddy") == 0);
}

TEST(page_init_without_room_for_its_tables)
{
	static struct memblock mb, before;
	struct page_config config = { .engine = "buddy", .dma_limit = PA(0), .cpus = 1, .reserve = 0 };
	host_reset();
	for (uint64_t i = 0; i < 40; i++) // 40 pages at most 4 MiB apart: the records of one span need more than one page
		host_ram(0x80000000 + i * 0x300000, 4096, &mb);
	before = mb;
	EXPECT(!page_init(&mb, &config));
	EXPECT(memcmp(&mb, &before, sizeof mb) == 0);
	EXPECT(pa_is_none(page_alloc(0, 0)));
}

static size_t touched_pages(uint64_t start, uint64_t bytes)
{
	static unsigned char present[1 << 15];
	size_t count = 0;
	EXPECT(bytes / 4096 <= sizeof present && mincore(pa_pointer(PA(start)), bytes, present) == 0);
	for (size_t i = 0; i < bytes / 4096; i++)
		count += present[i] & 1;
	return count;
}

TEST(page_init_touches_no_free_page_and_needs_16_bytes_a_page)
{
	for (unsigned e = 0; PAGE_ENGINES[e] && MM_CHECK == 0; e++) { // free pages are poisoned when MM_CHECK > 0
		static struct memblock mb;
		mb = (struct memblock){ 0 };
		host_reset();
		host_ram(0x80000000, 64 << 20, &mb);
		struct page_config config = { .engine = PAGE_ENGINES[e]->name, .dma_limit = PA(0x81000000), .cpus = PORT_MAX_CPUS,
			.reserve = 64 };
		EXPECT(page_init(&mb, &config));
		size_t tables = (64 << 20) / 4096 - page_total_count();
		EXPECT(touched_pages(0x80000000, 64 << 20) <= tables);
		EXPECT(page_metadata_bytes() <= 16 * page_total_count());
		EXPECT(tables * 4096 <= page_metadata_bytes() + 4096);
	}
}

TEST(page_many_spans)
{
	static struct memblock mb;
	for (unsigned e = 0; PAGE_ENGINES[e]; e++) {
		mb = (struct memblock){ 0 };
		host_reset();
		for (uint64_t i = 0; i < PAGE_SPANS + 3; i++) // the last span takes in three holes
			host_ram(0x80000000 + i * 0x4000000, 0x200000, &mb);
		struct page_config config = { .engine = PAGE_ENGINES[e]->name, .dma_limit = PA(0x88000000), .cpus = 1, .reserve = 0 };
		EXPECT(page_init(&mb, &config));
		EXPECT_VERDICT(page_check(), NULL);
		size_t total = page_free_count(), got = 0;
		for (pa_t page; !pa_is_none(page = page_alloc(0, 0)); got++)
			EXPECT(page_of(page) && page_refs(page) == 1 && page.raw % 0x4000000 < 0x200000);
		EXPECT_EQ(got, total);
		for (uint64_t at = 0x80000000; at < 0x80000000 + (PAGE_SPANS + 3) * (uint64_t)0x4000000; at += 4096)
			if (page_is_allocated(PA(at)))
				page_free(PA(at));
		EXPECT_EQ(page_free_count(), total);
		EXPECT_VERDICT(page_check(), NULL);
	}
}

// ---- mistakes of callers

static void expect_free_already(pa_t page)
{
	EXPECT_PANIC("page_free: the page is free already", page_free(page));
	EXPECT_PANIC("page_share: the page is free already", page_share(page));
}

static void make_mistakes(const char *engine)
{
	page_model_start(engine, &MODEL_MACHINES[0], 1, 0, random_below);
	pa_t page = page_alloc(0, 0), block = page_alloc(3, 0), dma = page_alloc(0, PAGE_DMA);
	uint64_t inside = block.raw + 2 * 4096;
	EXPECT_PANIC("page_free: the address is not that of a page: misaligned", page_free(PA(page.raw + 8)));
	EXPECT_PANIC("page_free: inside a block", page_free(PA(inside)));
	EXPECT_PANIC("page_share: inside a block", page_share(PA(inside)));
	EXPECT_PANIC("page_order: inside a block", (void)page_order(PA(inside)));
	EXPECT_PANIC("page_free: a foreign page", page_free(PA(0)));
	EXPECT_PANIC("page_free: a foreign page", page_free(PA(0x80000000)));   // reserved
	EXPECT_PANIC("page_free: a foreign page", page_free(PA(0x80800000)));   // behind RAM
	EXPECT_PANIC("page_free: a foreign page", page_free(PA(0x7ffff000)));   // before RAM
	EXPECT_PANIC("page_free: a foreign page", page_free(PA(~(uint64_t)4095)));
	EXPECT_VERDICT(page_check(), NULL);
	page_free(page);
	expect_free_already(page); // in a cache
	page_free(dma);
	expect_free_already(dma); // in the engine
	page_free(block);
	page_drain();
	expect_free_already(page);
	for (uint64_t i = 0; i < 8; i++)
		expect_free_already(PA(block.raw + i * 4096)); // whether or not it is the head of a free block
	EXPECT_EQ(page_free_count(), page_model.total);
	EXPECT_VERDICT(page_check(), NULL);
}

TEST(page_mistakes_panic_with_the_rule)
{
	for (unsigned e = 0; PAGE_ENGINES[e]; e++)
		make_mistakes(PAGE_ENGINES[e]->name);
}

TEST(page_references)
{
	page_model_start("buddy", &MODEL_MACHINES[0], 1, 0, random_below);
	for (unsigned order = 0; order < 3; order++) {
		pa_t block = page_alloc(order, 0);
		for (unsigned i = 1; i < 100; i++) {
			EXPECT_EQ(page_refs(block), i);
			page_share(block);
		}
		for (unsigned i = 100; i > 0; i--) {
			EXPECT_EQ(page_refs(block), i);
			page_free(block);
		}
		EXPECT_EQ(page_refs(block), 0);
		EXPECT_PANIC("free already", page_free(block));
	}
	EXPECT_EQ(page_free_count(), page_model.total);
}

TEST(page_of_any_address)
{
	page_model_start("buddy", &MODEL_MACHINES[0], 1, 0, random_below);
	pa_t block = page_alloc(1, 0);
	EXPECT(page_of(PA(block.raw + 77)) == page_of(block) && page_of(block)->use == PAGE_USED);
	EXPECT(page_of(PA(block.raw + 4096 + 5))->use == PAGE_USED_TAIL);
	EXPECT(page_of(PA(0x80000000)) == NULL && page_of(PA(0)) == NULL && page_of(PA(UINT64_MAX)) == NULL);
	EXPECT(!page_is_allocated(PA(0x80000000)) && page_is_allocated(PA(block.raw + 8191)));
	EXPECT_EQ(page_refs(PA(block.raw + 4096)), 0);
	EXPECT_EQ(page_refs(PA(block.raw + 1)), 0);
	EXPECT_EQ(page_refs(PA(0x1000)), 0);
}

TEST(page_alloc_fails_when_the_test_says_so)
{
	page_model_start("buddy", &MODEL_MACHINES[0], 1, 0, random_below);
	host_fail_after(3);
	pa_t page[2] = { page_alloc(0, 0), page_alloc(2, PAGE_ATOMIC) };
	EXPECT(!pa_is_none(page[0]) && !pa_is_none(page[1])); // else: linked without -Wl,--wrap=page_alloc?
	EXPECT(pa_is_none(page_alloc(0, 0)) && pa_is_none(page_alloc(0, 0)));
	EXPECT_EQ(host_allocations(), 4);
	host_fail_after(UINT64_MAX);
	EXPECT(!pa_is_none(page_alloc(0, 0)));
}

static void write_after_free(const char *engine)
{
	page_model_start(engine, &MODEL_MACHINES[0], 1, 0, random_below);
	pa_t page = page_alloc(0, 0);
	page_free(page);
	*((char *)pa_pointer(page) + 100) = 1;
	EXPECT_PANIC("a free page was written to", (void)!page_alloc(0, 0).raw);
	pa_t block = page_alloc(2, 0);
	page_free(block);
	*((char *)pa_pointer(block) + 3 * 4096 + 4095) = 1;
	EXPECT_PANIC("a free page was written to", while (!pa_is_none(page_alloc(2, 0))););
}

TEST(page_poison_finds_a_write_after_free)
{
	for (unsigned e = 0; PAGE_ENGINES[e] && MM_CHECK >= 1; e++)
		write_after_free(PAGE_ENGINES[e]->name);
}
