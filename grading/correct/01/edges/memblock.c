// memblock.c: the boot allocator by edges: only at the start or end of a range can it change whether memory is free.
//
//     memory     |           |      |       |         an address is free when it is in a range of memory and in no reservation;
//     reserved     |   |        |              |      from an edge on nothing changes up to the next edge
//
// insert takes all ranges that it meets out of the list, one by one, and puts what has become of them back.
//
// Cost: O(edges x edges) for a free range. Weakness: the same.
#include "memblock.h"

static void remove_range(struct memblock_list *list, unsigned i)
{
	for (list->count--; i < list->count; i++)
		list->range[i] = list->range[i + 1];
}

static void put_range(struct memblock_list *list, struct memblock_range range)
{
	unsigned i = list->count++;
	for (; i > 0 && list->range[i - 1].start > range.start; i--)
		list->range[i] = list->range[i - 1];
	list->range[i] = range;
}

static bool insert(struct memblock_list *list, uint64_t start, uint64_t bytes)
{
	struct memblock_range range = { start, start + bytes };
	bool met = false;
	if (bytes == 0)
		return true;
	if (UINT64_MAX - start < bytes)
		return false;
	for (unsigned i = list->count; i-- > 0;) {
		struct memblock_range old = list->range[i];
		if (old.start > range.end || old.end < range.start)
			continue;
		range.start = old.start < range.start ? old.start : range.start;
		range.end = old.end > range.end ? old.end : range.end;
		remove_range(list, i);
		met = true;
	}
	if (!met && list->count == MEMBLOCK_RANGES)
		return false;
	put_range(list, range);
	return true;
}

bool memblock_add(struct memblock *mb, pa_t start, uint64_t bytes)
{
	return insert(&mb->memory, start.raw, bytes);
}

bool memblock_reserve(struct memblock *mb, pa_t start, uint64_t bytes)
{
	return insert(&mb->reserved, start.raw, bytes);
}

static bool has(const struct memblock_list *list, uint64_t address)
{
	for (unsigned i = 0; i < list->count; i++)
		if (list->range[i].start <= address && address < list->range[i].end)
			return true;
	return false;
}

static bool is_free(const struct memblock *mb, uint64_t address)
{
	return has(&mb->memory, address) && !has(&mb->reserved, address);
}

static void nearest(const struct memblock_list *list, uint64_t after, uint64_t *edge)
{
	for (unsigned i = 0; i < list->count; i++) {
		if (list->range[i].start > after && list->range[i].start < *edge)
			*edge = list->range[i].start;
		if (list->range[i].end > after && list->range[i].end < *edge)
			*edge = list->range[i].end;
	}
}

// The next edge; the last address, which is never free, when there is none.
static uint64_t next_edge(const struct memblock *mb, uint64_t after)
{
	uint64_t edge = UINT64_MAX;
	nearest(&mb->memory, after, &edge);
	nearest(&mb->reserved, after, &edge);
	return edge;
}

bool memblock_next_free(const struct memblock *mb, uint64_t *cursor, struct memblock_range *out)
{
	uint64_t at = *cursor;
	while (!is_free(mb, at)) {
		if (at == UINT64_MAX)
			return false;
		at = next_edge(mb, at);
	}
	out->start = at;
	while (is_free(mb, at))
		at = next_edge(mb, at);
	out->end = *cursor = at;
	return true;
}

// The nth free range counted from above; false: there are fewer.
static bool free_from_above(const struct memblock *mb, unsigned n, struct memblock_range *out)
{
	unsigned count = 0;
	struct memblock_range range;
	for (uint64_t cursor = 0; memblock_next_free(mb, &cursor, &range);)
		count++;
	if (n >= count)
		return false;
	for (uint64_t cursor = 0; n < count && memblock_next_free(mb, &cursor, out);)
		count--;
	return true;
}

static void require_power(uint64_t align)
{
	if (align == 0 || align & (align - 1))
		port_panic("memblock: the alignment is no power of two", (uintptr_t)align);
}

pa_t memblock_alloc(struct memblock *mb, uint64_t bytes, uint64_t align)
{
	struct memblock_range range;
	require_power(align);
	for (uint64_t cursor = 1; bytes && memblock_next_free(mb, &cursor, &range);) {
		uint64_t up = (0 - range.start) & (align - 1); // bytes to the next multiple
		uint64_t room = range.end - range.start;
		if (up < room && room - up >= bytes && insert(&mb->reserved, range.start + up, bytes))
			return PA(range.start + up);
	}
	return PA_NONE;
}

pa_t memblock_alloc_high(struct memblock *mb, uint64_t bytes, uint64_t align)
{
	struct memblock_range range;
	require_power(align);
	for (unsigned n = 0; bytes && free_from_above(mb, n, &range); n++) {
		if (bytes > range.end - range.start)
			continue;
		uint64_t start = (range.end - bytes) & ~(align - 1);
		if (start && start >= range.start && insert(&mb->reserved, start, bytes))
			return PA(start);
	}
	return PA_NONE;
}

void memblock_free(struct memblock *mb, pa_t start, uint64_t bytes)
{
	struct memblock_list *list = &mb->reserved;
	unsigned i = 0;
	if (bytes == 0)
		return;
	while (i < list->count && !(list->range[i].start <= start.raw && start.raw < list->range[i].end))
		i++;
	if (i == list->count || list->range[i].end - start.raw < bytes)
		port_panic("memblock_free: not all of it is reserved", (uintptr_t)start.raw);
	struct memblock_range below = { list->range[i].start, start.raw }, above = { start.raw + bytes, list->range[i].end };
	bool two = below.start < below.end && above.start < above.end;
	if (two && list->count == MEMBLOCK_RANGES)
		port_panic("memblock_free: no room to tear a range in two", (uintptr_t)start.raw);
	remove_range(list, i);
	if (below.start < below.end)
		put_range(list, below);
	if (above.start < above.end)
		put_range(list, above);
}

uint64_t memblock_memory_bytes(const struct memblock *mb)
{
	uint64_t bytes = 0;
	for (unsigned i = mb->memory.count; i-- > 0;)
		bytes += mb->memory.range[i].end - mb->memory.range[i].start;
	return bytes;
}

uint64_t memblock_free_bytes(const struct memblock *mb)
{
	uint64_t bytes = 0;
	for (uint64_t at = 0, next; at != UINT64_MAX; at = next) {
		next = next_edge(mb, at);
		bytes += is_free(mb, at) ? next - at : 0;
	}
	return bytes;
}

struct verdict memblock_check(const struct memblock *mb)
{
	HOLDS("B1", mb->memory.count <= MEMBLOCK_RANGES && mb->reserved.count <= MEMBLOCK_RANGES, mb);
	return ALL_HOLD;
}
