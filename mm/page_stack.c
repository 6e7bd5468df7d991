// page_stack.c: the free stack, as xv6 has it: free frames on one list, the last one freed is the first one taken.
//
//     top --> frame 7 --> frame 2 --> frame 3 --> none        linked through the records, not through the free pages themselves
//
// A block of several frames is found the slow way: by looking at the records of one aligned place after the other. That shows
// what a stack lacks: it does not know which of its frames are neighbours.
//
// Invariants
//   PS1  each entry of the stack is a frame of the zone, marked PAGE_FREE
//   PS2  the stack is linked consistently both ways and does not run in a circle
//   PS3  every frame that is marked free is on the stack
//
// Cost: a few instructions for one frame; O(frames of the zone) for more.
// Weakness: after a while neighbours are spread over the stack and the memory: no block of several frames is left.
// Source: kernel/kalloc.c of xv6 (Cox, Kaashoek, Morris) keeps such a list, in the free pages.
#include "page_engine.h"

struct stack {
	uint32_t top;
	uint32_t unused;
};

static struct stack *stack_of(const struct zone *zone)
{
	return zone->state;
}

static size_t bytes(uint32_t frames)
{
	(void)frames;
	return sizeof(struct stack);
}

static void create(struct zone *zone)
{
	*stack_of(zone) = (struct stack){ FRAME_NONE, 0 };
}

// Lab 2.1: pushes the block's frames on the stack, each a block of order 0, marked PAGE_FREE; the lowest ends on top.
static void give(struct zone *zone, uint32_t frame, unsigned order)
{
	for (uint32_t i = 1u << order; i-- > 0;) {
		page_at(frame + i)->order = 0;
		use_set(page_at(frame + i), PAGE_FREE);
		list_push(&stack_of(zone)->top, frame + i);
	}
}

static void add(struct zone *zone, uint32_t first, uint32_t count)
{
	while (count > 0)
		give(zone, first + --count, 0);
}

// Lab 2.2: true when all of so many frames are PAGE_FREE.
static bool all_free(uint32_t frame, uint32_t size)
{
	uint32_t i = 0;
	while (i < size && use_of(page_at(frame + i)) == PAGE_FREE)
		i++;
	return i == size;
}

// Lab 2.2: the first frame of the lowest aligned place for a block that lies in the zone and is free; FRAME_NONE: there is none.
static uint32_t find(const struct zone *zone, unsigned order)
{
	uint32_t size = 1u << order;
	for (uint64_t frame = round_up(zone->first, size); frame + size <= zone->end; frame += size)
		if (all_free((uint32_t)frame, size))
			return (uint32_t)frame;
	return FRAME_NONE;
}

// Lab 2.1: takes the top frame, or finds a block of more than one, and takes all its frames off the stack.
static uint32_t take(struct zone *zone, unsigned order)
{
	uint32_t frame = order == 0 ? stack_of(zone)->top : find(zone, order);
	if (frame == FRAME_NONE)
		return FRAME_NONE;
	for (uint32_t i = 0; i < 1u << order; i++)
		list_remove(&stack_of(zone)->top, frame + i);
	return frame;
}

static uint32_t take_any(struct zone *zone, unsigned *order)
{
	*order = 0;
	return take(zone, 0);
}

static void count(const struct zone *zone, size_t blocks[PAGE_MAX_ORDER + 1])
{
	blocks[0] = zone->free;
}

static struct verdict check(const struct zone *zone)
{
	uint32_t previous = FRAME_NONE, marked = 0, seen = 0;
	for (uint32_t frame = zone->first; frame < zone->end; frame++)
		marked += use_is_free(use_of(page_at(frame)));
	for (uint32_t frame = stack_of(zone)->top; frame != FRAME_NONE; frame = page_at(frame)->next) {
		HOLDS("PS1", zone_has(zone, frame) && use_of(page_at(frame)) == PAGE_FREE, zone);
		HOLDS("PS2", page_at(frame)->previous == previous && seen < marked, page_at(frame));
		previous = frame;
		seen++;
	}
	HOLDS("PS3", seen == marked, zone);
	return ALL_HOLD;
}

const struct page_engine page_stack = { "stack", bytes, create, add, take, take_any, give, count, check };
