// page_state.h: the state of the page module and the way from an address to its record; shared by page.c, page_zone.c, page_init.c,
// page_check.c and the engines.
//
//     address --span--> record (struct page) <--index-- frame          frame: the number of a record
//
// Frames are dense: large holes of the machine have none (see page_init.c). They agree with physical page numbers modulo
// 2^PAGE_MAX_ORDER, and a block never spans a hole, so a block aligned in frames is aligned in memory and an engine needs no address.
#pragma once

#include "page.h"

#ifndef MM_CHECK
#define MM_CHECK 0 // 1: poison free pages, look at the poison on alloc; 2: also check the zone around each call into an engine
#endif

#define FRAME_NONE UINT32_MAX

struct zone {
	struct lock lock; // guards all below, the engine's state, and the records of the frames that are free in the engine
	const char *name;
	uint32_t first, end;   // frame numbers; some in between may be unmanaged
	size_t total;          // managed frames
	size_t free;           // frames in the engine
	size_t reserve;        // of them, those that only PAGE_ATOMIC may take
	uint64_t acquisitions; // of the lock
	void *state;           // the engine's, engine->bytes() long
};

// A run of physical pages that have records, one after the other.
struct span {
	uint64_t start, bytes; // physical
	uintptr_t records;     // where the record of the first page is
	uint32_t first, count; // frames
};
#define PAGE_SPANS 32u

// One CPU's free pages: slots below `top` may hold one each (its address), all others are 0. Only the owner moves `top` and fills
// slots; any CPU may empty one, by an atomic exchange. 512 bytes, so that CPUs share no line.
#define CACHE_SLOTS 63u
#define CACHE_BATCH 32u
struct cache {
	uint64_t slot[CACHE_SLOTS];
	uint64_t *top;
} __attribute__((aligned(512)));

// The pages that the short way through page_alloc and page_free is for: the largest run of them in the zone that is cached.
struct window {
	uint64_t start, bytes; // physical; bytes is 0 while the zone is below its reserve
	uintptr_t records;
};

struct page_state {
	struct cache caches[PORT_MAX_CPUS];
	struct window window;
	struct span spans[PAGE_SPANS]; // rising
	uint32_t span_count;
	uint64_t window_bytes; // of the window, when it is open
	uintptr_t records;     // where the record of frame 0 would stand; there may be none
	const struct page_engine *engine;
	struct zone zones[PAGE_ZONES]; // DMA, normal; one may be empty
	struct zone *cached;           // the zone whose pages the caches hold: normal, unless that is empty
	unsigned cpus;
	size_t metadata;               // bytes
};
extern struct page_state page_state;

// ---- records and frames

static inline struct page *page_at(uint32_t frame)
{
	return (struct page *)(page_state.records + (uintptr_t)frame * sizeof(struct page));
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

// ---- contents of pages

// Fills whole units of 64 bytes.
static inline void fill(void *start, size_t bytes, uint64_t with)
{
	uint64_t *at = start, *end = at + bytes / sizeof *at;
	for (; at < end; at += 8) {
		at[0] = with;
		at[1] = with;
		at[2] = with;
		at[3] = with;
		at[4] = with;
		at[5] = with;
		at[6] = with;
		at[7] = with;
	}
}

#define POISON 0xf4eed0e5f4eed0e5ULL // what free pages hold when MM_CHECK >= 1

static inline void poison(uint32_t frame, uint32_t count)
{
	fill(pa_pointer(frame_address(frame)), count * PAGE_BYTES, POISON);
}
