// page_model.c: see page_model.h.
#include "page_model.h"

#define PAGES ((uint64_t)4 << 20) // 16 GiB of physical space

enum { NOT_OURS, FREE, FIRST_BLOCK }; // what shadow holds; block n: FIRST_BLOCK + n
static uint16_t shadow[PAGES];
static uint64_t ours[16384]; // the pages under management, rising; page_model.total of them
struct page_model page_model;

const char *const MODEL_FLAGS[8] = { "0", "PAGE_ZERO", "PAGE_ATOMIC", "PAGE_ZERO|PAGE_ATOMIC", "PAGE_DMA", "PAGE_ZERO|PAGE_DMA",
				     "PAGE_ATOMIC|PAGE_DMA", "PAGE_ZERO|PAGE_ATOMIC|PAGE_DMA" };

#define MIB ((uint64_t)1 << 20)
const struct machine MODEL_MACHINES[] = { // name, RAM, reservations, DMA limit
	{ "one range, its start reserved",
	  { { 2048 * MIB, 2056 * MIB } },
	  { { 2048 * MIB, 2048 * MIB + 0x80000 } },
	  2052 * MIB },
	{ "40 pages at an odd place",
	  { { 0x80003000, 0x80003000 + 40 * 4096 } },
	  { { 0 } },
	  0 },
	{ "no normal zone",
	  { { 2048 * MIB, 2050 * MIB } },
	  { { 0 } },
	  4096 * MIB },
	{ "ends in the middle of pages, the limit in the middle of blocks",
	  { { 0x80000123, 0x80234567 }, { 0x80236001, 0x80580fff } },
	  { { 0x80100800, 0x80103801 }, { 0x80300000, 0x80300001 } },
	  0x80223000 },
	{ "small holes",
	  { { 0x80000000, 0x80100000 }, { 0x80180000, 0x80200000 }, { 0x80201000, 0x80202000 }, { 0x80400000, 0x80500000 } },
	  { { 0x80007000, 0x80009000 }, { 0x80450000, 0x80451000 } },
	  0x80190000 },
	{ "large holes",
	  { { 2048 * MIB, 2050 * MIB }, { 2304 * MIB + 0x5000, 2305 * MIB }, { 4096 * MIB, 4098 * MIB },
	    { 8192 * MIB + 0x3ff000, 8200 * MIB } },
	  { { 4097 * MIB, 4097 * MIB + 1 } },
	  3072 * MIB },
	{ "the limit in a hole, and low memory from address 0",
	  { { 0, 2 * MIB }, { 2048 * MIB, 2051 * MIB } },
	  { { 0x9000, 0x20000 } },
	  1024 * MIB },
	{ "reservations between most pages",
	  { { 0x80000000, 0x80012000 } },
	  { { 0x80001000, 0x80002000 }, { 0x80003000, 0x80004000 }, { 0x80005000, 0x80006000 },
	    { 0x80007800, 0x80007801 }, { 0x80009000, 0x8000a000 } },
	  0x80008000 },
};
const unsigned MODEL_MACHINE_COUNT = sizeof MODEL_MACHINES / sizeof *MODEL_MACHINES;

void page_model_boot(const struct machine *machine, struct memblock *mb)
{
	*mb = (struct memblock){ 0 };
	host_reset();
	for (const struct memblock_range *ram = machine->ram; ram->end > 0; ram++)
		host_ram(ram->start, ram->end - ram->start, mb);
	for (const struct memblock_range *range = machine->reserved; range->end > 0; range++)
		EXPECT(memblock_reserve(mb, PA(range->start), range->end - range->start));
}

// What memblock has free after page_init, in whole pages, is what page_init took over.
static void learn_pages(void)
{
	uint64_t cursor = 0;
	struct memblock_range range;
	while (memblock_next_free(&page_model.mb, &cursor, &range)) {
		for (uint64_t page = (range.start + 4095) / 4096; (page + 1) * 4096 <= range.end; page++) {
			if (page == 0)
				continue;
			EXPECT(page_model.total < sizeof ours / sizeof *ours);
			shadow[page] = FREE;
			ours[page_model.total++] = page;
			page_model.zone_free[page * 4096 >= page_model.machine->dma_limit]++;
		}
	}
	page_model.free = page_model.total;
}

void page_model_start(const char *engine, const struct machine *machine, unsigned cpus, size_t reserve, uint64_t (*random)(uint64_t limit))
{
	for (size_t i = 0; i < page_model.total; i++)
		shadow[ours[i]] = NOT_OURS;
	memset(&page_model, 0, sizeof page_model);
	page_model.machine = machine;
	page_model.cpus = cpus;
	page_model.reserve = reserve;
	page_model.random = random;
	page_model_boot(machine, &page_model.mb);
	struct page_config config = { .engine = engine, .dma_limit = PA(machine->dma_limit), .cpus = cpus, .reserve = reserve };
	EXPECT(page_init(&page_model.mb, &config));
	learn_pages();
	EXPECT_EQ(page_total_count(), page_model.total);
	EXPECT_EQ(page_free_count(), page_model.total);
	EXPECT(strcmp(page_engine_name(), engine) == 0);
	EXPECT_VERDICT(page_check(), NULL);
}

// ---- the oracle

static bool in_zone(uint64_t page, unsigned zone) // 0: DMA, 1: normal
{
	return (page * 4096 >= page_model.machine->dma_limit) == (zone == 1);
}

static bool run_is_free(uint64_t page, uint64_t size, unsigned zone)
{
	for (uint64_t i = 0; i < size; i++)
		if (page + i >= PAGES || shadow[page + i] != FREE || !in_zone(page + i, zone))
			return false;
	return true;
}

// Whether the zone can give a block: an aligned run is free, and what remains covers the reserve.
static bool zone_can(unsigned zone, unsigned order, unsigned flags)
{
	uint64_t size = 1u << order;
	bool fits = order == 0;
	if (page_model.zone_free[zone] < size + (flags & PAGE_ATOMIC ? 0 : page_model.reserve))
		return false;
	for (size_t i = 0; i < page_model.total && !fits; i++)
		fits = ours[i] % size == 0 && run_is_free(ours[i], size, zone);
	return fits;
}

static bool can(unsigned order, unsigned flags)
{
	return order <= PAGE_MAX_ORDER && (zone_can(0, order, flags) || (!(flags & PAGE_DMA) && zone_can(1, order, flags)));
}

// ---- calls

static void expect_zero(pa_t start, unsigned order)
{
	const uint64_t *word = pa_pointer(start);
	for (uint64_t i = 0; i < 512u << order; i++)
		EXPECT_SO(word[i] == 0, "byte %u of a block of order %u holds %#lx, expected zeroes, as PAGE_ZERO asked for",
			  (unsigned)i * 8, order, (unsigned long)word[i]);
}

// The first and last word of each page say whose it is.
static void sign(const struct model_block *block)
{
	uint64_t *word = pa_pointer(block->start);
	for (uint64_t i = 0; i < 1u << block->order; i++)
		word[i * 512] = word[i * 512 + 511] = block->start.raw + i;
}

static void expect_signed(const struct model_block *block)
{
	const uint64_t *word = pa_pointer(block->start);
	for (uint64_t i = 0; i < 1u << block->order; i++) {
		EXPECT_SO(word[i * 512] == block->start.raw + i && word[i * 512 + 511] == block->start.raw + i,
			  "the page at %#lx, in use, was written to, expected what its owner left in it",
			  (unsigned long)block->start.raw + i * 4096);
	}
}

static void expect_count(void)
{
	EXPECT_SO(page_free_count() == page_model.free, "page_free_count() = %lu, expected %lu", (unsigned long)page_free_count(),
		  (unsigned long)page_model.free);
}

static void adopt(unsigned index, pa_t start, unsigned order, unsigned flags)
{
	uint64_t first = start.raw / 4096, size = 1u << order;
	unsigned long at = (unsigned long)start.raw;
	EXPECT_SO(start.raw % (size * 4096) == 0, "page_alloc gives %#lx, expected a multiple of %#lx", at, (unsigned long)size * 4096);
	for (uint64_t page = first; page < first + size; page++) {
		EXPECT_SO(page < PAGES && shadow[page] != NOT_OURS, "page_alloc gives %#lx, expected pages that page_init took over", at);
		EXPECT_SO(shadow[page] == FREE, "page_alloc gives %#lx, and %#lx is in use, expected free pages", at,
			  (unsigned long)page * 4096);
		EXPECT_SO(!(flags & PAGE_DMA) || in_zone(page, 0), "page_alloc gives %#lx, expected pages below the DMA limit, %#lx", at,
			  (unsigned long)page_model.machine->dma_limit);
		shadow[page] = (uint16_t)(FIRST_BLOCK + index);
		EXPECT(page_is_allocated(PA(page * 4096)));
		page_model.zone_free[in_zone(page, 1)]--;
	}
	if (flags & PAGE_ZERO)
		expect_zero(start, order);
	page_model.block[index] = (struct model_block){ start, order, 1, false };
	sign(&page_model.block[index]);
	page_model.free -= size;
	page_model.live++;
	EXPECT_EQ(page_refs(start), 1);
	EXPECT_EQ(page_order(start), order);
	EXPECT(page_of(start)->owner == 0 && page_of(start)->tag == 0);
	page_of(start)->owner = index; // both are the owner's to use
	page_of(start)->tag = (uint16_t)index;
}

unsigned page_model_alloc(unsigned order, unsigned flags)
{
	unsigned index = 0;
	while (index < MODEL_BLOCKS && page_model.block[index].refs > 0)
		index++;
	EXPECT(index < MODEL_BLOCKS);
	// With one CPU it is known which zone a single page comes from.
	bool normal = page_model.cpus == 1 && order == 0 && !(flags & PAGE_DMA) && zone_can(1, 0, flags);
	pa_t start = page_alloc(order, flags);
	if (pa_is_none(start)) {
		EXPECT_SO(!can(order, flags), "page_alloc gives PA_NONE, expected a block: a zone that may be used has one that fits");
		index = MODEL_BLOCKS;
	} else {
		EXPECT_SO(!normal || in_zone(start.raw / 4096, 1), "page_alloc gives %#lx, DMA memory, expected a page of the normal zone",
			  (unsigned long)start.raw);
		adopt(index, start, order, flags);
	}
	expect_count();
	return index;
}

void page_model_free(unsigned index)
{
	struct model_block *block = &page_model.block[index];
	expect_signed(block);
	EXPECT_EQ(page_refs(block->start), block->refs);
	page_free(block->start);
	if (--block->refs > 0)
		return;
	for (uint64_t i = 0; i < 1u << block->order; i++) {
		shadow[block->start.raw / 4096 + i] = FREE;
		page_model.zone_free[in_zone(block->start.raw / 4096 + i, 1)]++;
		EXPECT_SO(!page_is_allocated(PA(block->start.raw + i * 4096)),
			  "%#lx of a block of order %u is in use, expected it to be free", (unsigned long)block->start.raw + i * 4096,
			  block->order);
	}
	page_model.free += 1u << block->order;
	page_model.live--;
	EXPECT_EQ(page_refs(block->start), 0);
	expect_count();
}

static unsigned any_block(void) // MODEL_BLOCKS: there is none
{
	unsigned start = (unsigned)page_model.random(MODEL_BLOCKS);
	for (unsigned i = 0; i < MODEL_BLOCKS; i++)
		if (page_model.block[(start + i) % MODEL_BLOCKS].refs > 0)
			return (start + i) % MODEL_BLOCKS;
	return MODEL_BLOCKS;
}

static void misuse(unsigned index)
{
	struct model_block *block = &page_model.block[index];
	if (block->order > 0)
		EXPECT_PANIC("inside a block", page_free(PA(block->start.raw + 4096 * (1 + page_model.random((1u << block->order) - 1)))));
	EXPECT_PANIC("misaligned", page_share(PA(block->start.raw + 1 + page_model.random(4095))));
	uint64_t page = ours[page_model.random(page_model.total)] + page_model.random(3) - 1;
	if (shadow[page] == FREE)
		EXPECT_PANIC("free already", page_free(PA(page * 4096)));
	if (shadow[page] == NOT_OURS)
		EXPECT_PANIC("foreign", page_free(PA(page * 4096)));
}

void page_model_step(void)
{
	static const uint8_t orders[] = { 0, 0, 0, 0, 0, 0, 1, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10, 11 };
	uint64_t what = page_model.random(100);
	unsigned index = what < 50 ? 0 : any_block();
	host_cpu((unsigned)page_model.random(page_model.cpus));
	if (what < 50)
		page_model_alloc(orders[page_model.random(sizeof orders)], (unsigned)page_model.random(8));
	else if (what >= 98)
		page_drain();
	else if (index == MODEL_BLOCKS)
		return;
	else if (what < 90)
		page_model_free(index);
	else if (what < 94)
		misuse(index);
	else {
		page_share(page_model.block[index].start);
		page_model.block[index].refs++;
	}
}

static void expect_reports(void)
{
	struct page_zone_report report[PAGE_ZONES];
	size_t total = 0, free = 0;
	unsigned zones = page_report(report);
	for (unsigned i = 0; i < zones; i++) {
		size_t blocks = 0;
		for (unsigned order = 0; order <= PAGE_MAX_ORDER; order++)
			blocks += report[i].blocks[order] << order;
		EXPECT_EQ(blocks, report[i].free);
		EXPECT(report[i].start < report[i].end);
		total += report[i].total;
		free += report[i].free + report[i].cached;
	}
	EXPECT_EQ(total, page_model.total);
	EXPECT_EQ(free, page_model.free);
}

void page_model_finish(void)
{
	EXPECT_VERDICT(page_check(), NULL);
	expect_reports();
	for (unsigned i = 0; i < MODEL_BLOCKS; i++)
		while (page_model.block[i].refs > 0)
			page_model_free(i);
	EXPECT_EQ(page_model.free, page_model.total);
	EXPECT_EQ(page_free_count(), page_model.total);
	page_drain();
	expect_reports();
	EXPECT_VERDICT(page_check(), NULL);
	unsigned order = PAGE_MAX_ORDER;
	while (order > 0 && !can(order, PAGE_ATOMIC))
		order--;
	unsigned largest = page_model_alloc(order, PAGE_ATOMIC | PAGE_ZERO); // page_model_alloc: refused only when nothing fits
	EXPECT(largest < MODEL_BLOCKS);
	page_model_free(largest);
	page_drain();
	EXPECT_VERDICT(page_check(), NULL);
}
