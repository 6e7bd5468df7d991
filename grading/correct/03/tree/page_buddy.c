// page_buddy.c: the buddy system over a binary tree: each node knows which orders of free blocks lie below it.
//
//     node 1            [ orders below: 0, 2      ]        bit k of a node: a free block of order k lies at it or below it
//     nodes 2, 3        [ 0        ] [ 2          ]
//     nodes 4 .. 7      [ 0 ] [    ] [     ][     ]        leaves: single frames, from base on
//
// Cost: the depth of the tree, whatever is free. Weakness: four bytes of state a frame, and as many steps for each call.
#include "page_engine.h"

struct tree {
	uint32_t base;   // the frame of the first leaf
	uint32_t leaves; // a power of two
	uint32_t blocks[PAGE_MAX_ORDER + 1];
	uint16_t below[];
};

static struct tree *tree_of(const struct zone *zone)
{
	return zone->state;
}

static uint32_t leaves_for(uint32_t frames) // wherever the zone starts within a largest block
{
	uint32_t leaves = 1u << PAGE_MAX_ORDER;
	while (leaves < frames + (1u << PAGE_MAX_ORDER))
		leaves *= 2;
	return leaves;
}

static size_t bytes(uint32_t frames)
{
	return (sizeof(struct tree) + 2 * leaves_for(frames) * sizeof(uint16_t) + 7) / 8 * 8;
}

static void create(struct zone *zone)
{
	struct tree *tree = tree_of(zone);
	uint32_t leaves = leaves_for(zone->end - zone->first);
	__builtin_memset(tree, 0, bytes(zone->end - zone->first));
	tree->base = zone->first & ~((1u << PAGE_MAX_ORDER) - 1);
	tree->leaves = leaves;
}

static uint32_t node_at(const struct tree *tree, uint32_t frame, unsigned order)
{
	return (tree->leaves + (frame - tree->base)) >> order;
}

static uint32_t frame_at(const struct tree *tree, uint32_t node, unsigned order)
{
	return (node << order) - tree->leaves + tree->base;
}

// What stands above the node follows from what stands below.
static void correct_upwards(struct tree *tree, uint32_t node)
{
	for (node /= 2; node > 0; node /= 2)
		tree->below[node] = tree->below[2 * node] | tree->below[2 * node + 1];
}

static void put(struct tree *tree, uint32_t frame, unsigned order)
{
	uint32_t node = node_at(tree, frame, order);
	tree->below[node] = (uint16_t)(1u << order);
	tree->blocks[order]++;
	for (uint32_t i = 1; i < 1u << order; i++)
		use_set(page_at(frame + i), PAGE_FREE_TAIL);
	page_at(frame)->order = (uint8_t)order;
	use_set(page_at(frame), PAGE_FREE);
}

static void remove(struct tree *tree, uint32_t frame, unsigned order)
{
	tree->below[node_at(tree, frame, order)] = 0;
	tree->blocks[order]--;
	use_set(page_at(frame), PAGE_FREE_TAIL);
}

static bool is_free_block(const struct zone *zone, uint32_t frame, unsigned order)
{
	return zone_has(zone, frame) && use_of(page_at(frame)) == PAGE_FREE && page_at(frame)->order == order;
}

static void add(struct zone *zone, uint32_t first, uint32_t count)
{
	struct tree *tree = tree_of(zone);
	while (count > 0) {
		unsigned order = first == 0 ? PAGE_MAX_ORDER : (unsigned)__builtin_ctz(first);
		if (order > PAGE_MAX_ORDER)
			order = PAGE_MAX_ORDER;
		while (1u << order > count)
			order--;
		put(tree, first, order);
		correct_upwards(tree, node_at(tree, first, order));
		first += 1u << order;
		count -= 1u << order;
	}
}

static uint32_t take_exactly(struct tree *tree, unsigned order) // there is such a block
{
	uint32_t node = 1;
	while (node < tree->leaves >> order)
		node = 2 * node + ((tree->below[2 * node] >> order & 1) == 0);
	uint32_t frame = frame_at(tree, node, order);
	remove(tree, frame, order);
	return frame;
}

static uint32_t take(struct zone *zone, unsigned order)
{
	struct tree *tree = tree_of(zone);
	unsigned orders = (unsigned)tree->below[1] >> order << order;
	if (orders == 0)
		return FRAME_NONE;
	unsigned found = (unsigned)__builtin_ctz(orders);
	uint32_t frame = take_exactly(tree, found);
	while (found > order) {
		found--;
		put(tree, frame, found); // the lower half stays, the upper one is halved on
		frame += 1u << found;
	}
	tree->below[node_at(tree, frame, order)] = 0;
	correct_upwards(tree, node_at(tree, frame, order));
	return frame;
}

static uint32_t take_any(struct zone *zone, unsigned *order)
{
	unsigned small = tree_of(zone)->below[1] & ((2u << *order) - 1);
	if (small)
		*order = 31 - (unsigned)__builtin_clz(small); // the largest of them
	return take(zone, *order);
}

static void give(struct zone *zone, uint32_t frame, unsigned order)
{
	struct tree *tree = tree_of(zone);
	while (order < PAGE_MAX_ORDER && is_free_block(zone, frame ^ 1u << order, order)) {
		remove(tree, frame ^ 1u << order, order);
		tree->below[node_at(tree, frame, order)] = 0;
		frame &= ~(1u << order);
		order++;
	}
	put(tree, frame, order);
	correct_upwards(tree, node_at(tree, frame, order));
}

static void count(const struct zone *zone, size_t blocks[PAGE_MAX_ORDER + 1])
{
	for (unsigned order = 0; order <= PAGE_MAX_ORDER; order++)
		blocks[order] = tree_of(zone)->blocks[order];
}

static struct verdict check(const struct zone *zone)
{
	(void)zone;
	return ALL_HOLD;
}

const struct page_engine page_buddy = { "buddy", bytes, create, add, take, take_any, give, count, check };
