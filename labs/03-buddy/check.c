// check.c: the checks of lab 03: page_buddy.c alone on small zones, call by call, and at the end below page_alloc.
//
//     3.1  cut, holes        add                    the free blocks of a zone are a matter of arithmetic: frames_block knows them all
//     3.2  split, smallest, exhaust   take
//     3.3  halves, chain, borders, storm   give     each check uses the functions of its own step and of the steps before it
//     3.4  batch             take_any
//     3.5  report            count
//     3.6  whole, cost       all of it
#include <stdlib.h>
#include <time.h>

#include "../../mm/host/page_model.h"
#include "../host/frames.h"

#define MOST (1u << PAGE_MAX_ORDER)

static const struct page_engine *const buddy = &page_buddy;

// ---- 3.1

static const char CUT[] =
	"A range is cut into the largest aligned blocks: first frame PAGE_FREE with its order, the others PAGE_FREE_TAIL.";

CHECK(cut)
{
	static const struct {
		uint32_t first, count;
	} ranges[] = { { 0, 1 }, { 0, 8 }, { 0, 3 }, { 0, 7 }, { 1, 1 }, { 1, 7 }, { 3, 2 }, { 4, 4 }, { 5, 30 }, { 12, 200 },
		       { 1, MOST - 1 }, { 0, MOST }, { 0, MOST + 1 }, { MOST - 1, 2 }, { 7, 3 * MOST }, { 512, 2 * MOST },
		       { 0, 2 * MOST }, { 0, 4 * MOST + 5 } };
	judge_rule(CUT);
	for (unsigned i = 0; i < sizeof ranges / sizeof *ranges; i++) {
		frames_start(buddy, ranges[i].first, ranges[i].first + ranges[i].count);
		frames_add(ranges[i].first, ranges[i].count);
		frames_require_joined(CUT);
	}
	for (unsigned i = 0; i < 200; i++) {
		uint32_t first = (uint32_t)random_below(70), size = 1 + (uint32_t)random_below(90);
		frames_start(buddy, first, first + size);
		frames_add(first, size);
		frames_require_joined(CUT);
	}
}

CHECK(holes)
{
	static const char rule[] = "Each range is added for itself: nothing of it is lost, and nothing beside it is touched.";
	judge_rule(rule);
	for (unsigned i = 0; i < 60; i++) {
		uint32_t first = (uint32_t)random_below(3000), end = first + 100 + (uint32_t)random_below(2000), at = first;
		frames_start(buddy, first, end);
		while (at < end) {
			uint32_t size = 1 + (uint32_t)random_below(i % 2 ? 300 : 12);
			frames_add(at, size < end - at ? size : end - at);
			frames_require_joined(rule);
			at += size + 1 + (uint32_t)random_below(20);
		}
	}
}

// ---- 3.2

static const char HALVES[] = "What take splits off stays free, as whole blocks on the lists of their orders.";

static void zone_of_one(uint32_t first, uint32_t count) // all of it added at once
{
	frames_start(buddy, first, first + count);
	frames_add(first, count);
}

CHECK(split)
{
	judge_rule(HALVES);
	for (unsigned order = PAGE_MAX_ORDER + 1; order-- > 0;) {
		zone_of_one(MOST, MOST);
		frames_take(order);
		frames_require_joined(HALVES);
	}
	for (unsigned order = 0; order < PAGE_MAX_ORDER; order++) { // the blocks that were split off are found again
		zone_of_one(0, MOST);
		frames_take(order);
		for (unsigned next = order; next < PAGE_MAX_ORDER; next++) {
			frames_take(next);
			frames_require_joined(HALVES);
		}
	}
}

CHECK(smallest)
{
	static const char rule[] = "A block is taken from the smallest free block that is large enough.";
	judge_rule(rule);
	for (unsigned i = 0; i < 300; i++) {
		zone_of_one((uint32_t)random_below(40), 1 + (uint32_t)random_below(2 * MOST));
		for (unsigned n = 0; n < 8; n++) {
			unsigned order = (unsigned)random_below(6), best = order;
			int before[4 * MOST];
			bool there[PAGE_MAX_ORDER + 1] = { false };
			for (uint32_t frame = 0; frame < frames.total; frame++) {
				before[frame] = frames_block(frame);
				if (before[frame] >= 0)
					there[before[frame]] = true;
			}
			while (best < PAGE_MAX_ORDER && !there[best])
				best++;
			uint32_t frame = frames_take(order);
			if (frame == FRAME_NONE)
				break;
			uint32_t start = frame;
			while (before[start] < 0)
				start--;
			REQUIRE(before[start] == (int)best, frame, rule, SAY("from a free block of order %u", best),
				SAY("from the free block of order %d at frame %u", before[start], start));
		}
	}
}

CHECK(exhaust)
{
	static const char rule[] = "Every free frame is handed out exactly once, and then the answer is FRAME_NONE.";
	judge_rule(rule);
	for (unsigned i = 0; i < 8; i++) {
		unsigned top = i < 4 ? i * 2 : PAGE_MAX_ORDER;
		zone_of_one(i * 11, 2 * MOST + i * 37);
		for (unsigned order = top + 1; order-- > 0;)
			while (frames_take(order) != FRAME_NONE)
				;
		REQUIRE(frames.free == 0, frames.zone.first, rule, "0 frames left", SAY("%u frames left", frames.free));
		for (unsigned order = 0; order <= PAGE_MAX_ORDER; order++)
			frames_take(order);
		frames_require_joined(rule);
	}
}

// ---- 3.3

static const char JOINED[] = "As soon as both halves of a block are free they are one free block, however far up that goes.";
static const char BACK[] = "A block that was given back is free: its first frame PAGE_FREE with its order, the others PAGE_FREE_TAIL.";

CHECK(halves)
{
	judge_rule(JOINED);
	for (unsigned order = 0; order < PAGE_MAX_ORDER; order++) {
		for (unsigned swap = 0; swap < 2; swap++) {
			zone_of_one(2u << order, 2u << order);
			uint32_t half[2] = { frames_take(order), frames_take(order) };
			frames_give(half[swap], order);
			frames_require_joined(BACK);
			frames_give(half[!swap], order);
			frames_require_joined(JOINED);
			REQUIRE(frames_take(order + 1) != FRAME_NONE, 2u << order, JOINED, "the whole block again", "FRAME_NONE");
		}
	}
}

static void give_all(const uint32_t *order_of_return, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		frames_give(order_of_return[i], 0);
		frames_require_joined(JOINED);
	}
}

CHECK(chain)
{
	uint32_t turn[256];
	judge_rule(JOINED);
	for (unsigned way = 0; way < 6; way++) {
		zone_of_one(256, 256);
		for (uint32_t i = 0; i < 256; i++) {
			frames_take(0);
			turn[i] = 256 + (way == 0 ? i : way == 1 ? 255 - i : way == 2 ? (i * 2 + i / 128) % 256 : i);
		}
		for (uint32_t i = 255; way > 2 && i > 0; i--) {
			uint32_t other = (uint32_t)random_below(i + 1), held = turn[i];
			turn[i] = turn[other];
			turn[other] = held;
		}
		give_all(turn, 256);
		REQUIRE(frames_take(8) == 256, 256, JOINED, "take(8) gives back the one block of order 8 at frame 256", "something else");
	}
}

CHECK(borders)
{
	static const char rule[] = "A block joins with its buddy only: never with the other neighbour, nor across a zone's end or a hole.";
	judge_rule(rule);
	for (uint32_t first = 0; first < 20; first++) {
		for (uint32_t size = 1; size < 20; size++) {
			zone_of_one(MOST - 10 + first, size); // frames outside are marked free: they are another zone's
			while (frames_take(0) != FRAME_NONE)
				;
			for (uint32_t i = 0; i < size; i++) {
				frames_give(MOST - 10 + first + (i * 7 + i / 20) % size, 0);
				if (size % 7 == 0)
					break;
				frames_require_joined(rule);
			}
		}
	}
	zone_of_one(0, 2 * MOST); // two largest blocks lie side by side, and stay two
	uint32_t blocks[2] = { frames_take(PAGE_MAX_ORDER), frames_take(PAGE_MAX_ORDER) };
	for (unsigned i = 0; i < 2; i++) {
		frames_give(blocks[i], PAGE_MAX_ORDER);
		frames_require_joined("The largest block is of order PAGE_MAX_ORDER; two of them never join.");
	}
	frames_start(buddy, 8, 64); // a hole of one frame, 16, at a block's start
	frames_add(8, 8);
	frames_add(17, 47);
	while (frames_take(0) != FRAME_NONE)
		;
	for (uint32_t frame = 8; frame < 64; frame++) {
		if (frame == 16)
			continue;
		frames_give(frame, 0);
		frames_require_joined(rule);
	}
}

static struct {
	uint32_t frame;
	unsigned order;
} live[4 * MOST];

static void storm(uint32_t first, uint32_t size, unsigned steps, unsigned rare)
{
	unsigned count = 0;
	zone_of_one(first, size);
	for (unsigned step = 0; step < steps; step++) {
		bool up = random_below(100) < (step / 100 % 2 ? 35 : 65);
		if (up) {
			unsigned order = (unsigned)random_below(random_below(4) ? 4 : PAGE_MAX_ORDER + 1);
			uint32_t frame = frames_take(order);
			live[count].frame = frame;
			live[count].order = order;
			count += frame != FRAME_NONE;
		} else if (count > 0) {
			unsigned which = (unsigned)random_below(count);
			frames_give(live[which].frame, live[which].order);
			live[which] = live[--count];
		}
		if (step % rare == 0)
			frames_require_joined(JOINED);
	}
	while (count > 0) {
		count--;
		frames_give(live[count].frame, live[count].order);
	}
	frames_require_joined("When everything is back, the zone is what it was at the start.");
}

CHECK(storm)
{
	judge_rule(JOINED);
	for (unsigned i = 0; i < 10; i++)
		storm((uint32_t)random_below(50), 20 + (uint32_t)random_below(200), 300, 1);
	storm(777, 2 * MOST + 333, 2000, 16);
}

// ---- 3.4

CHECK(batch)
{
	static const char rule[] = "take_any gives whole free blocks of at most the order asked for, and splits only when there is none.";
	judge_rule(rule);
	for (unsigned i = 0; i < 25; i++) {
		zone_of_one((uint32_t)random_below(60), 30 + (uint32_t)random_below(1500));
		for (unsigned n = 0; n < 12; n++) { // some pages of it come back here and there
			uint32_t frame = frames_take(0);
			if (frame != FRAME_NONE && n % 2)
				frames_give(frame, 0);
		}
		while (frames.free > 0) {
			unsigned order = (unsigned)random_below(6);
			frames_take_any(&order);
			frames_require_joined(rule);
		}
	}
}

// ---- 3.5

static void require_report(void)
{
	static const char rule[] = "count says for each order how many free blocks of it there are; whatever adds or removes one counts.";
	size_t said[PAGE_MAX_ORDER + 2], are[PAGE_MAX_ORDER + 1] = { 0 };
	memset(said, 0xa5, sizeof said);
	call("count(blocks)");
	buddy->count(&frames.zone, said);
	for (uint32_t frame = 0; frame < frames.total; frame++)
		if (frames_block(frame) >= 0)
			are[frames_block(frame)]++;
	for (unsigned order = 0; order <= PAGE_MAX_ORDER; order++)
		REQUIRE(said[order] == are[order], NOWHERE, rule, SAY("%zu free blocks of order %u", are[order], order),
			SAY("blocks[%u] = %zu", order, said[order]));
	REQUIRE(said[PAGE_MAX_ORDER + 1] == (size_t)0xa5a5a5a5a5a5a5a5, NOWHERE, rule, "PAGE_MAX_ORDER + 1 numbers", "one more");
}

CHECK(report)
{
	judge_rule("count says for each order how many free blocks of it there are; whatever adds or removes one counts.");
	for (unsigned i = 0; i < 40; i++) {
		unsigned count = 0;
		zone_of_one((uint32_t)random_below(60), 1 + (uint32_t)random_below(3000));
		require_report();
		for (unsigned n = 0; n < 20; n++) {
			unsigned order = (unsigned)random_below(5);
			uint32_t frame = frames_take(order);
			if (frame != FRAME_NONE) {
				live[count].frame = frame;
				live[count++].order = order;
			}
			require_report();
		}
		while (count-- > 0) {
			frames_give(live[count].frame, live[count].order);
			require_report();
		}
	}
}

// ---- 3.6

CHECK(whole)
{
	static const unsigned orders[] = { 0, 0, 0, 0, 1, 2, 3, 5, 8, 10 };
	judge_rule("Below page_alloc and page_free the engine keeps every promise of page.h, on every kind of machine.");
	for (unsigned m = 0; m < MODEL_MACHINE_COUNT; m++) {
		call("page_init on the machine \"%s\"", MODEL_MACHINES[m].name);
		page_model_start("buddy", &MODEL_MACHINES[m], 2, 4, random_below);
		for (unsigned step = 0; step < 250; step++) {
			unsigned index = (unsigned)random_below(64);
			host_cpu((unsigned)random_below(2));
			if (page_model.block[index].refs > 0) {
				call("page_free(%#lx)", (unsigned long)page_model.block[index].start.raw);
				page_model_free(index);
				continue;
			}
			unsigned order = orders[random_below(10)], flags = (unsigned)random_below(8);
			call("page_alloc(order %u, %s)", order, MODEL_FLAGS[flags]);
			index = page_model_alloc(order, flags);
			if (index == MODEL_BLOCKS)
				answer("PA_NONE");
			else
				answer("%#lx", (unsigned long)page_model.block[index].start.raw);
		}
		call("everything is freed, and the largest block allocated");
		page_model_finish();
	}
}

static uint64_t nanoseconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

// Time for pairs of take and give when `size` frames, every other one taken, lie around them; the best of several.
static uint64_t cost(uint32_t size)
{
	uint64_t best = UINT64_MAX;
	zone_of_one(0, size);
	uint32_t *taken = malloc(size * sizeof *taken);
	for (uint32_t i = 0; i < size; i++) {
		taken[i] = buddy->take(&frames.zone, 0);
		REQUIRE(taken[i] < size && frames.shadow[taken[i]] == FREE, taken[i], "Every frame is handed out once.",
			"a frame that is free", SAY("frame %u", taken[i]));
		frames.shadow[taken[i]] = TAKEN;
	}
	for (uint32_t i = 0; i < size; i++)
		if (taken[i] % 2)
			buddy->give(&frames.zone, taken[i], 0);
	for (unsigned round = 0; round < 20; round++) {
		uint64_t start = nanoseconds();
		for (unsigned i = 0; i < 200; i++)
			buddy->give(&frames.zone, buddy->take(&frames.zone, 0), 0);
		uint64_t time = nanoseconds() - start;
		best = time < best ? time : best;
	}
	free(taken);
	return best ? best : 1;
}

CHECK(cost)
{
	static const char rule[] = "The cost of take and give does not grow with the number of free blocks.";
	judge_rule(rule);
	uint64_t small = cost(MOST), large = cost(128 * MOST);
	REQUIRE(large < 12 * small, NOWHERE, rule, "about the same time among 512 and among 65536 free blocks",
		SAY("%llu times as long", (unsigned long long)(large / small)));
}
