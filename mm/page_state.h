// page_state.h: the state of the page module: spans of records, zones, and each CPU's cache. Its invariants stand in page.c.
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
	uintptr_t seen;        // where the code sees its start
	uintptr_t records;
	uint8_t *marks;
};

struct page_state {
	struct cache caches[PORT_MAX_CPUS];
	struct window window;
	struct span spans[PAGE_SPANS]; // rising
	uint32_t span_count;
	uint64_t window_bytes; // of the window, when it is open
	uint64_t limit;        // of physical addresses: how far the last span may grow
	uintptr_t records;     // where the record of frame 0 would stand; there may be none
	uintptr_t marks;       // and its mark: a byte of each frame for the owner of an allocated page, 0 otherwise; denser than records
	const struct page_engine *engine;
	struct zone zones[PAGE_ZONES]; // DMA, normal; one may be empty
	struct zone *cached;           // the zone whose pages the caches hold: normal, unless that is empty
	unsigned cpus;
	size_t metadata;               // bytes
};
extern struct page_state page_state;

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
