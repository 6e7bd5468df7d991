// space_fixture.h: one address space with a stack, one file, and short words for what the tests of space do all the time.
#pragma once

#include "../area.h"
#include "../heap.h"
#include "../page.h"
#include "../slab.h"
#include "mmu.h"
#include "test.h"

#define RW   (ACCESS_READ | ACCESS_WRITE)
#define HEAP ((uint64_t)0x40000)
#define TOP  (SPACE_STACK_TOP - SPACE_STACK_MAX - PAGE_BYTES) // mappings end here

extern struct table kernel;
extern struct space space, child; // asid 1 with a stack of one page, and nothing; asid 2 once forked

extern struct fixture_file { // every page of it has the same bytes in the cache: 'F'
	struct source source;
	int users, pins, borrows, reads, dirty; // calls, or what is held now
	bool fails;
	pa_t page;
} file;

void start(void);      // new memory, a new space
void finish(void);     // destroys both; every page and every reference must be back
void fork_child(void); // space -> child

uint64_t map(uint64_t hint, uint64_t pages, unsigned rights, bool shared, struct source *source); // must succeed; the address
int get(struct space *s, uint64_t va);                             // the byte there, -1 when it cannot be read
enum space_result put(struct space *s, uint64_t va, uint8_t byte); // stores it
size_t areas(const struct space *s);                               // how many that are not empty
