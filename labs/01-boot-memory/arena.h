// arena.h: the bump heap alone, in an arena of exactly its size, beside a shadow of its blocks; each byte of them says whose it is.
#pragma once

#include "../../mm/heap.h"
#include "../host/judge.h"
#include "ranges.h"

#define BLOCKS 2048u

struct block {
	uintptr_t start;
	size_t bytes; // all that may be used
	bool live;
};

struct arena {
	struct heap *heap;
	uintptr_t start, end; // where the arena is; blocks of other regions lie elsewhere
	unsigned count, live;
	struct block block[BLOCKS]; // in the order in which they were taken
};
extern struct arena arena;

// A new arena of `bytes` bytes; `shift` 16-byte units above a multiple of 4096.
void arena_start(size_t bytes, unsigned shift);
// Takes a block: aligned, as long as was asked for, apart from all others. The number of the block; BLOCKS: NULL was returned.
unsigned arena_alloc(size_t bytes, size_t align);
void arena_free(unsigned index);
bool arena_resize(unsigned index, size_t bytes); // what resize answers
bool is_in_arena(unsigned index);
void require_stamps(const char *rule); // nobody wrote into a live block
