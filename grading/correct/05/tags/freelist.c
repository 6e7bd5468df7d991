// freelist.c: the four policies over boundary tags: every hole's length stands at both its ends, and the holes are in a list by length.
//
//    piece |record| used | hole ... length | used | ... | end |        a block knows by a flag that a hole lies below it
//
// Another right solution of lab 05: neighbours are found without the list, which is doubly linked and rises in length instead of address;
// pieces that touch are not joined; a record stands at the head of each piece.
#include "freelist.h"

#define PAGE     ((size_t)4096)
#define GROW_MIN ((size_t)32 << 10)

static struct block *block_of(const void *payload)
{
	return (struct block *)(uintptr_t)payload - 1;
}

static void unlink_hole(struct hole *hole)
{
	hole->next->previous = hole->previous;
	hole->previous->next = hole->next;
}

// Makes a hole of these bytes, whose neighbours are in use.
static void make_hole(struct freelist *list, struct block *block, size_t bytes)
{
	struct hole *hole = (struct hole *)block, *next = list->holes.next;

	while (next != &list->holes && length_of(&next->block) < bytes)
		next = next->next;
	*hole = (struct hole){ .block = { .word = bytes }, .next = next, .previous = next->previous };
	hole->previous->next = next->previous = hole;
	((size_t *)above(block))[-1] = bytes;
	above(block)->word |= BELOW_FREE;
}

static void mark_used(struct block *block, size_t bytes, size_t below)
{
	block->word = bytes | USED | below;
	block->cookie = cookie_of(block);
	above(block)->word &= ~BELOW_FREE;
}

static void give(struct freelist *list, struct block *block, size_t bytes)
{
	struct block *upper = (struct block *)((uintptr_t)block + bytes);

	if (!(upper->word & USED)) {
		unlink_hole((struct hole *)upper);
		bytes += length_of(upper);
	}
	bool joins = block->word & BELOW_FREE;
	block->word = 0;
	if (joins) {
		size_t below = ((size_t *)block)[-1];
		block = (struct block *)((uintptr_t)block - below);
		unlink_hole((struct hole *)block);
		bytes += below;
	}
	make_hole(list, block, bytes);
}

static size_t length_for(size_t payload)
{
	size_t bytes = (payload + sizeof(struct block) + HEAP_ALIGN - 1) / HEAP_ALIGN * HEAP_ALIGN;

	return payload > SIZE_MAX / 2 ? 0 : bytes < HOLE_MIN ? HOLE_MIN : bytes;
}

static size_t front_for(const struct block *block, size_t align)
{
	size_t front = -((uintptr_t)block + sizeof *block) & (align - 1);

	while (front > 0 && front < HOLE_MIN)
		front += align;
	return front;
}

static bool fits(const struct hole *hole, size_t need, size_t align)
{
	size_t front = front_for(&hole->block, align), bytes = length_of(&hole->block);

	return front < bytes && need <= bytes - front;
}

// Distance of a hole from where the search begins, going up and coming round.
static uintptr_t distance(const struct freelist *list, const struct hole *hole)
{
	return (uintptr_t)hole - (list->policy == NEXT_FIT ? list->place : 0);
}

static struct hole *choose(struct freelist *list, size_t need, size_t align)
{
	struct hole *best = NULL;

	for (struct hole *hole = list->holes.next; hole != &list->holes; hole = hole->next) {
		if (!fits(hole, need, align))
			continue;
		if (list->policy == BEST_FIT)
			return hole;
		if (!best || list->policy == WORST_FIT || distance(list, hole) < distance(list, best))
			best = hole;
	}
	return best;
}

static void *carve(struct freelist *list, struct hole *hole, size_t need, size_t align)
{
	struct block *block = &hole->block;
	size_t bytes = length_of(block), front = front_for(block, align), below = 0;

	unlink_hole(hole);
	if (front > 0) {
		struct block *upper = (struct block *)((uintptr_t)block + front);
		upper->word = USED;
		make_hole(list, block, front);
		block = upper;
		bytes -= front;
		below = BELOW_FREE;
	}
	size_t rest = bytes - need >= HOLE_MIN ? bytes - need : 0;
	mark_used(block, bytes - rest, below);
	if (rest > 0)
		make_hole(list, above(block), rest);
	list->place = (uintptr_t)above(block);
	return block + 1;
}

static void add_piece(struct freelist *list, void *start, size_t bytes, bool reserved)
{
	struct piece *piece = start;

	*piece = (struct piece){ list->pieces, (struct block *)((uintptr_t)start + bytes) - 1, reserved };
	piece->end->word = USED;
	list->pieces = piece;
	list->total += bytes;
	make_hole(list, first_of(piece), (uintptr_t)piece->end - (uintptr_t)first_of(piece));
}

static bool grow(struct freelist *list, size_t need, size_t align)
{
	size_t least = need + sizeof(struct piece) + sizeof(struct block) + (align > HEAP_ALIGN ? align + HOLE_MIN : 0);

	if (least < need || least > SIZE_MAX / 2)
		return false;
	least = (least + PAGE - 1) / PAGE * PAGE;
	for (size_t want = list->total / 4 < GROW_MIN ? GROW_MIN : list->total / 4; want > least; want /= 2) {
		void *start = port_reserve(want / PAGE * PAGE);
		if (start) {
			add_piece(list, start, want / PAGE * PAGE, true);
			return want / PAGE * PAGE >= least;
		}
	}
	void *start = port_reserve(least);
	if (start)
		add_piece(list, start, least, true);
	return start;
}

static struct heap *create(void *arena, size_t bytes, enum policy policy)
{
	struct freelist *list = arena;

	bytes = bytes / HEAP_ALIGN * HEAP_ALIGN;
	if ((uintptr_t)arena % HEAP_ALIGN || bytes < sizeof *list + sizeof(struct piece) + sizeof(struct block) + HOLE_MIN + HEAP_ALIGN)
		return NULL;
	*list = (struct freelist){ .policy = policy };
	list->holes.next = list->holes.previous = &list->holes;
	size_t head = (sizeof *list + HEAP_ALIGN - 1) / HEAP_ALIGN * HEAP_ALIGN;
	add_piece(list, (char *)arena + head, bytes - head, false);
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

static const struct piece *piece_with(const struct freelist *list, const struct block *block)
{
	const struct piece *piece = list->pieces;

	while (piece && !((uintptr_t)block >= (uintptr_t)(piece + 1) && (uintptr_t)block < (uintptr_t)piece->end))
		piece = piece->next;
	return piece;
}

static void judge(const struct freelist *list, const void *payload)
{
	const struct block *block = block_of(payload);
	const struct piece *piece = piece_with(list, block);

	if ((uintptr_t)payload % HEAP_ALIGN)
		port_panic("boundary tags: misaligned pointer", (uintptr_t)payload);
	if (!piece)
		port_panic("boundary tags: foreign pointer", (uintptr_t)payload);
	if ((block->word & USED) && block->cookie == cookie_of(block) && length_of(block))
		return;
	for (const struct block *other = first_of(piece); other < piece->end && other <= block; other = above(other))
		if (!(other->word & USED) && block < above(other))
			port_panic("boundary tags: double free", (uintptr_t)payload);
	port_panic("boundary tags: foreign pointer, not the start of a block", (uintptr_t)payload);
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
	size_t have = length_of(block), below = block->word & BELOW_FREE;
	struct block *upper = above(block);
	if (need > have && !(upper->word & USED))
		have += length_of(upper);
	if (!need || need > have)
		return false;
	if (have > length_of(block))
		unlink_hole((struct hole *)upper);
	mark_used(block, have, below);
	if (have - need >= HOLE_MIN) {
		mark_used(block, need, below);
		mark_used(above(block), have - need, 0);
		give(list, above(block), have - need);
	}
	return true;
}

static void list_trim(struct heap *heap)
{
	struct freelist *list = (struct freelist *)heap;

	for (struct piece **link = &list->pieces; *link;) {
		struct piece *piece = *link;
		struct block *first = first_of(piece);

		if (!piece->reserved || (first->word & USED) || above(first) != piece->end) {
			link = &piece->next;
			continue;
		}
		*link = piece->next;
		unlink_hole((struct hole *)first);
		size_t bytes = (uintptr_t)(piece->end + 1) - (uintptr_t)piece;
		list->total -= bytes;
		port_release(piece, bytes);
	}
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
