// shadow.h: a user's table beside a shadow that knows what every page of a gigabyte and a little translates to, and a stale MMU.
//
//     universe   [16 pages | 1 GiB, aligned: large leaves fit here | 16 pages]       shadow: pa | bits of each page, 0: nothing there
//
// Leaves are found by a walk of its own, which shares nothing with mm/table.h but the entries in memory.
#pragma once

#include "../../mm/host/mmu.h"
#include "../../mm/page.h"
#include "../../mm/table.h"
#include "../host/judge.h"

#define EDGE   16u
#define LARGE  512u
#define PAGES  (262144u + 2 * EDGE)
#define BASE   ((uint64_t)0x40000000 - EDGE * PAGE_BYTES)
#define KERNEL 0xffffffc080000000u // mapped in the kernel's table

#define RIGHTS (PTE_PERMISSIONS | PTE_COW)

extern struct table kernel, user;
extern uint64_t *shadow;
extern size_t free_before;  // free pages when `user` had its root only
extern uint64_t flushes;    // since watch()
extern size_t freed_at_flush; // tables that had become free when the first of them came

static inline uint64_t page_va(size_t page)
{
	return BASE + page * PAGE_BYTES;
}

// What memory says of an address, found by this walk: entry 0 where nothing is.
struct found {
	uint64_t entry; // of the leaf
	unsigned level;
	size_t tables;  // met on the way, the root included
};
struct found look(const struct table *table, uint64_t va);

// A machine of 8 MiB, a kernel's table with one leaf in the upper half, a user's table; the shadow is empty.
void start_tables(void);
void draw_walks(void); // lets maps show the walk of the failing address

// Tables of a table: counted by a walk over all of its lower half.
size_t count_tables(const struct table *table);

// table_map, with its answer compared with what the shadow allows; keeps the shadow.
enum table_result try_map(size_t page, uint64_t pa, unsigned level, uint64_t bits);

// Requires that memory says of these pages what the shadow says, exactly; that tables are as many as the table says; nothing leaked.
void require_pages(size_t first, size_t count, const char *rule);
void require_counts(const char *rule);

// Lets both CPUs use these pages, so that they have their translations cached; then a watch over flushes begins.
void touch(size_t first, size_t count);
void watch(void);

// Requires that neither CPU can do more with a page than the shadow says, whatever it has cached.
void require_forgotten(size_t first, size_t count, const char *rule);

// table_unmap and table_protect with the shadow kept and all of their promises required.
enum table_result try_unmap(size_t first, size_t count);
enum table_result try_protect(size_t first, size_t count, uint64_t bits);

// Random memory for a leaf, random rights; leaves anywhere in the first `pages`, a sixth of them large if there may be such.
uint64_t some_pa(unsigned level);
uint64_t some_bits(void);
void fill(unsigned leaves, size_t pages, bool large);
