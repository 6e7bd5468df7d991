// table.h: Sv39 page tables: find, map, unmap, protect, copy and free, with leaves of 4 KiB, 2 MiB and 1 GiB.
//
// A table belongs to one address space; its caller makes sure that one CPU changes it at a time. Table pages come from page_alloc.
// A table page counts its live entries in its page record (struct page.tag) and is given back when the count reaches zero.
#pragma once

#include "addr.h"
#include "check.h"

struct table {
	pa_t root;     // page of the level-2 table
	uint32_t asid; // for port_flush; PORT_KERNEL_ASID for the kernel's own table
	uint32_t cpus; // bit per CPU that may cache translations of it; kept by the port, atomic
	size_t pages;  // table pages in use, the root included
	bool user;     // the upper half is the kernel's: shared, not to be changed or freed through this table
	bool large;    // a leaf above level 0 may be in it
};

enum table_result {
	TABLE_OK,
	TABLE_NO_MEMORY, // a table page was needed; nothing was changed
	TABLE_BUSY,      // something is mapped there already
};

// Where an address is translated: the leaf, or the empty entry at which the walk ended, with its level. Returned together.
struct slot {
	pte_t *entry;
	unsigned level;
};

// An empty table with its own root. With `kernel`, the upper half of the root (entries 256..511) is copied from it: shared tables,
// never freed through this one, and asid is 0 until the caller sets it; without, asid is PORT_KERNEL_ASID. cpus is 0. False when
// there is no memory.
bool table_create(struct table *table, const struct table *kernel) __attribute__((warn_unused_result));

// Gives the root entries of an upper-half range their tables now, for good, so that each table created later shares them.
// False when there is no memory (some may have been made).
bool table_anchor(struct table *kernel, va_t va, uint64_t bytes) __attribute__((warn_unused_result));

// Here, so that it costs a fault no call.
static inline struct slot table_find(const struct table *table, va_t va)
{
	pte_t *entry = (pte_t *)pa_pointer(table->root) + va_index(va, 2);
	if (!pte_is_pointer(*entry))
		return (struct slot){ entry, 2 };
	entry = (pte_t *)pa_pointer(pte_pa(*entry)) + va_index(va, 1);
	if (!pte_is_pointer(*entry))
		return (struct slot){ entry, 1 };
	return (struct slot){ (pte_t *)pa_pointer(pte_pa(*entry)) + va_index(va, 0), 0 };
}

// Maps one leaf of level_bytes(level) bytes; va and pa are aligned to it, else panics. `bits`: PTE_R/W/X/U/G and software bits; V,
// A and D are set here. No flush is needed for a mapping that was absent.
enum table_result table_map(struct table *table, va_t va, pa_t pa, unsigned level, uint64_t bits)
	__attribute__((warn_unused_result));

// Maps a 4 KiB leaf at an entry that table_find has just found to be empty at level 0: no second walk.
void table_fill(pte_t *entry, pa_t pa, uint64_t bits);

// Maps a range with the largest leaves that fit; all or nothing.
enum table_result table_map_range(struct table *table, va_t va, pa_t pa, uint64_t bytes, uint64_t bits)
	__attribute__((warn_unused_result));

// Called for each leaf that was removed, after the flush that makes it safe to reuse its memory.
typedef void table_release(void *context, pte_t leaf, va_t va, unsigned level);

// Removes all leaves in [start, start + bytes), page-aligned; splits a large leaf that lies across an end (TABLE_NO_MEMORY then
// leaves everything as it was). Flushes once: from the first leaf to the last, or the whole address space when a table page goes,
// too; then calls `release` (may be NULL) in rising order, then frees empty tables.
enum table_result table_unmap(struct table *table, va_t start, uint64_t bytes, table_release *release, void *context)
	__attribute__((warn_unused_result));

// Gives all leaves in the range the permission bits `bits` (PTE_R/W/X/U/G and PTE_COW replaced, the rest kept); splits as table_unmap does.
// Flushes once, from the first to the last leaf whose rights became fewer.
enum table_result table_protect(struct table *table, va_t start, uint64_t bytes, uint64_t bits)
	__attribute__((warn_unused_result));

// Asked for each run of `count` neighbouring entries that table_copy meets, the first of which maps `va`; those of a run at level 0 may
// be invalid, above it there is one leaf at a time. Stores in to[i] what the copy shall hold, or nothing; may narrow from[i] (e.g.
// drop PTE_W) and then sets *narrowed. Returns how many entries it stored.
typedef unsigned table_clone(void *context, pte_t *from, pte_t *to, size_t count, va_t va, unsigned level, bool *narrowed);

// Copies the leaves of a range into `to`, which has nothing mapped there. On TABLE_NO_MEMORY what was copied so far stays, for the
// caller to unmap. Flushes the source once, from the first to the last run in which `clone` narrowed an entry.
enum table_result table_copy(struct table *to, struct table *from, va_t start, uint64_t bytes, table_clone *clone, void *context)
	__attribute__((warn_unused_result));

// Frees all tables of its own and the root; leaves that are still mapped are passed to `release` (may be NULL). No flush: the caller
// has made sure that no CPU uses this table or its ASID any more.
void table_destroy(struct table *table, table_release *release, void *context);

struct verdict table_check(const struct table *table);
