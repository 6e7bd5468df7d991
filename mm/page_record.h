// page_record.h: the ways between a page's address, its record and its frame.
//
//     address --span--> record (struct page) <--index-- frame          frame: the number of a record
//
// Frames are dense: large holes of the machine have none (see page_init.c). They agree with physical page numbers modulo
// 2^PAGE_MAX_ORDER, and a block never spans a hole, so a block aligned in frames is aligned in memory and an engine needs no address.
#pragma once

#include "page_state.h"

static inline struct page *page_at(uint32_t frame)
{
	return (struct page *)(page_state.records + (uintptr_t)frame * sizeof(struct page));
}

static inline uint8_t *mark_at(uint32_t frame)
{
	return (uint8_t *)(page_state.marks + frame);
}

static inline uint32_t frame_of(const struct page *page)
{
	return (uint32_t)(((uintptr_t)page - page_state.records) / sizeof *page);
}

// The record of the page at byte `offset`, a multiple of PAGE_BYTES, of a run whose records start at `records`: 3 bytes for 1024.
static inline struct page *record_in(uintptr_t records, uint64_t offset)
{
	_Static_assert(sizeof(struct page) * 1024 == 3 * 4096, "the record's size is written into this function");
	uintptr_t quarters = (uintptr_t)(offset >> 10);
	return (struct page *)(records + quarters + 2 * quarters);
}

struct page *record_elsewhere(pa_t page); // of a page outside the window; one that says PAGE_UNMANAGED when there is none

static inline bool in_window(uint64_t offset) // a page's distance from the window's start
{
	return __builtin_expect(offset < *(volatile uint64_t *)&page_state.window.bytes, 1);
}

// The record of a page, given by its first address. What has no record has one that says PAGE_UNMANAGED.
static inline struct page *record_of(pa_t page)
{
	uint64_t offset = page.raw - page_state.window.start;
	return in_window(offset) ? record_in(page_state.window.records, offset) : record_elsewhere(page);
}

static inline pa_t frame_address(uint32_t frame) // of a frame that has a page
{
	const struct span *span = page_state.spans;
	while (frame - span->first >= span->count)
		span++;
	return PA(span->start + ((uint64_t)(frame - span->first) << PAGE_SHIFT));
}

#define EXTRA_MAX 0x80000000u // more references than this are a count below zero

// A record's use is read by CPUs that do not own the page (is the buddy free?), so it is read and written in one piece.
static inline enum page_use use_of(const struct page *page)
{
	return (enum page_use)__atomic_load_n(&page->use, __ATOMIC_RELAXED);
}

// (gcc 12 makes an atomic exchange of an atomic store on RISC-V.)
static inline void use_set(struct page *page, enum page_use use)
{
	*(volatile uint8_t *)&page->use = (uint8_t)use;
}

// The same for `count` records side by side. A large block has hundreds, hence eight at a time.
static inline void use_set_all(struct page *page, size_t count, enum page_use use)
{
	struct page *end = page + count, *last = page + count / 8 * 8;
	for (; page < last; page += 8) {
		use_set(&page[0], use);
		use_set(&page[1], use);
		use_set(&page[2], use);
		use_set(&page[3], use);
		use_set(&page[4], use);
		use_set(&page[5], use);
		use_set(&page[6], use);
		use_set(&page[7], use);
	}
	for (; page < end; page++)
		use_set(page, use);
}

static inline bool use_is_free(enum page_use use)
{
	return use == PAGE_FREE || use == PAGE_FREE_TAIL;
}

static inline bool zone_has(const struct zone *zone, uint32_t frame)
{
	return frame >= zone->first && frame < zone->end;
}

static inline struct zone *zone_of(uint32_t frame)
{
	return &page_state.zones[zone_has(&page_state.zones[1], frame)];
}

static inline void poison(uint32_t frame, uint32_t count)
{
	fill(pa_pointer(frame_address(frame)), count * PAGE_BYTES, POISON);
}
