// test_page_check.c: each invariant of page and its engines, broken on purpose: the check names that one, and only that one.
#include "../page_engine.h"
#include "page_model.h"

static uint32_t frame_at(pa_t page)
{
	return frame_of(page_of(page));
}

// Breaks `place`, expects the id, and mends it.
#define BREAK(place, value, id)                                                                \
	do {                                                                                   \
		__typeof__(place) was_ = (place);                                              \
		(place) = (__typeof__(place))(value);                                          \
		EXPECT_VERDICT(page_check(), id);                                              \
		(place) = was_;                                                                \
		EXPECT_VERDICT(page_check(), NULL);                                            \
	} while (0)

TEST(page_check_entry)
{
	for (unsigned e = 0; PAGE_ENGINES[e]; e++) {
		page_model_start(PAGE_ENGINES[e]->name, &MODEL_MACHINES[5], 2, 0, random_below);
		struct zone *zone = page_state.cached;
		pa_t block = page_alloc(2, 0), page = page_alloc(0, 0);
		struct cache *cache = &page_state.caches[0];
		struct page *head = page_of(block), *single = page_of(page), *reserved = record_of(PA((uint64_t)4097 << 20));

		BREAK(single->use, 77, "P1");
		BREAK(zone->free, zone->free + 1, "P2");
		BREAK(head->order, 3, "P3");
		BREAK(head->order, 200, "P3");
		BREAK(head[2].use, PAGE_USED, "P3");
		BREAK(single->use, PAGE_USED_TAIL, "P3");
		BREAK(head->extra, UINT32_MAX, "P4");
		BREAK(cache->slot[0], block.raw, "P5");      // not marked as cached
		BREAK(cache->slot[0], cache->slot[1], "P5"); // twice
		BREAK(cache->slot[0], 0x1000, "P5");         // not a page
		BREAK(cache->slot[0], cache->slot[0] + 8, "P5");
		BREAK(cache->top, cache->slot, "P5");        // slots above the top
		BREAK(cache->slot[0], 0, "P6");
		BREAK(single->use, PAGE_CACHED, "P6");
		BREAK(zone->total, zone->total - 1, "P7");
		BREAK(reserved->use, PAGE_USED, "P7");
		BREAK(page_state.span_count, PAGE_SPANS + 1, "P8");
		BREAK(page_state.spans[1].start, page_state.spans[1].start + 4096, "P8");
		BREAK(page_state.spans[1].start, page_state.spans[0].start, "P8");
		BREAK(page_state.spans[1].records, page_state.spans[0].records, "P8");
	}
}

static void free_frames(const struct zone *zone, uint32_t *used, uint32_t *free) // one of each kind, both the last of theirs
{
	for (uint32_t frame = zone->first; frame < zone->end; frame++) {
		if (page_at(frame)->use == PAGE_USED)
			*used = frame;
		if (page_at(frame)->use == PAGE_FREE)
			*free = frame;
	}
}

struct buddy { // the head of page_buddy.c's state
	uint32_t lists[PAGE_MAX_ORDER + 1], blocks[PAGE_MAX_ORDER + 1];
};

// A machine of which every other page at the start is free.
static struct buddy *comb(void)
{
	pa_t page[40];
	page_model_start("buddy", &MODEL_MACHINES[2], 1, 0, random_below);
	for (unsigned i = 0; i < 40; i++)
		page[i] = page_alloc(0, PAGE_DMA);
	for (unsigned i = 0; i < 40; i += 2)
		page_free(page[i]);
	page_drain();
	return page_state.cached->state;
}

TEST(page_check_buddy_lists)
{
	struct buddy *buddy = comb();
	EXPECT(buddy->blocks[0] >= 2);
	struct page *first = page_at(buddy->lists[0]);
	unsigned large = PAGE_MAX_ORDER;
	while (buddy->lists[large] == FRAME_NONE)
		large--;

	BREAK(buddy->lists[0], page_state.cached->end, "PB1");
	BREAK(buddy->lists[1], buddy->lists[0], "PB1"); // a block of another order
	BREAK(first->order, 1, "PB1");
	BREAK(first->next, frame_of(first), "PB2"); // a circle
	BREAK(first->previous, 7, "PB2");
	BREAK(buddy->blocks[0], buddy->blocks[0] + 1, "PB2");
	BREAK(buddy->blocks[0], 1, "PB2");
	BREAK(page_at(buddy->lists[large])[1].use, PAGE_FREE, "PB3");
}

TEST(page_check_buddy_not_merged)
{
	struct buddy *buddy = comb();
	struct page *other = page_at(buddy->lists[0] ^ 1); // the buddy of a free page becomes free, too
	other->use = PAGE_FREE;
	other->order = 0;
	list_push(&buddy->lists[0], frame_of(other));
	buddy->blocks[0]++;
	page_state.cached->free++;
	EXPECT_VERDICT(page_check(), "PB4");
}

TEST(page_check_buddy_lost)
{
	comb();
	uint32_t used = 0, free = 0;
	free_frames(page_state.cached, &used, &free);
	page_state.cached->free++;
	page_at(used)->use = PAGE_FREE_TAIL; // free, but on no list
	EXPECT_VERDICT(page_check(), "PB5");
}

// Two blocks of each of two orders wait.
TEST(page_check_buddy_lazy)
{
	pa_t page[12];
	page_model_start("buddy_lazy", &MODEL_MACHINES[2], 1, 0, random_below);
	for (unsigned i = 0; i < 12; i++)
		page[i] = page_alloc(1 + i % 2, PAGE_DMA);
	for (unsigned i = 0; i < 4; i++)
		page_free(page[i]);
	struct zone *zone = page_state.cached;
	struct { // what follows page_buddy's state
		uint32_t waiting[PAGE_MAX_ORDER + 1], count[PAGE_MAX_ORDER + 1], live[PAGE_MAX_ORDER + 1];
	} *lazy = (void *)((char *)zone->state + page_buddy.bytes(zone->end - zone->first));
	EXPECT(lazy->count[1] == 2 && lazy->count[2] == 2 && lazy->live[1] == 4);
	struct page *first = page_at(lazy->waiting[1]), *second = page_at(first->next), *used = page_of(page[11]);
	EXPECT(first->use == PAGE_WAITING && first[1].use == PAGE_WAITING);

	BREAK(lazy->waiting[1], zone->end, "PL1");
	BREAK(lazy->waiting[1], lazy->waiting[2], "PL1");
	BREAK(first->order, 2, "PL1");
	BREAK(first->next, frame_of(first), "PL2"); // a circle
	BREAK(first->next, FRAME_NONE, "PL2");
	BREAK(second->previous, 7, "PL2");
	BREAK(lazy->count[1], 1, "PL2");
	BREAK(lazy->live[1], 1, "PL3");
	BREAK(lazy->live[1], 5, "PL5");
	zone->free += 4; // a block is neither in use nor on a list
	for (unsigned i = 0; i < 4; i++)
		used[i].use = PAGE_WAITING;
	EXPECT_VERDICT(page_check(), "PL4");
}

// A block that comes back is the next one taken, as it is, while no more wait than are in use; all are merged when nothing else fits.
TEST(page_buddy_lazy_merges_when_it_must)
{
	static pa_t page[512];
	page_model_start("buddy_lazy", &MODEL_MACHINES[2], 1, 0, random_below);
	struct page_zone_report report[PAGE_ZONES];
	for (unsigned i = 0; i < 256; i++)
		page[i] = page_alloc(1, PAGE_DMA); // the whole machine's 512 pages, but for the tables
	unsigned count = 0;
	while (count < 256 && !pa_is_none(page[count]))
		count++;
	for (unsigned i = 0; i < count / 2; i++)
		page_free(page[i]);
	page_report(report);
	EXPECT(report[0].blocks[1] >= count / 2 && report[0].blocks[2] == 0);
	pa_t again = page_alloc(1, PAGE_DMA);
	EXPECT(again.raw == page[count / 2 - 1].raw);
	page_free(again);
	page[0] = page_alloc(4, PAGE_DMA); // out of merged ones
	EXPECT(!pa_is_none(page[0]));
	page_report(report);
	EXPECT(report[0].blocks[1] < 4);
	for (unsigned i = count / 2; i < count; i++)
		page_free(page[i]);
	page_report(report);
	EXPECT(report[0].blocks[1] < 4); // none is in use, so none waits
	EXPECT_VERDICT(page_check(), NULL);
}

TEST(page_check_stack)
{
	page_model_start("stack", &MODEL_MACHINES[2], 1, 0, random_below);
	struct zone *zone = page_state.cached;
	uint32_t *top = zone->state, used = 0, free = 0;
	pa_t page = page_alloc(0, PAGE_DMA);
	struct page *first = page_at(*top);
	EXPECT(page_of(page)->use == PAGE_USED);

	BREAK(*top, zone->end, "PS1");
	BREAK(*top, frame_at(page), "PS1");
	BREAK(first->previous, 7, "PS2");
	BREAK(first->next, *top, "PS2"); // a circle
	BREAK(*top, FRAME_NONE, "PS3");
	free_frames(zone, &used, &free);
	zone->free++;
	page_at(used)->use = PAGE_FREE;
	EXPECT_VERDICT(page_check(), "PS3");
}

TEST(page_check_bitmap)
{
	page_model_start("bitmap", &MODEL_MACHINES[1], 1, 0, random_below);
	struct zone *zone = page_state.cached;
	struct { // the head of page_bitmap.c's state
		uint32_t base, words, hint, unused;
		uint64_t word[];
	} *bitmap = zone->state;
	uint64_t bit = (uint64_t)1 << (zone->first - bitmap->base);
	EXPECT(bitmap->base < zone->first);

	BREAK(bitmap->word[0], bitmap->word[0] & ~bit, "PM1");
	BREAK(bitmap->word[0], bitmap->word[0] | 1, "PM2");
	BREAK(bitmap->hint, bitmap->words, "PM3");
	pa_t page = page_alloc(0, PAGE_DMA);
	EXPECT(pa_is_none(page)); // this machine has no DMA zone
	page = page_alloc(0, 0);
	BREAK(bitmap->word[0], bitmap->word[0] | (uint64_t)1 << (frame_at(page) - bitmap->base), "PM1");
}
