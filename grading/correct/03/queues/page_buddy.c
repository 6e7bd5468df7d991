// page_buddy.c: the buddy system with queues: free blocks wait in rings, oldest first, whose links are kept beside the records.
//
//     ring[k] = a frame of the ring or none;  links[frame - first] = { next, previous }, of free first frames only
//
// Cost: constant for each split and join. Weakness: eight bytes of state a frame, where the records have room for them.
#include "page_engine.h"

struct link {
	uint32_t next, previous;
};

struct queues {
	uint32_t oldest[PAGE_MAX_ORDER + 1];
	uint32_t padding;
	struct link link[];
};

static struct queues *queues_of(const struct zone *zone)
{
	return zone->state;
}

static struct link *link_of(const struct zone *zone, uint32_t frame)
{
	return &queues_of(zone)->link[frame - zone->first];
}

static size_t bytes(uint32_t frames)
{
	return sizeof(struct queues) + frames * sizeof(struct link);
}

static void create(struct zone *zone)
{
	for (unsigned order = 0; order <= PAGE_MAX_ORDER; order++)
		queues_of(zone)->oldest[order] = FRAME_NONE;
}

static void leave(struct zone *zone, uint32_t frame, unsigned order)
{
	uint32_t *oldest = &queues_of(zone)->oldest[order];
	struct link *link = link_of(zone, frame);
	if (link->next == frame)
		*oldest = FRAME_NONE;
	else if (*oldest == frame)
		*oldest = link->next;
	link_of(zone, link->next)->previous = link->previous;
	link_of(zone, link->previous)->next = link->next;
	use_set(page_at(frame), PAGE_FREE_TAIL);
}

static void enter(struct zone *zone, uint32_t frame, unsigned order) // as the youngest
{
	uint32_t *oldest = &queues_of(zone)->oldest[order];
	struct link *link = link_of(zone, frame);
	if (*oldest == FRAME_NONE)
		*oldest = link->next = link->previous = frame;
	link->next = *oldest;
	link->previous = link_of(zone, *oldest)->previous;
	link_of(zone, link->previous)->next = frame;
	link_of(zone, link->next)->previous = frame;
	page_at(frame)->order = (uint8_t)order;
	use_set(page_at(frame), PAGE_FREE);
}

static void join(struct zone *zone, uint32_t frame, unsigned order)
{
	uint32_t size = 1u << order, other = frame & size ? frame - size : frame + size;
	bool whole = zone_has(zone, other) && use_of(page_at(other)) == PAGE_FREE && page_at(other)->order == order;
	if (!whole || order == PAGE_MAX_ORDER) {
		enter(zone, frame, order);
		return;
	}
	leave(zone, other, order);
	use_set(page_at(frame), PAGE_FREE_TAIL);
	join(zone, frame < other ? frame : other, order + 1);
}

static void give(struct zone *zone, uint32_t frame, unsigned order)
{
	for (uint32_t i = 0; i < 1u << order; i++)
		use_set(page_at(frame + i), PAGE_FREE_TAIL);
	join(zone, frame, order);
}

// Page by page; joining does the rest.
static void add(struct zone *zone, uint32_t first, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		give(zone, first + i, 0);
}

// A larger block is taken by recursion, and the lower half of it goes back.
static uint32_t take(struct zone *zone, unsigned order)
{
	if (order > PAGE_MAX_ORDER)
		return FRAME_NONE;
	uint32_t frame = queues_of(zone)->oldest[order];
	if (frame != FRAME_NONE) {
		leave(zone, frame, order);
		return frame;
	}
	uint32_t larger = take(zone, order + 1);
	if (larger == FRAME_NONE)
		return FRAME_NONE;
	enter(zone, larger, order);
	return larger + (1u << order);
}

static uint32_t take_any(struct zone *zone, unsigned *order)
{
	for (unsigned most = *order; *order > 0 && queues_of(zone)->oldest[*order] == FRAME_NONE; --*order)
		if (*order == 1 && queues_of(zone)->oldest[0] == FRAME_NONE) {
			*order = most;
			break;
		}
	return take(zone, *order);
}

// Nothing is counted before somebody asks.
static void count(const struct zone *zone, size_t blocks[PAGE_MAX_ORDER + 1])
{
	for (unsigned order = 0; order <= PAGE_MAX_ORDER; order++) {
		uint32_t oldest = queues_of(zone)->oldest[order], frame = oldest;
		blocks[order] = 0;
		if (oldest == FRAME_NONE)
			continue;
		do {
			blocks[order]++;
			frame = link_of(zone, frame)->next;
		} while (frame != oldest);
	}
}

static struct verdict check(const struct zone *zone)
{
	(void)zone;
	return ALL_HOLD;
}

const struct page_engine page_buddy = { "buddy", bytes, create, add, take, take_any, give, count, check };
