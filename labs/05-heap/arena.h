// arena.h: a heap alone, without the entry around it, in an arena of its own; beside it a shadow of all live blocks.
//
//     arena   |state| block | gap | block | gap |        what lies between live blocks is free: the shadow needs no more than that
//     pool    | piece |      | piece | piece |           what port_reserve gives; the rest of it is poisoned
//
// Each call is judged as it returns: a block is aligned, inside the heap's memory, apart from all others and no larger than it must
// be; a refusal must be right; while the heap has its arena only, the gap that was taken must be the one that the policy says. Blocks
// are full of stamps, which are looked at when a block is freed and by arena_look.
#pragma once

#include "../../mm/heap.h"
#include "../host/judge.h"

#define PAGE        4096u
#define POOL_PAGES  1024u
#define POOL_BYTES  (POOL_PAGES * PAGE)
#define RANGES_MOST 80u
#define LIVE_MOST   4096u
#define GAPS_MOST   (LIVE_MOST + 80)
#define SLACK       64u // what a block may need on top: header, rounding, a rest too small to stand alone

struct live { // a block in use
	uintptr_t at;
	size_t bytes, usable; // asked for, and had
	uint64_t stamp;
};

struct gap {
	uintptr_t start, end; // between live blocks
	size_t sure;          // a payload of so many bytes fits, whatever a heap's records need
};

struct range {
	uintptr_t start, end;
};

enum layout { APART, UPWARDS, DOWNWARDS }; // where in the pool the next piece comes from; the last two may touch each other

extern struct arena {
	const struct heap_ops *ops;
	struct heap *heap;
	struct live live[LIVE_MOST]; // by address
	unsigned count;
	uintptr_t last;              // the block that was allocated last, 0 when something else was done since: next fit goes on there
	struct range range[RANGES_MOST]; // the arena's inside as walk shows it at first, then the pieces, by address
	unsigned ranges;
	enum layout layout;
	uintptr_t memory;         // the arena
	size_t bytes;             // of the arena
	size_t reserved, most;    // bytes in pieces, now and at most
	unsigned reserves;        // calls of port_reserve
	unsigned refusals;        // of them, those that were refused
	unsigned refuse_from;     // this call and all after it are refused; 0: none
} arena;

bool arena_start(const struct heap_ops *ops, size_t bytes, enum layout layout); // false: create refused
// A block, entered into the shadow; NULL: refused, and rightly so.
unsigned char *arena_alloc(size_t bytes, size_t align);
void arena_free(void *block);
bool arena_resize(void *block, size_t bytes);
void arena_trim(void);
void arena_look(void);  // at all stamps, the heap's own check, and its walk, which must show the live blocks and free ones beside them

unsigned arena_first_above(uintptr_t address);     // the first live block at an address or above: its index
unsigned arena_find_run(unsigned pages);           // free pages of the pool; POOL_PAGES: there are not so many
size_t arena_largest(void);                        // bytes that can be had for sure, without a new piece
unsigned arena_gaps(struct gap gap[GAPS_MOST]);    // by address
void arena_expect_panic(const char *words, void *payload, const char *what); // free(payload) must panic with one of the |-separated words
void *arena_random(void);                          // a live block
const char *arena_name(uintptr_t address);         // "arena + 0x120"
