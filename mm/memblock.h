// memblock.h: memory before there is a memory manager: the machine's regions, what is reserved in them, and an allocator over the rest.
//
// Not thread-safe: one hart boots. Ranges may arrive in any order, overlap and have odd sizes; both lists stay sorted, disjoint and
// merged.
#pragma once

#include "addr.h"
#include "check.h"

#define MEMBLOCK_RANGES 64 // the most ranges in each list

struct memblock_range {
	uint64_t start; // physical address, bytes
	uint64_t end;   // first byte after it
};

struct memblock_list {
	unsigned count;
	struct memblock_range range[MEMBLOCK_RANGES];
};

struct memblock {
	struct memblock_list memory;   // RAM that the device tree reports
	struct memblock_list reserved; // firmware, kernel image, device tree, and what memblock_alloc gave out
};

// Adds RAM / marks a range as in use. False when the list is full (the range is then left out of memory, or cannot be protected).
// The range may be empty or wrap-free only: start + bytes must not overflow, else false.
bool memblock_add(struct memblock *mb, pa_t start, uint64_t bytes) __attribute__((warn_unused_result));
bool memblock_reserve(struct memblock *mb, pa_t start, uint64_t bytes) __attribute__((warn_unused_result));

// Takes `bytes` bytes aligned to `align` (a power of two, else it panics) from the lowest place where they fit and reserves them.
// PA_NONE when they fit nowhere, or are none, or when the list of reservations is full. Contents are not cleared. Never address 0.
pa_t memblock_alloc(struct memblock *mb, uint64_t bytes, uint64_t align) __attribute__((warn_unused_result));

// The same from the highest place: for what stays, so that low memory remains whole, for devices and for large blocks.
pa_t memblock_alloc_high(struct memblock *mb, uint64_t bytes, uint64_t align) __attribute__((warn_unused_result));

// Gives a reserved range back (e.g. boot-only tables). Panics when it is not reserved from end to end.
void memblock_free(struct memblock *mb, pa_t start, uint64_t bytes);

// Steps through the free ranges (memory minus reserved) in rising order: start with *cursor = 0; false at the end.
bool memblock_next_free(const struct memblock *mb, uint64_t *cursor, struct memblock_range *out);

// Totals in bytes.
uint64_t memblock_memory_bytes(const struct memblock *mb);
uint64_t memblock_free_bytes(const struct memblock *mb);

struct verdict memblock_check(const struct memblock *mb);
