// page_stack.c: the free stack as an array of frame numbers, with each frame's place in it.
#include "page_engine.h"

struct stack {
	uint32_t height, frames;
	uint32_t entry[]; // the stack, then where in it each frame is
};

static struct stack *stack_of(const struct zone *zone)
{
	return zone->state;
}

static uint32_t *place_of(const struct zone *zone, uint32_t frame)
{
	return &stack_of(zone)->entry[stack_of(zone)->frames + frame - zone->first];
}

static size_t bytes(uint32_t frames)
{
	return sizeof(struct stack) + 8 * (size_t)frames;
}

static void create(struct zone *zone)
{
	stack_of(zone)->height = 0;
	stack_of(zone)->frames = zone->end - zone->first;
}

static void push(struct zone *zone, uint32_t frame)
{
	struct stack *stack = stack_of(zone);
	page_at(frame)->order = 0;
	use_set(page_at(frame), PAGE_FREE);
	*place_of(zone, frame) = stack->height;
	stack->entry[stack->height++] = frame;
}

static void pull(struct zone *zone, uint32_t frame) // from anywhere; the top one takes its place
{
	struct stack *stack = stack_of(zone);
	uint32_t top = stack->entry[--stack->height];
	stack->entry[*place_of(zone, frame)] = top;
	*place_of(zone, top) = *place_of(zone, frame);
	use_set(page_at(frame), PAGE_CACHED);
}

static void add(struct zone *zone, uint32_t first, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		push(zone, first + i);
}

static void give(struct zone *zone, uint32_t frame, unsigned order)
{
	add(zone, frame, 1u << order);
}

static uint32_t free_from(const struct zone *zone, uint32_t frame, uint32_t size) // how many free frames from here, at most size
{
	uint32_t n = 0;
	while (n < size && zone_has(zone, frame + n) && use_of(page_at(frame + n)) == PAGE_FREE)
		n++;
	return n;
}

// From the top of memory down: another order than the reference's.
static uint32_t take(struct zone *zone, unsigned order)
{
	uint32_t size = 1u << order, frame = zone->end & ~(size - 1);
	if (order == 0) {
		if (stack_of(zone)->height == 0)
			return FRAME_NONE;
		frame = stack_of(zone)->entry[stack_of(zone)->height - 1];
	} else {
		while (frame >= size && free_from(zone, frame, size) < size)
			frame -= size;
		if (free_from(zone, frame, size) < size)
			return FRAME_NONE;
	}
	for (uint32_t i = 0; i < size; i++)
		pull(zone, frame + i);
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
	(void)zone;
	return ALL_HOLD;
}

const struct page_engine page_stack = { "stack", bytes, create, add, take, take_any, give, count, check };
