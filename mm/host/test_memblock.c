// test_memblock.c: the boot allocator against a map of bytes, its edges one by one, and each of its invariants broken on purpose.
#include "test.h"

#define UNITS 512u // the model's machine is so many units long
#define UNIT  64u  // bytes
#define BASE  0x80000000u

// The model: what each unit is.
struct model {
	bool memory[UNITS], reserved[UNITS];
};

static struct memblock mb;

static void paint(bool *map, uint64_t first, uint64_t count, bool value)
{
	for (uint64_t i = first; i < first + count; i++)
		map[i] = value;
}

static uint64_t start_of(uint64_t unit)
{
	return BASE + unit * UNIT;
}

static bool model_free(const struct model *model, uint64_t unit)
{
	return unit < UNITS && model->memory[unit] && !model->reserved[unit];
}

// memblock's free ranges are exactly the runs of free units, in order.
static void compare(const struct model *model)
{
	uint64_t cursor = 0, unit = 0, memory = 0, free = 0;
	struct memblock_range range;
	while (memblock_next_free(&mb, &cursor, &range)) {
		while (unit < UNITS && !model_free(model, unit))
			unit++;
		EXPECT_EQ(range.start, start_of(unit));
		while (model_free(model, unit))
			unit++;
		EXPECT_EQ(range.end, start_of(unit));
	}
	while (unit < UNITS && !model_free(model, unit))
		unit++;
	EXPECT_EQ(unit, UNITS);
	for (unit = 0; unit < UNITS; unit++) {
		memory += model->memory[unit];
		free += model_free(model, unit);
	}
	EXPECT_EQ(memblock_memory_bytes(&mb), memory * UNIT);
	EXPECT_EQ(memblock_free_bytes(&mb), free * UNIT);
	EXPECT_VERDICT(memblock_check(&mb), NULL);
}

// The lowest place where `count` units fit at a multiple of `align` units (BASE is aligned to all that is used here).
static uint64_t model_place(const struct model *model, uint64_t count, uint64_t align)
{
	for (uint64_t at = 0; at + count <= UNITS; at += align) {
		uint64_t i = 0;
		while (i < count && model_free(model, at + i))
			i++;
		if (i == count)
			return at;
	}
	return UNITS;
}

static uint64_t model_place_high(const struct model *model, uint64_t count, uint64_t align)
{
	for (uint64_t at = (UNITS - count) / align * align;; at -= align) {
		uint64_t i = 0;
		while (i < count && model_free(model, at + i))
			i++;
		if (i == count || at == 0)
			return i == count ? at : UNITS;
	}
}

static void allocate(struct model *model, bool high)
{
	uint64_t count = 1 + random_below(20), align = 1u << random_below(5);
	uint64_t at = (high ? model_place_high : model_place)(model, count, align);
	pa_t got = (high ? memblock_alloc_high : memblock_alloc)(&mb, count * UNIT, align * UNIT);
	EXPECT_EQ(got.raw, at == UNITS ? 0 : start_of(at));
	if (at < UNITS)
		paint(model->reserved, at, count, true);
}

static void release(struct model *model)
{
	uint64_t first = random_below(UNITS), count = 0, most = 1 + random_below(16);
	while (first + count < UNITS && count < most && model->reserved[first + count])
		count++;
	memblock_free(&mb, PA(start_of(first)), count * UNIT);
	paint(model->reserved, first, count, false);
}

TEST(memblock_model)
{
	for (unsigned round = 0; round < 200; round++) {
		struct model model = { 0 };
		mb = (struct memblock){ 0 };
		for (unsigned step = 0; step < 60; step++) {
			uint64_t first = random_below(UNITS), count = random_below(UNITS - first) / 4;
			switch (random_below(6)) {
			case 0:
				EXPECT(memblock_add(&mb, PA(start_of(first)), count * UNIT));
				paint(model.memory, first, count, true);
				break;
			case 1:
				EXPECT(memblock_reserve(&mb, PA(start_of(first)), count / 4 * UNIT));
				paint(model.reserved, first, count / 4, true);
				break;
			case 2:
				release(&model);
				break;
			default:
				allocate(&model, random_below(2));
			}
			compare(&model);
		}
	}
}

TEST(memblock_ranges_merge_when_they_touch)
{
	EXPECT(memblock_add(&mb, PA(0x3000), 0x1000)); //          ...###...
	EXPECT(memblock_add(&mb, PA(0x1000), 0x1000)); //          .#.###...
	EXPECT_EQ(mb.memory.count, 2);
	EXPECT(memblock_add(&mb, PA(0x2000), 0x1000)); //          .#####...
	EXPECT_EQ(mb.memory.count, 1);
	EXPECT_EQ(mb.memory.range[0].start, 0x1000);
	EXPECT_EQ(mb.memory.range[0].end, 0x4000);
	EXPECT(memblock_add(&mb, PA(0x1800), 0x800)); // inside
	EXPECT_EQ(memblock_memory_bytes(&mb), 0x3000);
}

TEST(memblock_odd_sizes_and_ends_of_the_address_space)
{
	EXPECT(memblock_add(&mb, PA(0), 1001));
	EXPECT(memblock_add(&mb, PA(UINT64_MAX - 100), 100));
	EXPECT(!memblock_add(&mb, PA(UINT64_MAX - 100), 101)); // would wrap
	EXPECT(!memblock_reserve(&mb, PA(1), UINT64_MAX));
	EXPECT(memblock_add(&mb, PA(77), 0)); // empty
	EXPECT_EQ(memblock_memory_bytes(&mb), 1101);
	pa_t first = memblock_alloc(&mb, 1, 1);
	EXPECT_EQ(first.raw, 1); // never address 0
	EXPECT_EQ(memblock_alloc(&mb, 1000, 1).raw, 0);
	EXPECT_EQ(memblock_alloc(&mb, 999, 1).raw, 2);
	EXPECT_EQ(memblock_alloc(&mb, 100, 1).raw, UINT64_MAX - 100);
	EXPECT_EQ(memblock_alloc(&mb, 1, 1).raw, 0);
	EXPECT_EQ(memblock_alloc(&mb, 0, 1).raw, 0);
	EXPECT_EQ(memblock_alloc(&mb, UINT64_MAX, 4096).raw, 0);
	EXPECT_VERDICT(memblock_check(&mb), NULL);
}

TEST(memblock_takes_from_the_high_end)
{
	EXPECT(memblock_add(&mb, PA(0), 1001));
	EXPECT(memblock_add(&mb, PA(UINT64_MAX - 100), 100));
	EXPECT_EQ(memblock_alloc_high(&mb, 64, 64).raw, 896); // the highest range has no aligned place
	EXPECT_EQ(memblock_alloc_high(&mb, 100, 1).raw, UINT64_MAX - 100);
	EXPECT_EQ(memblock_alloc_high(&mb, 896, 1).raw, 0);   // would begin at address 0
	EXPECT_EQ(memblock_alloc_high(&mb, 41, 1).raw, 960);  // above what lies aligned
	EXPECT_EQ(memblock_alloc_high(&mb, 0, 1).raw, 0);
	EXPECT_EQ(memblock_alloc_high(&mb, UINT64_MAX, 1).raw, 0);
	EXPECT_EQ(memblock_alloc_high(&mb, 1, UINT64_MAX / 2 + 1).raw, 0);
	EXPECT_EQ(memblock_alloc_high(&mb, 895, 1).raw, 1);
	EXPECT_EQ(memblock_free_bytes(&mb), 1); // address 0
	EXPECT_PANIC("power of two", (void)!memblock_alloc_high(&mb, 1, 0).raw);
	EXPECT_VERDICT(memblock_check(&mb), NULL);
}

TEST(memblock_full_lists_refuse_and_stay_whole)
{
	for (unsigned i = 0; i < MEMBLOCK_RANGES; i++) {
		EXPECT(memblock_add(&mb, PA(0x10000 + 0x2000 * i), 0x1000));
		EXPECT(memblock_reserve(&mb, PA(0x10000 + 0x2000 * i), 0x10));
	}
	struct memblock before = mb;
	EXPECT(!memblock_add(&mb, PA(0x1000), 0x1000));
	EXPECT(!memblock_reserve(&mb, PA(0x10100), 0x10));
	EXPECT_PANIC("a hole needs one range more", memblock_free(&mb, PA(0x10004), 4));
	EXPECT(memcmp(&before, &mb, sizeof mb) == 0);
	EXPECT_EQ(memblock_alloc(&mb, 0x10, 0x10).raw, 0x10010);  // grows a range that is there
	EXPECT_EQ(memblock_alloc(&mb, 0x10, 0x100).raw, 0);       // would need one more
	EXPECT_EQ(memblock_alloc_high(&mb, 0x10, 0x10).raw, 0);
	EXPECT_EQ(memblock_alloc_high(&mb, 0xff0, 0x10).raw, 0x8e010); // fills a gap, and grows what is below it
	EXPECT(memblock_add(&mb, PA(0x11000), 0x1000));           // closes a gap
	EXPECT_EQ(mb.memory.count, MEMBLOCK_RANGES - 1);
	EXPECT_VERDICT(memblock_check(&mb), NULL);
}

TEST(memblock_free_of_what_is_not_reserved_panics)
{
	EXPECT(memblock_add(&mb, PA(0x10000), 0x10000));
	EXPECT(memblock_reserve(&mb, PA(0x12000), 0x2000));
	EXPECT_PANIC("not reserved", memblock_free(&mb, PA(0x11000), 0x1000));
	EXPECT_PANIC("not reserved", memblock_free(&mb, PA(0x13000), 0x1001));
	EXPECT_PANIC("not reserved", memblock_free(&mb, PA(0x14000), 0x10));
	EXPECT_PANIC("not reserved", memblock_free(&mb, PA(0x12000), UINT64_MAX));
	EXPECT_PANIC("power of two", (void)!memblock_alloc(&mb, 1, 3).raw);
	memblock_free(&mb, PA(0x12800), 0x800);
	EXPECT_EQ(mb.reserved.count, 2);
	memblock_free(&mb, PA(0x12000), 0x800);
	memblock_free(&mb, PA(0x13000), 0x1000);
	EXPECT_EQ(mb.reserved.count, 0);
}

TEST(memblock_check_names_the_broken_invariant)
{
	EXPECT(memblock_add(&mb, PA(0x1000), 0x1000));
	EXPECT(memblock_add(&mb, PA(0x4000), 0x1000));
	EXPECT(memblock_reserve(&mb, PA(0x1000), 0x100));
	struct memblock good = mb;

	mb.reserved.count = MEMBLOCK_RANGES + 1;
	EXPECT_VERDICT(memblock_check(&mb), "B1");
	mb = good;
	mb.memory.range[1].end = mb.memory.range[1].start;
	EXPECT_VERDICT(memblock_check(&mb), "B2");
	mb = good;
	mb.memory.range[0].end = 0x4800;
	EXPECT_VERDICT(memblock_check(&mb), "B3");
	mb = good;
	mb.memory.range[0].end = 0x4000;
	EXPECT_VERDICT(memblock_check(&mb), "B4");
	mb = good;
	EXPECT_VERDICT(memblock_check(&mb), NULL);
}
