// frames.h: a page engine alone, without page.c around it: one zone, its records, and a shadow that knows which frames are free.
//
//     records     0 ............ first ................................ end ............ total
//                 the neighbour's:     the zone: unmanaged until it is    the neighbour's:
//                 free blocks          added, then free or taken         free blocks
//
// The neighbours' frames are marked free, and must stay as they are. The records lie in a block of exactly their size, so that the
// address sanitizer sees whoever reads beyond them.
#pragma once

#include "../../mm/page_engine.h"
#include "judge.h"

enum { OUTSIDE, UNMANAGED, FREE, TAKEN }; // what the shadow says of a frame

struct frames {
	const struct page_engine *engine;
	struct zone zone;
	uint32_t total, free;
	uint8_t *shadow;
	struct page *before; // the records of the neighbours as they were
};
extern struct frames frames;

// A zone of frames [first, end), nothing of it free yet.
void frames_start(const struct page_engine *engine, uint32_t first, uint32_t end);
void frames_add(uint32_t first, uint32_t count);
uint32_t frames_take(unsigned order);      // FRAME_NONE: refused, and rightly so
uint32_t frames_take_any(unsigned *order);
void frames_give(uint32_t frame, unsigned order);

// Whether an aligned block of this order is free.
bool frames_fit(unsigned order);

// The order of the free block that starts at this frame when all free frames are joined as far as they go; -1: none starts there.
int frames_block(uint32_t frame);

// Requires that the records say exactly what frames_block does, and that the neighbours' records are untouched.
void frames_require_joined(const char *rule);

// The same for engines that keep no blocks: each free frame is PAGE_FREE of order 0.
void frames_require_single(const char *rule);
