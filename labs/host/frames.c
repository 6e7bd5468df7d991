// frames.c: see frames.h.
#include <stdlib.h>

#include "frames.h"

struct frames frames;
static bool singles; // the map shows no blocks

// ---- a map: three rows of 48 frames around the place

static char shadow_sign(uint32_t frame)
{
	int order = singles ? 0 : frames.shadow[frame] == FREE ? frames_block(frame) : -1;
	return frames.shadow[frame] == FREE ? (order < 0 ? '-' : (char)(order < 10 ? '0' + order : 'A')) : " x.#"[frames.shadow[frame]];
}

static char record_sign(uint32_t frame)
{
	static const char signs[] = { '#', '#', '0', '-', 'c', 'x' };
	const struct page *page = page_at(frame);
	if (frames.shadow[frame] == OUTSIDE)
		return ' ';
	if (page->use == PAGE_FREE)
		return (char)(page->order < 10 ? '0' + page->order : page->order == 10 ? 'A' : '?');
	return page->use < sizeof signs ? signs[page->use] : '?';
}

static void map(uint64_t place, char *to, size_t bytes)
{
	uint32_t at = place < frames.total ? (uint32_t)place : 0, from = at < 24 ? 0 : (at - 24) & ~7u;
	uint32_t until = from + 48 < frames.total ? from + 48 : frames.total;
	char row[3][80] = { { 0 } };
	for (uint32_t i = from; i < until; i++) {
		row[0][i - from] = shadow_sign(i);
		row[1][i - from] = record_sign(i);
	}
	memset(row[2], ' ', at - from);
	row[2][at - from] = '^';
	snprintf(to, bytes,
		 "frame      %-8u%-8u%-8u%-8u%-8u%u\nshould be  %s\nrecords    %s\n           %s frame %u\n"
		 "0..9, A: starts a free block of that order  -: its other frames\n#: in use  x: not managed\n",
		 from, from + 8, from + 16, from + 24, from + 32, from + 40, row[0], row[1], row[2], at);
}

// ---- the zone

void frames_start(const struct page_engine *engine, uint32_t first, uint32_t end)
{
	uint32_t most = 1u << PAGE_MAX_ORDER;
	free(frames.shadow);
	free(frames.before);
	free(frames.zone.state);
	free((void *)page_state.records);
	frames = (struct frames){ .engine = engine, .total = (end + most - 1) / most * most + most };
	frames.zone = (struct zone){ .name = "test", .first = first, .end = end, .state = malloc(engine->bytes(end - first)) };
	memset(frames.zone.state, 0xa5, engine->bytes(end - first));
	frames.shadow = calloc(frames.total, 1);
	frames.before = calloc(frames.total, sizeof *frames.before);
	struct page *records = calloc(frames.total, sizeof *records);
	for (uint32_t i = 0; i < frames.total; i++) {
		bool inside = i >= first && i < end;
		unsigned order = i == 0 ? PAGE_MAX_ORDER : (unsigned)__builtin_ctz(i | most);
		frames.shadow[i] = inside ? UNMANAGED : OUTSIDE;
		records[i] = (struct page){ .use = inside ? PAGE_UNMANAGED : PAGE_FREE, .order = inside ? 0 : (uint8_t)order };
		records[i].next = records[i].previous = FRAME_NONE;
		frames.before[i] = records[i];
	}
	page_state.records = (uintptr_t)records;
	judge_map = map;
	call("create(zone of frames %u to %u)", first, end - 1);
	judge_place(first);
	engine->create(&frames.zone);
}

void frames_add(uint32_t first, uint32_t count)
{
	memset(page_at(first), 0, count * sizeof(struct page));
	memset(frames.shadow + first, FREE, count);
	frames.free += count;
	call("add(first %u, count %u)", first, count);
	judge_place(first);
	frames.engine->add(&frames.zone, first, count);
	frames.zone.free = frames.zone.total += count;
}

// ---- the shadow

static bool all_free(uint32_t frame, uint32_t size)
{
	for (uint32_t i = 0; i < size; i++)
		if (frame + i >= frames.total || frames.shadow[frame + i] != FREE)
			return false;
	return true;
}

bool frames_fit(unsigned order)
{
	uint32_t size = 1u << order;
	for (uint32_t frame = 0; frame + size <= frames.total; frame += size)
		if (frames.shadow[frame] == FREE && all_free(frame, size))
			return true;
	return false;
}

int frames_block(uint32_t frame)
{
	int order = 0;
	if (frames.shadow[frame] != FREE)
		return -1;
	for (; order < (int)PAGE_MAX_ORDER; order++) {
		uint32_t size = 1u << order, other = frame ^ size;
		if (!all_free(other, size))
			return order;
		if (other < frame)
			return -1; // the upper half of a larger one
	}
	return order;
}

// ---- calls

static void hand_out(uint32_t frame, unsigned order, const char *function)
{
	uint32_t size = 1u << order;
	REQUIRE(frame < frames.total && frame + size <= frames.total && frames.shadow[frame] != OUTSIDE, frame,
		"A block lies wholly inside its zone.",
		SAY("%s returns a frame of %u to %u", function, frames.zone.first, frames.zone.end - 1),
		SAY("frame %u, block of %u", frame, size));
	REQUIRE(frame % size == 0, frame, "A block of 2^k frames starts at a multiple of 2^k.",
		SAY("a multiple of %u", size), SAY("frame %u", frame));
	for (uint32_t i = frame; i < frame + size; i++) {
		REQUIRE(frames.shadow[i] == FREE, i, "No frame is handed out that is not free.",
			SAY("%u free frames from %u on", size, frame),
			SAY("frame %u is %s", i, frames.shadow[i] == TAKEN ? "in use: handed out before" : "no memory of this zone"));
		frames.shadow[i] = TAKEN;
		use_set(page_at(i), i == frame ? PAGE_USED : PAGE_USED_TAIL); // as the entry does
	}
	page_at(frame)->order = (uint8_t)order;
	page_at(frame)->owner = page_at(frame)->extra = 0;
	frames.free -= size;
	frames.zone.free -= size;
}

uint32_t frames_take(unsigned order)
{
	bool fits = frames_fit(order);
	call("take(order %u)", order);
	uint32_t frame = frames.engine->take(&frames.zone, order);
	if (frame == FRAME_NONE) {
		answer("FRAME_NONE");
		uint32_t place = frames.zone.first;
		while (place < frames.zone.end && frames_block(place) < (int)order)
			place++;
		REQUIRE(!fits, place, "A block is refused only when no free block is large enough.",
			SAY("order %u: frame %u starts a free block of order %d", order, place, frames_block(place)), "FRAME_NONE");
		return FRAME_NONE;
	}
	answer("%u", frame);
	REQUIRE(fits, frame, "When no free block is large enough, the answer is FRAME_NONE.", "FRAME_NONE",
		SAY("frame %u%s", frame,
		    frame < frames.total && frames.shadow[frame] == TAKEN ? ", which is in use: handed out before" : ""));
	hand_out(frame, order, "take");
	return frame;
}

uint32_t frames_take_any(unsigned *order)
{
	unsigned most = *order;
	call("take_any(up to order %u)", most);
	uint32_t frame = frames.engine->take_any(&frames.zone, order);
	if (frame == FRAME_NONE) {
		answer("FRAME_NONE");
		fail(__FILE__, __LINE__, frames.zone.first,
		     "take_any always finds a block: its caller knows that the zone has a free frame.", "a frame", "FRAME_NONE");
	}
	answer("%u, order %u", frame, *order);
	REQUIRE(*order <= most, frame, "take_any gives a block of at most the order that was asked for.", SAY("order 0 to %u", most),
		SAY("order %u", *order));
	int whole = frame < frames.total ? frames_block(frame) : -1;
	bool any = false;
	for (uint32_t i = frames.zone.first; i < frames.zone.end; i++)
		any |= frames_block(i) >= 0 && frames_block(i) <= (int)most;
	REQUIRE(!any || whole == (int)*order, frame, "While a free block that is small enough is there, take_any breaks no larger one.",
		SAY("a whole free block of order %u or less", most),
		whole < 0 ? SAY("frame %u, which starts no free block", frame) : whole < (int)*order
			? SAY("order %u, but the free block at %u is of order %d", *order, frame, whole)
			: SAY("order %u: a part of the block of order %d at %u", *order, whole, frame));
	hand_out(frame, *order, "take_any");
	return frame;
}

void frames_give(uint32_t frame, unsigned order)
{
	memset(frames.shadow + frame, FREE, (size_t)1 << order);
	frames.free += 1u << order;
	frames.zone.free += (size_t)1 << order;
	call("give(frame %u, order %u)", frame, order);
	judge_place(frame);
	for (uint32_t i = 0; i < 1u << order; i++)
		use_set(page_at(frame + i), PAGE_CACHED); // nothing may be learnt from what they were
	frames.engine->give(&frames.zone, frame, order);
}

// ---- what the records say

static const char *said_of(const struct page *page)
{
	static const char *const uses[] = { "PAGE_USED", "PAGE_USED_TAIL", "PAGE_FREE",
					    "PAGE_FREE_TAIL", "PAGE_CACHED", "PAGE_WAITING", "PAGE_UNMANAGED" };
	const char *use = page->use < sizeof uses / sizeof *uses ? uses[page->use] : "no use at all";
	return page->use == PAGE_FREE ? SAY("%s of order %u", use, page->order) : use;
}

static void require_record(uint32_t i, int tail_until, int order, const char *rule)
{
	const struct page *page = page_at(i);
	if (order >= 0)
		REQUIRE(page->use == PAGE_FREE && page->order == order, i, rule, SAY("frame %u: PAGE_FREE of order %d", i, order),
			SAY("frame %u: %s", i, said_of(page)));
	else if (frames.shadow[i] == FREE)
		REQUIRE(page->use == PAGE_FREE_TAIL, i, rule,
			SAY("frame %u: PAGE_FREE_TAIL, inside the free block up to %d", i, tail_until),
			SAY("frame %u: %s", i, said_of(page)));
	else
		REQUIRE(page->use != PAGE_FREE && page->use != PAGE_FREE_TAIL, i,
			"What is in use, or no memory, is not marked as free.",
			SAY("frame %u: not free", i), SAY("frame %u: %s", i, said_of(page)));
}

static void require_untouched(uint32_t i)
{
	REQUIRE(memcmp(page_at(i), &frames.before[i], sizeof(struct page)) == 0, i,
		"An engine leaves the records of frames outside its zone alone.",
		SAY("frame %u, which is not in the zone of %u to %u: unchanged", i, frames.zone.first, frames.zone.end - 1),
		SAY("changed: now %s", said_of(page_at(i))));
}

void frames_require_joined(const char *rule)
{
	int until = -1;
	for (uint32_t i = 0; i < frames.total; i++) {
		if (frames.shadow[i] == OUTSIDE) {
			require_untouched(i);
			continue;
		}
		int order = (int)i > until ? frames_block(i) : -1;
		if (order >= 0)
			until = (int)i + (1 << order) - 1;
		require_record(i, until, order, rule);
	}
}

void frames_require_single(const char *rule)
{
	singles = true;
	for (uint32_t i = 0; i < frames.total; i++)
		if (frames.shadow[i] == OUTSIDE)
			require_untouched(i);
		else
			require_record(i, (int)i, frames.shadow[i] == FREE ? 0 : -1, rule);
}
