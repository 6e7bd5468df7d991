// buddy.c: the buddy system as a heap: blocks of 32 bytes times a power of two, halved on demand and joined with their other halves.
//
//    first[3]  ──► +-------------------------------+          a region, 256 bytes of it
//                  |               3               |
//    alloc(40)     +-------+-------+---------------+
//                  | 1 used| 1 free|    2 free     |          buddies differ in one bit of their offset in the region
//                  +-------+-------+---------------+
//
// The first byte of a block's buddy is always the first byte of some block, so its head can be read to see whether all of it is free.
//
//    Y1  regions have the bytes that the total says     Y2  blocks fill each region without a gap, each aligned in it to its size
//    Y3  a cookie says used or free                     Y4  no two buddies of one order are free
//    Y5  each list has free blocks of its order only    Y6  every free block in memory is in a list
//    Y7  a bit is set exactly where a list has a block
//
// Cost: at most a split or a join for each order, and a look at the few regions.
// Weakness: what is asked for is rounded up to a power of two: a quarter is lost on average, half at worst.
// Sources: Knowlton, "A fast storage allocator", CACM 8(10), 1965; Knuth, The Art of Computer Programming 1, section 2.5, algorithms R, S.
#include "buddy.h"

#define PAGE     ((size_t)4096)
#define GROW_MIN ((size_t)64 << 10)
#define HEAD     sizeof(struct buddy_head)
#define MOST     ((size_t)1 << 32) // bytes of a block: an offset has 32 bits

static struct buddy_head *head_of(const void *payload)
{
	return (struct buddy_head *)(uintptr_t)payload - 1;
}

static bool is(const struct buddy_head *head, enum buddy_state state)
{
	return head->cookie == buddy_cookie(head, state);
}

static uintptr_t start_of(const struct buddy_region *region)
{
	return (uintptr_t)(region + 1);
}

static struct buddy_region *region_of(const struct buddy_heap *heap, uintptr_t address)
{
	struct buddy_region *region = heap->regions;

	while (region && address - start_of(region) >= region->bytes)
		region = region->next;
	return region;
}

// ---- lists

static void insert(struct buddy_heap *heap, uintptr_t start, unsigned order)
{
	struct buddy_block *block = (struct buddy_block *)start, **first = &heap->first[order];

	block->head = (struct buddy_head){ order, HEAD, buddy_cookie(&block->head, BUDDY_FREE) };
	block->next = *first;
	block->link = first;
	if (*first)
		(*first)->link = &block->next;
	*first = block;
	heap->orders |= (uint64_t)1 << order;
}

static void take_out(struct buddy_heap *heap, struct buddy_block *block)
{
	unsigned order = block->head.order;

	*block->link = block->next;
	if (block->next)
		block->next->link = block->link;
	if (!heap->first[order])
		heap->orders &= ~((uint64_t)1 << order);
}

// ---- halves

// A block of exactly that order, out of its list; NULL: there is none that large.
static struct buddy_block *take(struct buddy_heap *heap, unsigned order)
{
	uint64_t fit = heap->orders & ~(uint64_t)0 << order;

	if (!fit)
		return NULL;
	unsigned found = (unsigned)lowest_bit(fit);
	struct buddy_block *block = heap->first[found];
	take_out(heap, block);
	while (found > order) {
		found--;
		insert(heap, (uintptr_t)block + BUDDY_BYTES(found), found);
	}
	return block;
}

// The other half of the block one order larger, when all of it is free; NULL, when it is not or lies beyond the region.
static struct buddy_block *free_buddy(const struct buddy_region *region, uintptr_t start, unsigned order)
{
	size_t offset = (start - start_of(region)) ^ BUDDY_BYTES(order);
	struct buddy_block *buddy = (struct buddy_block *)(start_of(region) + offset);

	if (offset + BUDDY_BYTES(order) > region->bytes || !is(&buddy->head, BUDDY_FREE) || buddy->head.order != order)
		return NULL;
	return buddy;
}

static void give(struct buddy_heap *heap, const struct buddy_region *region, uintptr_t start, unsigned order)
{
	struct buddy_block *other;

	while (order + 1 < BUDDY_ORDERS && (other = free_buddy(region, start, order))) {
		take_out(heap, other);
		start = (uintptr_t)other < start ? (uintptr_t)other : start;
		order++;
	}
	insert(heap, start, order);
}

// ---- regions

// Cuts the memory after the region's header into the largest blocks that are aligned in it.
static void add_region(struct buddy_heap *heap, void *memory, size_t bytes, bool reserved)
{
	struct buddy_region *region = memory;

	*region = (struct buddy_region){ heap->regions, (bytes - sizeof *region) & ~(BUDDY_BYTES(0) - 1), reserved };
	heap->regions = region;
	heap->total += region->bytes;
	for (size_t at = 0; at < region->bytes;) {
		unsigned order = 0;

		while (order + 1 < BUDDY_ORDERS && at % BUDDY_BYTES(order + 1) == 0 && at + BUDDY_BYTES(order + 1) <= region->bytes)
			order++;
		insert(heap, start_of(region) + at, order);
		at += BUDDY_BYTES(order);
	}
}

// A region with a block of that order in it; the larger the heap the larger, so that there are few.
static bool grow(struct buddy_heap *heap, unsigned order)
{
	size_t least = BUDDY_BYTES(order) + PAGE, want = heap->total / 2 & ~(PAGE - 1);

	least = (least + PAGE - 1) & ~(PAGE - 1);
	want = want < GROW_MIN ? GROW_MIN : want;
	want = want < least ? least : want;
	void *memory;
	while (!(memory = port_reserve(want)) && want > least)
		want = want / 2 < least ? least : want / 2 & ~(PAGE - 1);
	if (memory)
		add_region(heap, memory, want, true);
	return memory;
}

static bool is_empty(const struct buddy_region *region)
{
	const struct buddy_head *head;

	for (uintptr_t at = start_of(region); at < start_of(region) + region->bytes; at += BUDDY_BYTES(head->order)) {
		head = (const struct buddy_head *)at;
		if (!is(head, BUDDY_FREE))
			return false;
	}
	return true;
}

static void buddy_trim(struct heap *base)
{
	struct buddy_heap *heap = (struct buddy_heap *)base;

	for (struct buddy_region **link = &heap->regions; *link;) {
		struct buddy_region *region = *link;

		if (!region->reserved || !is_empty(region)) {
			link = &region->next;
			continue;
		}
		for (size_t at = 0; at < region->bytes;) {
			struct buddy_block *block = (struct buddy_block *)(start_of(region) + at);

			at += BUDDY_BYTES(block->head.order);
			take_out(heap, block);
		}
		*link = region->next;
		heap->total -= region->bytes;
		port_release(region, (sizeof *region + region->bytes + PAGE - 1) & ~(PAGE - 1));
	}
}

// ---- operations

static struct heap *buddy_create(void *arena, size_t bytes)
{
	struct buddy_heap *heap = arena;
	size_t own = (sizeof *heap + HEAP_ALIGN - 1) & ~(size_t)(HEAP_ALIGN - 1);

	if ((uintptr_t)arena % HEAP_ALIGN || bytes < own + sizeof(struct buddy_region) + BUDDY_BYTES(0))
		return NULL;
	__builtin_memset(heap, 0, sizeof *heap);
	add_region(heap, (char *)arena + own, bytes - own, false);
	return &heap->heap;
}

// The order of blocks of so many bytes.
static unsigned order_for(size_t bytes)
{
	return bytes <= BUDDY_BYTES(0) ? 0 : 64 - 5 - (unsigned)__builtin_clzll((unsigned long long)bytes - 1);
}

static void *buddy_alloc(struct heap *base, size_t bytes, size_t align)
{
	struct buddy_heap *heap = (struct buddy_heap *)base;

	if (bytes > MOST / 2 || align > MOST / 2) // a head before the block, or as much as it takes to align it
		return NULL;
	unsigned order = order_for(bytes + align);
	struct buddy_block *block = take(heap, order);
	if (!block && grow(heap, order))
		block = take(heap, order);
	if (!block)
		return NULL;
	uintptr_t payload = ((uintptr_t)block + HEAD + align - 1) & ~(align - 1);
	struct buddy_head *head = head_of((void *)payload);
	block->head = (struct buddy_head){ order, (uint32_t)(payload - (uintptr_t)block), buddy_cookie(&block->head, BUDDY_USED) };
	*head = (struct buddy_head){ order, block->head.offset, buddy_cookie(head, BUDDY_USED) };
	return (void *)payload;
}

static void buddy_free(struct heap *base, void *payload)
{
	struct buddy_heap *heap = (struct buddy_heap *)base;
	struct buddy_head *head = head_of(payload);

	if ((uintptr_t)payload % HEAP_ALIGN)
		port_panic("buddy: misaligned pointer", (uintptr_t)payload);
	const struct buddy_region *region = region_of(heap, (uintptr_t)head);
	if (!region)
		port_panic("buddy: foreign pointer", (uintptr_t)payload);
	if (is(head, BUDDY_FREE))
		port_panic("buddy: double free", (uintptr_t)payload);
	if (!is(head, BUDDY_USED))
		port_panic("buddy: foreign pointer, not the start of a block", (uintptr_t)payload);
	head->cookie = buddy_cookie(head, BUDDY_FREE);
	give(heap, region, (uintptr_t)payload - head->offset, head->order);
}

static size_t buddy_usable(const struct heap *heap, const void *payload)
{
	(void)heap;
	return BUDDY_BYTES(head_of(payload)->order) - head_of(payload)->offset;
}

// ---- check

static struct verdict check_region(const struct buddy_region *region, size_t *free)
{
	for (size_t at = 0; at < region->bytes;) {
		const struct buddy_head *head = (const struct buddy_head *)(start_of(region) + at);

		HOLDS("Y2", head->order < BUDDY_ORDERS && at % BUDDY_BYTES(head->order) == 0, head);
		HOLDS("Y2", BUDDY_BYTES(head->order) <= region->bytes - at, head);
		HOLDS("Y3", is(head, BUDDY_FREE) || is(head, BUDDY_USED), head);
		if (is(head, BUDDY_FREE)) {
			HOLDS("Y4", !free_buddy(region, start_of(region) + at, head->order), head);
			(*free)++;
		}
		at += BUDDY_BYTES(head->order);
	}
	return ALL_HOLD;
}

static struct verdict check_list(const struct buddy_heap *heap, unsigned order, size_t *left)
{
	struct buddy_block *const *link = &heap->first[order];

	HOLDS("Y7", (heap->orders >> order & 1) == (*link != NULL), link);
	for (const struct buddy_block *block = *link; block; link = &block->next, block = block->next) {
		HOLDS("Y5", (uintptr_t)block % HEAP_ALIGN == 0 && region_of(heap, (uintptr_t)block), block);
		HOLDS("Y5", is(&block->head, BUDDY_FREE) && block->head.order == order && block->link == link, block);
		HOLDS("Y6", (*left)-- > 0, block);
	}
	return ALL_HOLD;
}

static struct verdict buddy_check(const struct heap *base)
{
	const struct buddy_heap *heap = (const struct buddy_heap *)base;
	struct verdict verdict = ALL_HOLD;
	size_t total = 0, free = 0;

	for (const struct buddy_region *region = heap->regions; region && !verdict.broken; region = region->next) {
		total += region->bytes;
		HOLDS("Y1", region->bytes > 0 && total <= heap->total, region); // so that a ring ends, too
		verdict = check_region(region, &free);
	}
	if (verdict.broken)
		return verdict;
	HOLDS("Y1", total == heap->total, heap);
	for (unsigned order = 0; order < BUDDY_ORDERS && !verdict.broken; order++)
		verdict = check_list(heap, order, &free);
	if (verdict.broken)
		return verdict;
	HOLDS("Y6", free == 0, heap);
	return ALL_HOLD;
}

static void buddy_walk(const struct heap *base, heap_visitor *visit, void *context)
{
	const struct buddy_head *head;

	for (const struct buddy_region *region = ((const struct buddy_heap *)base)->regions; region; region = region->next)
		for (uintptr_t at = start_of(region); at < start_of(region) + region->bytes; at += BUDDY_BYTES(head->order)) {
			head = (const struct buddy_head *)at;
			if (!visit(context, (char *)at + head->offset, BUDDY_BYTES(head->order) - head->offset, is(head, BUDDY_USED)))
				return;
		}
}

const struct heap_ops heap_buddy = {
	.name = "buddy",
	.create = buddy_create,
	.alloc = buddy_alloc,
	.free = buddy_free,
	.usable = buddy_usable,
	.trim = buddy_trim,
	.check = buddy_check,
	.walk = buddy_walk,
};
