// freelist.c: the four policies over a tree of holes in address order, each node knowing the longest hole below it.
//
//                 [hole, most 900]                   first fit goes left wherever `most` is enough: no search in vain
//               /                  \                 a node's place in the tree comes from a hash of its address (a treap)
//     [hole, most 100]        [hole, most 900]
//
// Another right solution of lab 05: no list, no rover; pieces that touch are not joined.
// Sources: Stephenson, "Fast fits: new methods for dynamic storage allocation", 1983; Aragon and Seidel, "Randomized search trees", 1989.
#include "freelist.h"

#define PAGE     ((size_t)4096)
#define GROW_MIN ((size_t)64 << 10)

// ---- the tree

static uint32_t rank(const struct hole *hole)
{
	return (uint32_t)((uintptr_t)hole >> 4) * 0x9e3779b1u;
}

static size_t most(const struct hole *hole)
{
	return hole ? hole->most : 0;
}

static struct hole *update(struct hole *hole)
{
	size_t lower = most(hole->left), upper = most(hole->right), larger = lower > upper ? lower : upper;

	hole->most = hole->block.word > larger ? hole->block.word : larger;
	return hole;
}

static struct hole *join(struct hole *lower, struct hole *upper)
{
	if (!lower || !upper)
		return lower ? lower : upper;
	if (rank(lower) > rank(upper)) {
		lower->right = join(lower->right, upper);
		return update(lower);
	}
	upper->left = join(lower, upper->left);
	return update(upper);
}

static void part(struct hole *hole, uintptr_t address, struct hole **lower, struct hole **upper) // below the address, and the others
{
	if (!hole) {
		*lower = *upper = NULL;
	} else if ((uintptr_t)hole < address) {
		part(hole->right, address, &hole->right, upper);
		*lower = update(hole);
	} else {
		part(hole->left, address, lower, &hole->left);
		*upper = update(hole);
	}
}

static void add(struct freelist *list, struct hole *hole, size_t bytes)
{
	struct hole *lower, *upper;

	*hole = (struct hole){ .block = { .word = bytes }, .most = bytes };
	part(list->root, (uintptr_t)hole, &lower, &upper);
	list->root = join(join(lower, hole), upper);
}

static void drop(struct freelist *list, struct hole *hole)
{
	struct hole *lower, *upper, *self;

	part(list->root, (uintptr_t)hole, &lower, &upper);
	part(upper, (uintptr_t)hole + 1, &self, &upper);
	list->root = join(lower, upper);
}

static struct hole *below(const struct freelist *list, uintptr_t address) // the highest hole that starts below
{
	struct hole *found = NULL;

	for (struct hole *hole = list->root; hole;) {
		if ((uintptr_t)hole < address) {
			found = hole;
			hole = hole->right;
		} else {
			hole = hole->left;
		}
	}
	return found;
}

static struct hole *at(const struct freelist *list, uintptr_t address) // the hole that starts here
{
	struct hole *hole = below(list, address + 1);

	return (uintptr_t)hole == address ? hole : NULL;
}

// ---- choosing

static size_t front_for(const struct hole *hole, size_t align)
{
	size_t front = -((uintptr_t)hole + sizeof(struct block)) & (align - 1);

	while (front > 0 && front < HOLE_MIN)
		front += align;
	return front;
}

static bool fits(const struct hole *hole, size_t need, size_t align)
{
	size_t front = front_for(hole, align);

	return front < hole->block.word && need <= hole->block.word - front;
}

static struct hole *lowest(struct hole *hole, uintptr_t from, size_t need, size_t align)
{
	struct hole *found = NULL;

	if (most(hole) < need)
		return NULL;
	if ((uintptr_t)hole > from)
		found = lowest(hole->left, from, need, align);
	if (!found && (uintptr_t)hole >= from && fits(hole, need, align))
		found = hole;
	return found ? found : lowest(hole->right, from, need, align);
}

static struct hole *extreme(struct hole *hole, struct hole *best, bool largest, size_t need, size_t align)
{
	if (most(hole) < need || (largest && best && most(hole) <= best->block.word))
		return best;
	if (fits(hole, need, align) && (!best || (largest ? hole->block.word > best->block.word : hole->block.word < best->block.word)))
		best = hole;
	best = extreme(hole->left, best, largest, need, align);
	return extreme(hole->right, best, largest, need, align);
}

static struct hole *choose(struct freelist *list, size_t need, size_t align)
{
	if (list->policy == BEST_FIT || list->policy == WORST_FIT)
		return extreme(list->root, NULL, list->policy == WORST_FIT, need, align);
	struct hole *found = lowest(list->root, list->policy == NEXT_FIT ? list->place : 0, need, align);
	return found ? found : lowest(list->root, 0, need, align);
}

// ---- blocks

static struct block *block_of(const void *payload)
{
	return (struct block *)(uintptr_t)payload - 1;
}

static size_t length_for(size_t payload)
{
	size_t bytes = (payload + sizeof(struct block) + HEAP_ALIGN - 1) & ~(size_t)(HEAP_ALIGN - 1);

	return payload > SIZE_MAX / 2 ? 0 : bytes < HOLE_MIN ? HOLE_MIN : bytes;
}

static void mark_used(struct block *block, size_t bytes)
{
	block->word = bytes | USED;
	block->cookie = cookie_of(block);
}

static bool is_seam(const struct freelist *list, uintptr_t address)
{
	for (unsigned i = 0; i < list->pieces; i++)
		if (list->piece[i].start == address)
			return true;
	return false;
}

static void give(struct freelist *list, struct block *block, size_t bytes)
{
	struct hole *lower = below(list, (uintptr_t)block), *upper = at(list, (uintptr_t)block + bytes);

	block->word = 0;
	if (upper && !is_seam(list, (uintptr_t)upper)) {
		drop(list, upper);
		bytes += upper->block.word;
	}
	if (lower && end_of(&lower->block) == (uintptr_t)block && !is_seam(list, (uintptr_t)block)) {
		drop(list, lower);
		bytes += lower->block.word;
		block = &lower->block;
	}
	add(list, (struct hole *)block, bytes);
}

static void *carve(struct freelist *list, struct hole *hole, size_t need, size_t align)
{
	size_t front = front_for(hole, align), bytes = hole->block.word - front;
	struct block *block = (struct block *)((uintptr_t)hole + front);

	drop(list, hole);
	if (front > 0)
		add(list, hole, front);
	if (bytes - need >= HOLE_MIN) {
		add(list, (struct hole *)((uintptr_t)block + need), bytes - need);
		bytes = need;
	}
	mark_used(block, bytes);
	list->place = end_of(block);
	return block + 1;
}

// ---- pieces

static void add_piece(struct freelist *list, uintptr_t start, size_t bytes, bool reserved)
{
	list->piece[list->pieces++] = (struct piece){ start, start + bytes, reserved };
	list->total += bytes;
	add(list, (struct hole *)start, bytes);
}

static bool grow(struct freelist *list, size_t need, size_t align)
{
	size_t least = need + (align > HEAP_ALIGN ? align + HOLE_MIN : 0), want = list->total / 8;

	if (least < need || least > SIZE_MAX / 2 || list->pieces == PIECES_MOST)
		return false;
	least = (least + PAGE - 1) & ~(PAGE - 1);
	want = (want > GROW_MIN ? want : GROW_MIN) & ~(PAGE - 1);
	void *start = NULL;
	for (; !start && want > least; want = start ? want : want / 2 & ~(PAGE - 1))
		start = port_reserve(want);
	if (!start)
		start = port_reserve(want = least);
	if (start)
		add_piece(list, (uintptr_t)start, want, true);
	return start;
}

static void list_trim(struct heap *heap)
{
	struct freelist *list = (struct freelist *)heap;

	for (unsigned i = 0; i < list->pieces;) {
		struct piece piece = list->piece[i];
		struct hole *hole = at(list, piece.start);

		if (!piece.reserved || !hole || end_of(&hole->block) != piece.end) {
			i++;
			continue;
		}
		drop(list, hole);
		list->piece[i] = list->piece[--list->pieces];
		list->total -= piece.end - piece.start;
		port_release((void *)piece.start, piece.end - piece.start);
	}
}

// ---- operations

static struct heap *create(void *arena, size_t bytes, enum policy policy)
{
	struct freelist *list = arena;
	size_t head = (sizeof *list + HEAP_ALIGN - 1) & ~(size_t)(HEAP_ALIGN - 1);

	bytes &= ~(size_t)(HEAP_ALIGN - 1);
	if ((uintptr_t)arena % HEAP_ALIGN || bytes < head + HOLE_MIN)
		return NULL;
	*list = (struct freelist){ .policy = policy };
	add_piece(list, (uintptr_t)arena + head, bytes - head, false);
	return &list->heap;
}

static void *list_alloc(struct heap *heap, size_t bytes, size_t align)
{
	struct freelist *list = (struct freelist *)heap;
	size_t need = length_for(bytes);
	struct hole *hole = need ? choose(list, need, align) : NULL;

	if (need && !hole && grow(list, need, align))
		hole = choose(list, need, align);
	return hole ? carve(list, hole, need, align) : NULL;
}

static bool is_inside(const struct freelist *list, uintptr_t address)
{
	for (unsigned i = 0; i < list->pieces; i++)
		if (address >= list->piece[i].start && address < list->piece[i].end)
			return true;
	return false;
}

static void judge(const struct freelist *list, const void *payload)
{
	const struct block *block = block_of(payload);

	if ((uintptr_t)payload % HEAP_ALIGN)
		port_panic("tree: misaligned pointer", (uintptr_t)payload);
	if (!is_inside(list, (uintptr_t)block))
		port_panic("tree: foreign pointer", (uintptr_t)payload);
	if ((block->word & USED) && block->cookie == cookie_of(block))
		return;
	const struct hole *hole = below(list, (uintptr_t)block + 1);
	if (hole && (uintptr_t)block < end_of(&hole->block))
		port_panic("tree: double free", (uintptr_t)payload);
	port_panic("tree: foreign pointer, not the start of a block", (uintptr_t)payload);
}

static void list_free(struct heap *heap, void *payload)
{
	struct freelist *list = (struct freelist *)heap;

	judge(list, payload);
	give(list, block_of(payload), length_of(block_of(payload)));
}

static size_t list_usable(const struct heap *heap, const void *payload)
{
	(void)heap;
	return length_of(block_of(payload)) - sizeof(struct block);
}

static bool list_resize(struct heap *heap, void *payload, size_t bytes)
{
	struct freelist *list = (struct freelist *)heap;
	struct block *block = block_of(payload);
	size_t need = length_for(bytes);

	judge(list, payload);
	size_t have = length_of(block);
	struct hole *upper = need > have ? at(list, end_of(block)) : NULL;
	if (upper && is_seam(list, (uintptr_t)upper))
		upper = NULL;
	if (!need || need > have + (upper ? upper->block.word : 0))
		return false;
	if (upper) {
		drop(list, upper);
		have += upper->block.word;
	}
	mark_used(block, have);
	if (have - need >= HOLE_MIN) {
		mark_used(block, need);
		give(list, (struct block *)end_of(block), have - need);
	}
	return true;
}

#define FREELIST_OPS(id, choice)                                                                                               \
	static struct heap *id##_create(void *arena, size_t bytes)                                                             \
	{                                                                                                                      \
		return create(arena, bytes, choice);                                                                           \
	}                                                                                                                      \
	const struct heap_ops heap_##id = { .name = #id, .create = id##_create, .alloc = list_alloc, .free = list_free,        \
		.usable = list_usable, .resize = list_resize, .trim = list_trim, .check = freelist_check, .walk = freelist_walk }

FREELIST_OPS(first_fit, FIRST_FIT);
FREELIST_OPS(next_fit, NEXT_FIT);
FREELIST_OPS(best_fit, BEST_FIT);
FREELIST_OPS(worst_fit, WORST_FIT);
