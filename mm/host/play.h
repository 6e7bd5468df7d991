// play.h: one heap, and whoever plays against it: asks for blocks, sees where they lie, and gives back those that hurt most.
//
//    adversary ──► play_take, play_give ──► ops->alloc, ops->free       memory is one arena; port_reserve refuses, so it never grows
//                       │
//                       ├──► turns: what was asked, to be played again to another heap (play_again)
//                       └──► footprint: the bytes that any block ever lay in; live and most: those asked for
//
// The calls go to the allocator itself, not through the entry, so that a block is as long at each level of checking. `header` bytes are
// asked less for each block and counted with it: with the allocator's own header a block of k words takes exactly k words.
#pragma once

#include "../heap.h"

#define PLAY_BLOCKS (1u << 18) // the most in one play
#define PLAY_ARENA  ((size_t)32 << 20)
#define PLAY_WORD   ((size_t)32) // a block of the free list's is no shorter, header included

struct play_block {
	uintptr_t at; // offset in the play's memory
	size_t bytes; // asked for, with `header`; 0: given back
};

struct play_turn {
	uint32_t block; // its number
	uint32_t bytes; // 0: it is given back
};

struct play {
	struct heap *heap;
	size_t header, word; // word: PLAY_WORD, what adversaries count in
	struct play_block *block;
	struct play_turn *turn;
	size_t blocks, turns;
	size_t live, most; // bytes asked for in live blocks, and the most at any time
	size_t footprint;  // bytes that ever lay in a block
	bool refused;      // a request was: the play is over, later calls do nothing
	bool paged;        // and why: the heap's addresses are not those of memory, and no adversary knows where that is
};

// A fresh machine with a heap in an arena of so many bytes. One play at a time: the memory is the same.
void play_start(struct play *play, const struct heap_ops *ops, size_t arena, size_t header);
uint32_t play_take(struct play *play, size_t bytes); // the block's number
void play_give(struct play *play, uint32_t block);
// The turns of another play, which may be over, on a fresh heap in PLAY_ARENA.
void play_again(struct play *play, const struct heap_ops *ops, const struct play *other);
double play_figure(const struct play *play); // footprint in units of the most live bytes; 0 of a paged heap
size_t play_sorted(const struct play *play, uint32_t *numbers); // the live blocks by address; how many there are
