// ranges.h: a memblock beside a shadow that knows of every unit of a small piece of the address space what it is.
//
//     universe   base [ unit | unit | ... 1024 of them ]      a unit has 1 or 4096 bytes; base may be 0, or near the very end
//     shadow     memory?   .xxxxxx...xxxx                     what was added
//                reserved? ..xx......                         what was reserved, also where there is no memory
//
// Each call is compared with what the shadow says: the lists, range by range; free ranges; places that were given out.
#pragma once

#include "../../mm/memblock.h"
#include "../host/judge.h"

#define UNITS 1024u

struct world {
	uint64_t base, unit;
	uint64_t usable; // units: all, but for the last where the address space ends
	bool memory[UNITS], reserved[UNITS];
	struct memblock *mb; // in a block of exactly its size, for the address sanitizer
};
extern struct world world;

#define WORLDS 5 // low memory, RAM of a machine, around 4 GiB, the end of the address space by bytes and by pages
void world_start(unsigned which); // nothing is memory yet
uint64_t address_of(uint64_t unit);

// The calls, with what they do to the shadow; they must succeed.
void add(uint64_t first, uint64_t count);
void reserve(uint64_t first, uint64_t count);
void give_back(uint64_t first, uint64_t count); // must be reserved
// From the low or the high end; false: refused, and rightly so. For units of 4096 bytes, bytes and align are multiples of that.
bool take(uint64_t bytes, uint64_t align, bool high);
unsigned reserved_ranges(void); // by the shadow

// Requires that both lists are what the shadow says, or that the free ranges are.
void require_lists(const char *rule);
void require_free(const char *rule);

// A statement that must panic, and change nothing.
#define REFUSES(rule, place, statement)                                                        \
	do {                                                                                   \
		judge_rule(rule);                                                              \
		judge_place(place);                                                            \
		EXPECT_PANIC("", statement);                                                   \
		if (strncmp(panic_rule, "Lab ", 4) == 0)                                       \
			port_panic(SAY("%s", panic_rule), 0); /* it was a hole's */                       \
	} while (0)
