// check.c: the checks of lab 02: two engines alone, then page.c over them.
//
//     2.1  stack        2.2  neighbours       page_stack.c      each check uses the functions of its own step and of those before it
//     2.3  bits         2.4  runs             page_bitmap.c
//     2.5  zero, poison 2.6  mistakes         page.c over the stack, on one zone
//     2.7  references, together               page.c
//     2.8  zones                              page_zone.c
#include <pthread.h>

#include "../../mm/host/page_model.h"
#include "../host/frames.h"

// ---- engines

static const char FREE_MARKS[] = "Every free frame is marked PAGE_FREE, as a block of order 0, and no other frame is.";
static const char ONCE[] = "Every free frame is handed out exactly once, and then the answer is FRAME_NONE.";

static void zone_of_one(const struct page_engine *engine, uint32_t first, uint32_t count)
{
	frames_start(engine, first, first + count);
	frames_add(first, count);
	frames_require_single(FREE_MARKS);
}

static void drain_singles(void)
{
	while (frames_take(0) != FRAME_NONE)
		;
	REQUIRE(frames.free == 0, frames.zone.first, ONCE, "0 frames left", SAY("%u frames left", frames.free));
}

static struct {
	uint32_t frame;
	unsigned order;
} live[4096];

// Random calls up to this order, then everything back, and out again frame by frame.
static void storm(const struct page_engine *engine, uint32_t first, uint32_t size, unsigned most)
{
	unsigned count = 0;
	zone_of_one(engine, first, size);
	for (unsigned step = 0; step < 250; step++) {
		if (random_below(100) < (step / 60 % 2 ? 30 : 70)) {
			unsigned order = (unsigned)random_below(most + 1);
			uint32_t frame = frames_take(order);
			live[count].frame = frame;
			live[count].order = order;
			count += frame != FRAME_NONE;
		} else if (count > 0) {
			unsigned which = (unsigned)random_below(count);
			frames_give(live[which].frame, live[which].order);
			live[which] = live[--count];
		}
		frames_require_single(FREE_MARKS);
	}
	while (count > 0) {
		count--;
		frames_give(live[count].frame, live[count].order);
	}
	frames_require_single(FREE_MARKS);
	drain_singles();
}

static void singles(const struct page_engine *engine)
{
	judge_rule(ONCE);
	for (uint32_t size = 1; size < 200; size += 1 + size / 3) {
		zone_of_one(engine, size % 70, size);
		drain_singles();
	}
	frames_start(engine, 5, 300); // several ranges with holes
	for (uint32_t at = 5; at < 290; at += 37)
		frames_add(at, 10);
	frames_require_single(FREE_MARKS);
	drain_singles();
	for (unsigned i = 0; i < 12; i++)
		storm(engine, (uint32_t)random_below(130), 1 + (uint32_t)random_below(300), 0);
}

CHECK(stack)
{
	singles(&page_stack);
	static const char rule[] = "The frame that was freed last is the first one taken.";
	judge_rule(rule);
	zone_of_one(&page_stack, 10, 50);
	uint32_t taken[20];
	for (unsigned i = 0; i < 20; i++)
		taken[i] = frames_take(0);
	for (unsigned i = 0; i < 20; i++)
		frames_give(taken[i], 0);
	for (unsigned i = 20; i-- > 0;) {
		uint32_t frame = frames_take(0);
		REQUIRE(frame == taken[i], frame, rule, SAY("frame %u", taken[i]), SAY("frame %u", frame));
	}
}

static void blocks(const struct page_engine *engine, const char *rule)
{
	judge_rule(rule);
	for (unsigned order = 1; order <= PAGE_MAX_ORDER; order++) {
		for (unsigned shift = 0; shift < 3; shift++) { // at the zone's start, just behind it, and with an end that is too short
			zone_of_one(engine, (shift == 1) + (1u << order), (3u << order) - (shift == 2));
			while (frames_take(order) != FRAME_NONE)
				frames_require_single(rule);
			drain_singles();
		}
	}
	for (unsigned i = 0; i < 15; i++)
		storm(engine, (uint32_t)random_below(130), 1 + (uint32_t)random_below(500), 6);
	for (unsigned i = 0; i < 3; i++)
		storm(engine, (uint32_t)random_below(3000), 2500, PAGE_MAX_ORDER);
}

CHECK(neighbours)
{
	blocks(&page_stack, "A block is an aligned run of free frames in the zone, and is found whenever there is one.");
}

CHECK(bits)
{
	static const char rule[] = "The lowest free frame is taken first.";
	singles(&page_bitmap);
	judge_rule(rule);
	for (unsigned i = 0; i < 20; i++) {
		zone_of_one(&page_bitmap, (uint32_t)random_below(100), 300);
		for (unsigned n = 0; n < 200; n++) {
			uint32_t lowest = frames.zone.first;
			while (lowest < frames.zone.end && frames.shadow[lowest] != FREE)
				lowest++;
			uint32_t frame = frames_take(0);
			REQUIRE(frame == lowest, frame, rule, SAY("frame %u", lowest), SAY("frame %u", frame));
			if (n % 3 == 2) {
				uint32_t back = frames.zone.first + (uint32_t)random_below(frame + 1 - frames.zone.first);
				if (frames.shadow[back] == TAKEN)
					frames_give(back, 0);
			}
		}
	}
}

CHECK(runs)
{
	blocks(&page_bitmap, "A block is an aligned run of ones, and is found whenever there is one.");
}

// ---- page.c

static void start(const char *engine, unsigned machine)
{
	call("page_init(\"%s\") on the machine \"%s\"", engine, MODEL_MACHINES[machine].name);
	page_model_start(engine, &MODEL_MACHINES[machine], 2, 0, random_below);
}

static pa_t get(unsigned order, unsigned flags)
{
	call("page_alloc(order %u, %s)", order, MODEL_FLAGS[flags]);
	pa_t block = page_alloc(order, flags);
	answer("%#lx", (unsigned long)block.raw);
	REQUIRE(!pa_is_none(block), NOWHERE, "page_alloc gives a block as long as one that fits is free.", "a block", "PA_NONE");
	return block;
}

static void put(pa_t block)
{
	call("page_free(%#lx)", (unsigned long)block.raw);
	page_free(block);
}

// A call with a mistake in it, for which the caller must be caught.
#define EXPECT_CAUGHT(rule, function, page)                                                    \
	do {                                                                                   \
		call(#function "(%#lx)", (unsigned long)(page).raw);                           \
		EXPECT_PANIC(#function ": " rule, function(page));                             \
	} while (0)

// The machine of which all pages are normal has two zones only in name; no step but 2.8 needs more.
enum { ALL_DMA = 2, TWO_ZONES = 0 };

CHECK(zero)
{
	static const char rule[] = "A block that was asked for with PAGE_ZERO holds zeroes only, whatever was in it before.";
	judge_rule(rule);
	start("stack", ALL_DMA);
	for (unsigned round = 0; round < 40; round++) {
		pa_t page = get(0, round % 2 ? PAGE_ZERO : PAGE_KERNEL);
		uint64_t *word = pa_pointer(page);
		for (unsigned i = 0; i < 512 && round % 2; i++)
			REQUIRE(word[i] == 0, NOWHERE, rule, SAY("0 at byte %u", i * 8), SAY("%#lx", (unsigned long)word[i]));
		memset(word, 0x5a, 4096);
		put(page);
	}
	judge_rule("With poisoning on, an untouched free page may be allocated again, zeroed or not.");
	for (unsigned i = 0; i < 60; i++)
		get(0, i % 2 ? PAGE_ZERO : PAGE_KERNEL);
}

CHECK(poison)
{
	static const char rule[] = "Who writes to a page after freeing it is found out when the page is allocated again.";
	judge_rule(rule);
	for (unsigned at = 0; at < 4096; at += 1 + (unsigned)random_below(250)) {
		for (unsigned flags = 0; flags < 2; flags++) {
			static pa_t page;
			start("stack", ALL_DMA);
			page = get(0, 0);
			put(page);
			call("write 1 byte at %#lx, byte %u of the freed page", (unsigned long)page.raw + at, at);
			*((uint8_t *)pa_pointer(page) + at) ^= 1;
			EXPECT_PANIC("page_alloc: a free page was written to", get(0, flags));
		}
	}
}

CHECK(mistakes)
{
	static const char rule[] = "A mistake of the caller panics with the rule that it breaks, before anything is changed.";
	judge_rule(rule);
	static pa_t page, other; // static: EXPECT_PANIC jumps
	start("stack", ALL_DMA);
	page = get(0, 0);
	other = get(0, 0);
	EXPECT_CAUGHT("the address is not that of a page: misaligned", page_order, PA(page.raw + 8));
	EXPECT_CAUGHT("a foreign page", page_order, PA(0x1000));
	EXPECT_CAUGHT("a foreign page", page_order, PA((uint64_t)9 << 40));
	EXPECT_EQ(page_order(page), 0);
	put(page);
	EXPECT_CAUGHT("the page is free already", page_free, page);
	EXPECT_CAUGHT("the page is free already", page_order, page);
	put(other);
	EXPECT_CAUGHT("the page is free already", page_free, page);
	EXPECT_CAUGHT("the address is not that of a page: misaligned", page_order, PA(page.raw + 4095));
	EXPECT_EQ(page_free_count(), page_total_count());
	EXPECT_VERDICT(page_check(), NULL);
}

CHECK(references)
{
	judge_rule("A page is freed with its last reference, and not before; page_refs tells how many there are.");
	static pa_t page;
	static size_t all;
	start("stack", ALL_DMA);
	all = page_free_count();
	page = get(0, 0);
	EXPECT_EQ(page_refs(page), 1);
	for (unsigned i = 0; i < 5; i++) {
		call("page_share(%#lx)", (unsigned long)page.raw);
		page_share(page);
		EXPECT_EQ(page_refs(page), i + 2);
	}
	for (unsigned left = 6; left-- > 0;) {
		EXPECT_EQ(page_free_count(), all - 1);
		put(page);
		EXPECT_EQ(page_refs(page), left);
	}
	EXPECT_EQ(page_free_count(), all);
	judge_rule("page_share and page_free catch a mistake of the caller, and panic with the rule that it breaks.");
	EXPECT_CAUGHT("the page is free already", page_free, page);
	EXPECT_CAUGHT("the page is free already", page_share, page);
	EXPECT_CAUGHT("the address is not that of a page: misaligned", page_share, PA(page.raw + 1));
	EXPECT_CAUGHT("the address is not that of a page: misaligned", page_free, PA(page.raw + 1));
	EXPECT_CAUGHT("a foreign page", page_free, PA(0x1000));
	judge_rule("page_refs is 0 for what is no allocated block's first page, and nobody counts beyond EXTRA_MAX.");
	EXPECT_EQ(page_refs(PA(page.raw + 1)), 0);
	EXPECT_EQ(page_refs(PA(0x1000)), 0);
	page = get(0, 0);
	EXPECT_EQ(page_refs(page), 1);
	page_of(page)->extra = 0x80000000u;
	EXPECT_CAUGHT("too many references", page_share, page);
}

#define SHARES 100000u
static pa_t common;
static pthread_barrier_t both;

static void *share_often(void *argument)
{
	host_cpu((unsigned)(uintptr_t)argument);
	pthread_barrier_wait(&both);
	for (unsigned i = 0; i < SHARES; i++) {
		page_share(common);
		page_share(common);
		page_free(common);
	}
	return NULL;
}

CHECK(together)
{
	pthread_t thread[2];
	judge_rule("References are counted right when two CPUs share and free the same page at the same time.");
	start("stack", ALL_DMA);
	common = get(0, 0);
	call("page_share and page_free of %#lx, on two CPUs at once", (unsigned long)common.raw);
	pthread_barrier_init(&both, NULL, 2);
	for (uintptr_t i = 0; i < 2; i++)
		EXPECT(pthread_create(&thread[i], NULL, share_often, (void *)i) == 0);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	EXPECT_EQ(page_refs(common), 1 + 2 * SHARES);
	call("page_free(%#lx), %u times", (unsigned long)common.raw, 1 + 2 * SHARES);
	for (unsigned i = 0; i < 1 + 2 * SHARES; i++)
		page_free(common);
	EXPECT_EQ(page_free_count(), page_total_count());
}

static void require_zone(unsigned order, unsigned flags, uint64_t limit)
{
	unsigned long block = (unsigned long)get(order, flags).raw;
	EXPECT_SO((block < limit) == (flags == PAGE_DMA), "page_alloc gives %#lx, expected memory %s the DMA limit, %#lx", block,
		  flags == PAGE_DMA ? "below" : "from", (unsigned long)limit);
}

CHECK(zones)
{
	static const char *const engines[] = { "stack", "bitmap" };
	static const char whole[] = "Over both engines page_alloc and page_free keep every promise of page.h, on machines of all kinds.";
	static const char zoned[] = "Normal memory is used first, and PAGE_DMA gets memory below the limit only.";
	for (unsigned e = 0; e < 2; e++) {
		for (unsigned m = 0; m < MODEL_MACHINE_COUNT; m++) {
			judge_rule(whole);
			start(engines[e], m);
			for (unsigned step = 0; step < 150; step++) {
				unsigned index = (unsigned)random_below(64);
				if (page_model.block[index].refs > 0) {
					call("page_free(%#lx)", (unsigned long)page_model.block[index].start.raw);
					page_model_free(index);
					continue;
				}
				unsigned order = (unsigned)random_below(5), flags = (unsigned)random_below(8);
				call("page_alloc(order %u, %s)", order, MODEL_FLAGS[flags]);
				page_model_alloc(order, flags);
			}
			call("everything is freed, and the largest block allocated");
			page_model_finish();
		}
		judge_rule(zoned);
		start(engines[e], TWO_ZONES);
		uint64_t limit = MODEL_MACHINES[TWO_ZONES].dma_limit;
		require_zone(0, PAGE_DMA, limit);
		require_zone(2, PAGE_KERNEL, limit);
		require_zone(3, PAGE_DMA, limit);
		while (!pa_is_none(page_alloc(3, PAGE_DMA)))
			;
		require_zone(2, PAGE_KERNEL, limit);
	}
}
