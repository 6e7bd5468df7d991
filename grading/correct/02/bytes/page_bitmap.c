// page_bitmap.c: no bitmap at all: the records themselves are searched, one after the other.
#include "page_engine.h"

static size_t bytes(uint32_t frames)
{
	(void)frames;
	return 8;
}

static void create(struct zone *zone)
{
	(void)zone;
}

static void give(struct zone *zone, uint32_t frame, unsigned order)
{
	(void)zone;
	for (uint32_t i = 0; i < 1u << order; i++) {
		page_at(frame + i)->order = 0;
		use_set(page_at(frame + i), PAGE_FREE);
	}
}

static void add(struct zone *zone, uint32_t first, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		give(zone, first + i, 0);
}

static uint32_t take(struct zone *zone, unsigned order)
{
	uint32_t run = 0, size = 1u << order;
	for (uint32_t frame = zone->first; frame < zone->end; frame++) {
		if (frame % size == 0)
			run = 0;
		run = use_of(page_at(frame)) == PAGE_FREE ? run + 1 : 0;
		if (run < size || frame % size != size - 1)
			continue;
		for (uint32_t i = 0; i < size; i++)
			use_set(page_at(frame - i), PAGE_CACHED);
		return frame - (size - 1);
	}
	return FRAME_NONE;
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

const struct page_engine page_bitmap = { "bitmap", bytes, create, add, take, take_any, give, count, check };
