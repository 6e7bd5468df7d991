// bump.c: the bump heap with its records at the other end: blocks climb from the bottom of a region, records of them hang from its top.
//
//    region ─► older region ─► … ─► the arena
//    | block | block |   | block |            room            | record 2 | record 1 | record 0 |
//                                ^next                        ^records
//
// A record has a block's start, its length and whether it lives. Blocks rise, so a block's record is found by halving. A user who writes
// beyond a block's end hits the next block, never a record.
//
// Cost: constant to allocate, O(log blocks) to free. Weakness: a record of 24 bytes a block; room for it must be kept.
#include "heap.h"

struct record {
	uintptr_t start;
	size_t bytes;
	size_t live;
};

struct region {
	_Alignas(HEAP_ALIGN) struct region *older;
	uintptr_t end, next;
	size_t count; // records: record n ends n * sizeof(struct record) below `end`
};

struct store {
	struct heap heap;
	struct region *newest;
	size_t live;
	struct region first;
};

static struct record *record_at(const struct region *region, size_t n)
{
	return (struct record *)region->end - 1 - n;
}

static uintptr_t bottom(const struct region *region)
{
	return (uintptr_t)(region + 1);
}

static uintptr_t top(const struct region *region) // of what blocks may use when there is one record more
{
	uintptr_t records = (uintptr_t)record_at(region, region->count);
	return records > region->end ? 0 : records & ~(uintptr_t)(HEAP_ALIGN - 1);
}

static void *take(struct region *region, size_t bytes, size_t align)
{
	uintptr_t start = (region->next + align - 1) / align * align;
	if (start < region->next || start > top(region) || bytes > top(region) - start)
		return NULL;
	*record_at(region, region->count++) = (struct record){ start, bytes, 1 };
	region->next = start + bytes;
	return (void *)start;
}

static bool grow(struct store *store, size_t bytes)
{
	size_t size = (bytes + sizeof(struct region) + sizeof(struct record) + 2 * HEAP_ALIGN + 65535) / 65536 * 65536;
	struct region *region = port_reserve(size);
	if (!region)
		return false;
	*region = (struct region){ .older = store->newest, .end = (uintptr_t)region + size, .next = bottom(region) };
	store->newest = region;
	return true;
}

static struct heap *create(void *arena, size_t bytes)
{
	struct store *store = arena;
	if (bytes < sizeof *store + 2 * sizeof(struct record) || (uintptr_t)arena % HEAP_ALIGN)
		return NULL;
	*store = (struct store){ .newest = &store->first };
	store->first.end = ((uintptr_t)arena + bytes) & ~(uintptr_t)7;
	store->first.next = bottom(&store->first);
	return &store->heap;
}

static void *alloc(struct heap *heap, size_t bytes, size_t align)
{
	struct store *store = (struct store *)heap;
	if (bytes > SIZE_MAX / 4 || align > SIZE_MAX / 4)
		return NULL;
	bytes = (bytes + HEAP_ALIGN - 1) / HEAP_ALIGN * HEAP_ALIGN;
	void *block = take(store->newest, bytes, align);
	if (!block && grow(store, bytes + align))
		block = take(store->newest, bytes, align);
	if (block)
		store->live++;
	return block;
}

// The record of the block that starts here, or NULL.
static struct record *find(const struct region *region, uintptr_t start)
{
	size_t low = 0, high = region->count;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (record_at(region, middle)->start == start)
			return record_at(region, middle);
		if (record_at(region, middle)->start < start)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static void forget_all(struct store *store)
{
	while (store->newest != &store->first) {
		struct region *region = store->newest;
		store->newest = region->older;
		port_release(region, region->end - (uintptr_t)region);
	}
	store->first.next = bottom(&store->first);
	store->first.count = 0;
}

static void release(struct heap *heap, void *block)
{
	struct store *store = (struct store *)heap;
	struct region *region = store->newest;
	struct record *record = NULL;
	for (; region && !record; region = record ? region : region->older)
		record = find(region, (uintptr_t)block);
	if (!record)
		port_panic("bump: no block starts here", (uintptr_t)block);
	if (!record->live)
		port_panic("bump: the block is free already", (uintptr_t)block);
	record->live = 0;
	while (region->count > 0 && !record_at(region, region->count - 1)->live)
		region->count--;
	region->next = bottom(region);
	if (region->count > 0)
		region->next = record_at(region, region->count - 1)->start + record_at(region, region->count - 1)->bytes;
	if (--store->live == 0)
		forget_all(store);
}

static struct record *record_of(const struct heap *heap, const void *block)
{
	const struct region *region = ((const struct store *)heap)->newest;
	struct record *record = NULL;
	for (; region && !record; region = region->older)
		record = find(region, (uintptr_t)block);
	return record;
}

static size_t usable(const struct heap *heap, const void *block)
{
	return record_of(heap, block)->bytes;
}

static bool resize(struct heap *heap, void *block, size_t bytes)
{
	struct region *region = ((struct store *)heap)->newest;
	struct record *record = record_of(heap, block);
	if (record->bytes >= bytes && record != record_at(region, region->count - 1))
		return true; // it shrinks, and keeps what it has
	if (record != record_at(region, region->count - 1) || bytes > SIZE_MAX / 4)
		return false;
	bytes = (bytes + HEAP_ALIGN - 1) / HEAP_ALIGN * HEAP_ALIGN;
	uintptr_t limit = (uintptr_t)record & ~(uintptr_t)(HEAP_ALIGN - 1);
	if (bytes > limit - (uintptr_t)block)
		return false;
	record->bytes = bytes;
	region->next = (uintptr_t)block + bytes;
	return true;
}

static struct verdict check(const struct heap *heap)
{
	const struct store *store = (const struct store *)heap;
	size_t live = 0;
	for (const struct region *region = store->newest; region; region = region->older)
		for (size_t n = 0; n < region->count; n++) {
			HOLDS("B1", n == 0 || record_at(region, n - 1)->start < record_at(region, n)->start, record_at(region, n));
			live += record_at(region, n)->live;
		}
	HOLDS("B5", live == store->live, store);
	return ALL_HOLD;
}

static void walk(const struct heap *heap, heap_visitor *visit, void *context)
{
	for (const struct region *region = ((const struct store *)heap)->newest; region; region = region->older)
		for (size_t n = 0; n < region->count; n++) {
			const struct record *record = record_at(region, n);
			if (!visit(context, (void *)record->start, record->bytes, record->live))
				return;
		}
}

const struct heap_ops heap_bump = {
	.name = "bump",
	.create = create,
	.alloc = alloc,
	.free = release,
	.usable = usable,
	.resize = resize,
	.check = check,
	.walk = walk,
};
