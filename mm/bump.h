// bump.h: inside the bump heap: its records, for bump.c and the tests.
#pragma once

#include "heap.h"

enum bump_state { BUMP_DEAD = 1, BUMP_LIVE = 2, BUMP_MARK = 3 };

struct bump_piece {
	_Alignas(HEAP_ALIGN) uint32_t units; // length with this header, in units of HEAP_ALIGN
	uint32_t below;                      // length of the piece below, 0 for the first, and at the other end
	uintptr_t cookie;
};

struct bump_region {
	_Alignas(HEAP_ALIGN) struct bump_region *older; // NULL: the arena that create was given
	uintptr_t end;           // of the room: blocks that stay lie above
	uintptr_t next;          // where the next piece starts
	struct bump_piece *last; // the piece below next, NULL when there is none
	size_t back;             // bytes of pieces above end
};

struct bump {
	struct heap heap;
	struct bump_region *region; // the newest: the only one that blocks are taken from
	size_t live;    // blocks and marks
	uint64_t marks; // ever set
	struct bump_region arena;
};

// A place to come back to: bump_release gives up every block that was taken since, live or dead, and every mark set since; what
// heap_alloc_back gave stays. While a mark stands nothing below it is taken back. The heap's lock is taken inside. A level's checks are
// left out: no red zone is looked at, and no observer is told.
struct bump_mark {
	struct bump_piece *piece; // NULL: there was no memory for it
	uint64_t serial;
};
struct bump_mark bump_mark(struct heap *heap) __attribute__((warn_unused_result));
void bump_release(struct heap *heap, struct bump_mark mark); // panics when the mark is not this heap's, or does not stand any more

static inline uintptr_t bump_cookie(const struct bump_piece *piece, enum bump_state state)
{
	return (uintptr_t)0xb1a5edb10c0dULL ^ (uintptr_t)piece ^ state;
}

static inline size_t piece_bytes(const struct bump_piece *piece)
{
	return (size_t)piece->units * HEAP_ALIGN;
}

static inline bool piece_is(const struct bump_piece *piece, enum bump_state state)
{
	return piece->cookie == bump_cookie(piece, state);
}

static inline uintptr_t region_start(const struct bump_region *region) // of its first piece
{
	return (uintptr_t)(region + 1);
}

static inline uintptr_t region_end(const struct bump_region *region)
{
	return region->end + region->back;
}

struct verdict bump_check(const struct heap *heap);
void bump_walk(const struct heap *heap, heap_visitor *visit, void *context);
