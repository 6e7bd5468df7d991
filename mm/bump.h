// bump.h: inside the bump heap: its records, for bump.c and the tests.
#pragma once

#include "heap.h"

enum bump_state { BUMP_DEAD = 1, BUMP_LIVE = 2 };

struct bump_piece {
	_Alignas(HEAP_ALIGN) uint32_t units; // length with this header, in units of HEAP_ALIGN
	uint32_t below;                      // length of the piece below, 0 for the first
	uintptr_t cookie;
};

struct bump_region {
	_Alignas(HEAP_ALIGN) struct bump_region *older; // NULL: the arena that create was given
	uintptr_t end;
	uintptr_t next;          // where the next piece starts
	struct bump_piece *last; // the piece below next, NULL when there is none
};

struct bump {
	struct heap heap;
	struct bump_region *region; // the newest: the only one that blocks are taken from
	size_t live;
	struct bump_region arena;
};

static inline uintptr_t bump_cookie(const struct bump_piece *piece, enum bump_state state)
{
	return (uintptr_t)0xb1a5edb10c0dULL ^ (uintptr_t)piece ^ state;
}
