// memblock.c: the boot allocator by copying: each change builds a new list beside the old one and looks whether it is too long.
//
//     insert      copy in order, with the new range at its place; then one pass that joins neighbours
//     next_free   all of memory minus all reservations, subtracted anew at each call
//     free        copy, with what is given back left out
//
// Cost: O(ranges) scratch space on the stack and O(ranges x ranges) for a free range. Weakness: slow, where nobody minds.
#include "memblock.h"

#define MOST (MEMBLOCK_RANGES + 1)

struct ranges { // room for one more than is allowed
	unsigned count;
	struct memblock_range range[MOST];
};

static bool store(struct memblock_list *list, const struct ranges *ranges)
{
	if (ranges->count > MEMBLOCK_RANGES)
		return false;
	for (unsigned i = 0; i < ranges->count; i++)
		list->range[i] = ranges->range[i];
	list->count = ranges->count;
	return true;
}

static void append(struct ranges *ranges, uint64_t start, uint64_t end) // rising starts; joins what meets
{
	struct memblock_range *last = ranges->count ? &ranges->range[ranges->count - 1] : NULL;
	if (start >= end)
		return;
	if (last && start <= last->end)
		last->end = end > last->end ? end : last->end;
	else
		ranges->range[ranges->count++] = (struct memblock_range){ start, end };
}

static bool insert(struct memblock_list *list, uint64_t start, uint64_t bytes)
{
	struct ranges joined = { 0 };
	unsigned i = 0;
	if (start + bytes < start)
		return false;
	for (; i < list->count && list->range[i].start < start; i++)
		append(&joined, list->range[i].start, list->range[i].end);
	append(&joined, start, start + bytes);
	for (; i < list->count; i++)
		append(&joined, list->range[i].start, list->range[i].end);
	return store(list, &joined);
}

bool memblock_add(struct memblock *mb, pa_t start, uint64_t bytes)
{
	return insert(&mb->memory, start.raw, bytes);
}

bool memblock_reserve(struct memblock *mb, pa_t start, uint64_t bytes)
{
	return insert(&mb->reserved, start.raw, bytes);
}

// The first piece of [start, end) at or above `from` that no reservation has.
static bool first_piece(const struct memblock_list *reserved, uint64_t start, uint64_t end, uint64_t from, struct memblock_range *out)
{
	start = start > from ? start : from;
	for (unsigned i = 0; i < reserved->count && start < end; i++) {
		const struct memblock_range *hole = &reserved->range[i];
		if (hole->end <= start || hole->start >= end)
			continue;
		if (hole->start > start) {
			end = hole->start;
			break;
		}
		start = hole->end;
	}
	*out = (struct memblock_range){ start, end };
	return start < end;
}

bool memblock_next_free(const struct memblock *mb, uint64_t *cursor, struct memblock_range *out)
{
	for (unsigned i = 0; i < mb->memory.count; i++) {
		const struct memblock_range *memory = &mb->memory.range[i];
		if (memory->end > *cursor && first_piece(&mb->reserved, memory->start, memory->end, *cursor, out)) {
			*cursor = out->end;
			return true;
		}
	}
	return false;
}

// The aligned place in a free range that is nearest to one of its ends; 0: none.
static uint64_t place_in(const struct memblock_range *range, uint64_t bytes, uint64_t align, bool high)
{
	uint64_t skip = (align - range->start % align) % align, room = range->end - range->start;
	if (range->start == 0 && skip == 0)
		skip = align; // address 0 is not given out
	if (skip > room || bytes > room - skip)
		return 0;
	return range->start + skip + (high ? (room - skip - bytes) / align * align : 0);
}

static pa_t allocate(struct memblock *mb, uint64_t bytes, uint64_t align, bool high)
{
	uint64_t cursor = 0, found = 0, place;
	struct memblock_range range;
	struct memblock_list kept = mb->reserved;
	if (__builtin_popcountll(align) != 1)
		port_panic("memblock: an alignment must be a power of two", (uintptr_t)align);
	while (bytes && memblock_next_free(mb, &cursor, &range)) {
		place = place_in(&range, bytes, align, high);
		if (!place)
			continue;
		if (!insert(&mb->reserved, place, bytes))
			continue;
		found = place;
		if (!high)
			break;
		mb->reserved = kept; // perhaps there is a higher one
	}
	if (high && found && !insert(&mb->reserved, found, bytes))
		found = 0;
	return PA(found);
}

pa_t memblock_alloc(struct memblock *mb, uint64_t bytes, uint64_t align)
{
	return allocate(mb, bytes, align, false);
}

pa_t memblock_alloc_high(struct memblock *mb, uint64_t bytes, uint64_t align)
{
	return allocate(mb, bytes, align, true);
}

void memblock_free(struct memblock *mb, pa_t start, uint64_t bytes)
{
	struct ranges left = { 0 };
	uint64_t end = start.raw + bytes;
	bool found = bytes == 0;
	for (unsigned i = 0; i < mb->reserved.count; i++) {
		struct memblock_range range = mb->reserved.range[i];
		bool holds = bytes && range.start <= start.raw && start.raw < range.end && bytes <= range.end - start.raw;
		found |= holds;
		append(&left, range.start, holds ? start.raw : range.end);
		if (holds)
			append(&left, end, range.end);
	}
	if (!found || !store(&mb->reserved, &left))
		port_panic("memblock_free: this was not reserved, or there is no room for the hole", (uintptr_t)start.raw);
}

uint64_t memblock_memory_bytes(const struct memblock *mb)
{
	uint64_t bytes = 0;
	for (unsigned i = 0; i < mb->memory.count; i++)
		bytes += mb->memory.range[i].end - mb->memory.range[i].start;
	return bytes;
}

uint64_t memblock_free_bytes(const struct memblock *mb)
{
	uint64_t cursor = 0, bytes = 0;
	struct memblock_range free;
	for (; memblock_next_free(mb, &cursor, &free); bytes += free.end - free.start)
		;
	return bytes;
}

struct verdict memblock_check(const struct memblock *mb)
{
	for (unsigned which = 0; which < 2; which++) {
		const struct memblock_list *list = which ? &mb->reserved : &mb->memory;
		HOLDS("B1", list->count <= MEMBLOCK_RANGES, list);
		for (unsigned i = 0; i < list->count; i++) {
			HOLDS("B2", list->range[i].start < list->range[i].end, &list->range[i]);
			HOLDS("B3", i == 0 || list->range[i - 1].end < list->range[i].start, &list->range[i]);
		}
	}
	return ALL_HOLD;
}
