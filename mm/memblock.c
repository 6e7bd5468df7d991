// memblock.c: memory before there is a memory manager: what the machine has, minus what is in use, is free.
//
//     memory     [##############################]        [#####################]     from the device tree
//     reserved   [fw][kernel]         [dtb]                  [initrd]                 firmware, image, tree, our own
//     free                  [.........]    [....]        [...]        [........]     computed, never stored
//                            low end: memblock_alloc ->            <- memblock_alloc_high: what stays, such as page's records
//
// The chicken-and-egg problem: the page allocator needs a table for its records before it can hand out memory for a table. So the
// first allocator keeps its records in fixed arrays, finds a place by looking at every gap, and ends when `page` takes the rest over.
//
// Invariants, of each of the two lists
//   B1  it has at most MEMBLOCK_RANGES ranges
//   B2  no range is empty, and none wraps around the end of the address space
//   B3  ranges rise and are disjoint
//   B4  ranges that touch are one
//
// Cost: O(ranges) to add, reserve or free; O(free ranges x all ranges) to allocate. Nothing here is called after boot.
// Weakness: a fixed number of ranges; memory below a reservation that is too small for anything stays unused until page_init.
// Source: the idea and the name are Linux's (mm/memblock.c, "memblock is a method of managing memory regions during the early boot").
#include "memblock.h"

// ---- one list

static struct memblock_range *range_at(struct memblock_list *list, unsigned i)
{
	return &list->range[i];
}

// Lab 1.1: the first range that ends at or after `address`: the first that a range starting there overlaps or touches.
static unsigned first_reaching(const struct memblock_list *list, uint64_t address)
{
	unsigned i = 0;
	while (i < list->count && list->range[i].end < address)
		i++;
	return i;
}

// Replaces ranges [first, last) of the list by `count` others; false when there is no room, and nothing is changed then.
static bool replace(struct memblock_list *list, unsigned first, unsigned last, const struct memblock_range *with, unsigned count)
{
	unsigned total = list->count - (last - first) + count;
	if (total > MEMBLOCK_RANGES)
		return false;
	__builtin_memmove(range_at(list, first + count), range_at(list, last), (list->count - last) * sizeof list->range[0]);
	for (unsigned i = 0; i < count; i++)
		*range_at(list, first + i) = with[i];
	list->count = total;
	return true;
}

// Lab 1.1: adds [start, start + bytes) and merges it with all that it overlaps or touches. False: it wraps, or there is no room.
static bool insert(struct memblock_list *list, uint64_t start, uint64_t bytes)
{
	uint64_t end = start + bytes;
	if (bytes == 0)
		return true;
	if (end < start)
		return false;
	unsigned first = first_reaching(list, start), last = first;
	while (last < list->count && list->range[last].start <= end)
		last++;
	struct memblock_range merged = { start, end };
	if (first < last && list->range[first].start < start)
		merged.start = list->range[first].start;
	if (first < last && list->range[last - 1].end > end)
		merged.end = list->range[last - 1].end;
	return replace(list, first, last, &merged, 1);
}

static struct verdict list_check(const struct memblock_list *list)
{
	HOLDS("B1", list->count <= MEMBLOCK_RANGES, list);
	for (unsigned i = 0; i < list->count; i++) {
		const struct memblock_range *range = &list->range[i];
		HOLDS("B2", range->start < range->end, range);
		HOLDS("B3", i == 0 || range[-1].end <= range->start, range);
		HOLDS("B4", i == 0 || range[-1].end != range->start, range);
	}
	return ALL_HOLD;
}

static uint64_t list_bytes(const struct memblock_list *list)
{
	uint64_t bytes = 0;
	for (unsigned i = 0; i < list->count; i++)
		bytes += list->range[i].end - list->range[i].start;
	return bytes;
}

// ---- the two lists together

bool memblock_add(struct memblock *mb, pa_t start, uint64_t bytes)
{
	return insert(&mb->memory, start.raw, bytes);
}

bool memblock_reserve(struct memblock *mb, pa_t start, uint64_t bytes)
{
	return insert(&mb->reserved, start.raw, bytes);
}

// Lab 1.2: the first free range of `memory` at or above `from`: its start after the reservations that cover it, its end at the next one.
static bool free_within(const struct memblock *mb, const struct memblock_range *memory, uint64_t from, struct memblock_range *out)
{
	const struct memblock_list *reserved = &mb->reserved;
	uint64_t start = memory->start > from ? memory->start : from;
	unsigned i = first_reaching(reserved, start);
	for (; i < reserved->count && reserved->range[i].start <= start; i++)
		if (reserved->range[i].end > start)
			start = reserved->range[i].end;
	if (start >= memory->end)
		return false;
	bool cut = i < reserved->count && reserved->range[i].start < memory->end;
	*out = (struct memblock_range){ start, cut ? reserved->range[i].start : memory->end };
	return true;
}

// Lab 1.2: the first free range of all memory at or above the cursor, which is then moved to its end.
bool memblock_next_free(const struct memblock *mb, uint64_t *cursor, struct memblock_range *out)
{
	for (unsigned i = 0; i < mb->memory.count; i++) {
		if (free_within(mb, &mb->memory.range[i], *cursor, out)) {
			*cursor = out->end;
			return true;
		}
	}
	return false;
}

static void require_power_of_two(uint64_t align)
{
	if (align == 0 || (align & (align - 1)) != 0)
		port_panic("memblock_alloc: the alignment is not a power of two", (uintptr_t)align);
}

// Whether the list of reservations has room for a range: when it is full, what touches one that is there has.
static bool can_reserve(const struct memblock *mb, uint64_t start, uint64_t bytes)
{
	const struct memblock_list *list = &mb->reserved;
	unsigned i = first_reaching(list, start);
	return list->count < MEMBLOCK_RANGES || (i < list->count && list->range[i].start <= start + bytes);
}

// Lab 1.3: tries each free range from its low end.
pa_t memblock_alloc(struct memblock *mb, uint64_t bytes, uint64_t align)
{
	uint64_t cursor = 1; // address 0 means "none"
	struct memblock_range free;
	require_power_of_two(align);
	if (bytes == 0)
		return PA_NONE;
	while (memblock_next_free(mb, &cursor, &free)) {
		uint64_t start = round_up(free.start, align);
		bool fits = start >= free.start && start < free.end && bytes <= free.end - start;
		if (fits && insert(&mb->reserved, start, bytes))
			return PA(start);
	}
	return PA_NONE;
}

// Lab 1.4: the same from the high ends; ranges come in rising order, so the last that will do is the highest.
pa_t memblock_alloc_high(struct memblock *mb, uint64_t bytes, uint64_t align)
{
	uint64_t cursor = 1, best = 0;
	struct memblock_range free;
	require_power_of_two(align);
	if (bytes == 0)
		return PA_NONE;
	while (memblock_next_free(mb, &cursor, &free)) {
		uint64_t start = bytes <= free.end - free.start ? round_down(free.end - bytes, align) : 0;
		if (start >= free.start && can_reserve(mb, start, bytes))
			best = start;
	}
	return best && insert(&mb->reserved, best, bytes) ? PA(best) : PA_NONE;
}

// Lab 1.5: the reservation that holds the range is cut down to what lies before and behind it.
void memblock_free(struct memblock *mb, pa_t start, uint64_t bytes)
{
	struct memblock_list *list = &mb->reserved;
	uint64_t end = start.raw + bytes;
	if (bytes == 0)
		return;
	unsigned i = first_reaching(list, start.raw);
	if (end < start.raw || i == list->count || list->range[i].start > start.raw || list->range[i].end < end)
		port_panic("memblock_free: the range is not reserved", (uintptr_t)start.raw);
	struct memblock_range left[2];
	unsigned count = 0;
	if (list->range[i].start < start.raw)
		left[count++] = (struct memblock_range){ list->range[i].start, start.raw };
	if (end < list->range[i].end)
		left[count++] = (struct memblock_range){ end, list->range[i].end };
	if (!replace(list, i, i + 1, left, count))
		port_panic("memblock_free: a hole needs one range more than there is room for", (uintptr_t)start.raw);
}

uint64_t memblock_memory_bytes(const struct memblock *mb)
{
	return list_bytes(&mb->memory);
}

uint64_t memblock_free_bytes(const struct memblock *mb)
{
	uint64_t cursor = 0, bytes = 0;
	struct memblock_range free;
	while (memblock_next_free(mb, &cursor, &free))
		bytes += free.end - free.start;
	return bytes;
}

struct verdict memblock_check(const struct memblock *mb)
{
	struct verdict verdict = list_check(&mb->memory);
	return verdict.broken ? verdict : list_check(&mb->reserved);
}
