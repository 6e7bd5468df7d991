// page_engine.h: what an engine offers to page_zone.c: it knows which frames are free.
//
//     page_alloc, page_free          page.c         flags, references, misuse, the short way through a CPU's cache
//              |
//     struct zone (lock, counts)     page_zone.c    DMA | normal; caches filled and flushed
//              |
//     struct page_engine             take, give     page_stack.c | page_bitmap.c | page_buddy.c <- page_buddy_lazy.c
//
// To add an engine: a file like page_stack.c, and its name in PAGE_ENGINES (page_init.c).
#pragma once

#include "page_record.h"

// The zone's lock is held in each call, and zone->free is the entry's business.
struct page_engine {
	const char *name;
	size_t (*bytes)(uint32_t frames); // of state for a zone of so many frames; a multiple of 8
	void (*create)(struct zone *zone); // an engine without free frames; zone->state is dirty
	// Makes frames [first, first + count) free; their records are all zero so far. Called in rising order.
	void (*add)(struct zone *zone, uint32_t first, uint32_t count);
	// First frame of an aligned block of 2^order, no longer marked free (as what, the entry says next); FRAME_NONE: there is none.
	uint32_t (*take)(struct zone *zone, unsigned order);
	// For a batch of single pages: a block of any order up to *order, which it sets, without breaking a larger one if it can.
	// The zone has a free frame.
	uint32_t (*take_any)(struct zone *zone, unsigned *order);
	// Takes the block back and marks its records PAGE_FREE and PAGE_FREE_TAIL, or PAGE_WAITING. The entry has checked that it is one.
	void (*give)(struct zone *zone, uint32_t frame, unsigned order);
	void (*count)(const struct zone *zone, size_t blocks[PAGE_MAX_ORDER + 1]); // free blocks of each order
	struct verdict (*check)(const struct zone *zone);
};

extern const struct page_engine page_stack, page_bitmap, page_buddy, page_buddy_lazy;
extern const struct page_engine *const PAGE_ENGINES[]; // all, ended by NULL; the first is the default

// ---- doubly linked lists through the records of free frames; *head is the first frame or FRAME_NONE

static inline void list_push(uint32_t *head, uint32_t frame)
{
	struct page *page = page_at(frame);
	page->next = *head;
	page->previous = FRAME_NONE;
	if (*head != FRAME_NONE)
		page_at(*head)->previous = frame;
	*head = frame;
}

static inline void list_remove(uint32_t *head, uint32_t frame)
{
	const struct page *page = page_at(frame);
	if (page->previous == FRAME_NONE)
		*head = page->next;
	else
		page_at(page->previous)->next = page->next;
	if (page->next != FRAME_NONE)
		page_at(page->next)->previous = page->previous;
}
