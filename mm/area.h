// area.h: the list of a space's areas, for the files that space is made of: find, insert, cut in two, join again, drop.
#pragma once

#include "space.h"

// The lowest address that an area may have: page zero and some more stay unmapped, so that NULL faults.
#define AREA_LOWEST PAGE_BYTES
// Mappings and the heap stay below: the stack's reach, and a page of guard under it.
#define AREA_MAPPING_TOP (SPACE_STACK_TOP - SPACE_STACK_MAX - PAGE_BYTES)

// The first area that ends above `va`: the one that holds it, or else the next above; NULL when there is none.
struct area *area_search(const struct space *space, uint64_t va);
static inline struct area *area_after(const struct space *space, uint64_t va)
{
	struct area *area = space->recent;
	return area && area->start <= va && va < area->end ? area : area_search(space, va);
}

// True when no area has a byte in [start, end).
bool area_none_in(const struct space *space, uint64_t start, uint64_t end);

// Puts a copy of `model` into a list at *link, with a reference to its source; NULL when there is no memory. insert: at its place.
struct area *area_add(struct area **link, const struct area *model) __attribute__((warn_unused_result));
struct area *area_insert(struct space *space, const struct area *model) __attribute__((warn_unused_result));

// Splits the area that lies across `at`, if one does. False when there is no memory.
bool area_cut(struct space *space, uint64_t at) __attribute__((warn_unused_result));

// Joins the areas that meet at `at` when they could be one.
void area_join(struct space *space, uint64_t at);

// Takes the area at *link out of the list and frees it; its pages must be gone. Returns what follows it.
void area_drop(struct space *space, struct area **link);

// The bits of a leaf that has all the rights of the area. Without any right: readable, but not by user mode.
static inline uint64_t area_bits(const struct area *area)
{
	_Static_assert(ACCESS_READ << 1 == PTE_R && ACCESS_WRITE << 1 == PTE_W && ACCESS_EXECUTE << 1 == PTE_X, "PTE bits, shifted");
	return area->rights ? PTE_U | (uint64_t)area->rights << 1 : PTE_R;
}

// Removes the pages of [start, end), which lie in `first` and the areas after it. One flush.
void area_release(struct space *space, struct area *first, uint64_t start, uint64_t end);

// A table_release for pages of private areas; context: the space's `resident`.
void area_free_page(void *context, pte_t leaf, va_t va, unsigned level);

// check's part for the list.
struct verdict area_check(const struct space *space);
