// freelist.c: one list of free blocks in address order, split on allocation, merged on free; four ways to choose from it.
//
//    list ──►[free│next]─────────────────────►[free│next]──────────►NULL          piece: memory from the arena or one port_reserve
//    +-------+----------+------------+--------+----------+-------------+
//    | state |   free   | used       | used   |   free   | used        |           header: length (bit 0: used), and next or cookie
//    +-------+----------+------------+--------+----------+-------------+
//            |<------------- arena ----------->|<------ piece 1 ------->|          adjacent pieces: blocks cross the seam freely
//
//    first_fit  the lowest block that is large enough          best_fit   the smallest that is
//    next_fit   the first after where the last search ended    worst_fit  the largest
//
//    F1  pieces are sorted, disjoint, not empty, and their total is right     F2  blocks fill each run of pieces without a gap
//    F3  the list rises in address and stays inside the pieces                F4  no two free blocks touch
//    F5  the free blocks in memory are exactly those in the list              F6  a used block carries its cookie
//    F7  the rover is NULL or in the list
//
// Cost: linear in the free blocks, for both calls; a free starts at the rover when that lies below.
// Weakness: holes gather at the front of the list under first fit and at random under next fit, and each call walks over them.
// Sources: Knuth, The Art of Computer Programming 1, section 2.5, algorithms A and B; Kernighan and Ritchie, section 8.7;
// Wilson, Johnstone, Neely and Boles, "Dynamic storage allocation: a survey and critical review", 1995.
#include "freelist.h"

#define PAGE     ((size_t)4096)
#define GROW_MIN ((size_t)64 << 10)

static bool better(enum policy policy, const struct block *one, const struct block *other)
{
	return policy == BEST_FIT ? one->bytes < other->bytes : one->bytes > other->bytes;
}

// The link to the first free block above an address.
static struct block **link_above(struct freelist *list, uintptr_t address)
{
	struct block **link = list->rover && (uintptr_t)list->rover < address ? &list->rover->next : &list->first;

	while (*link && (uintptr_t)*link <= address)
		link = &(*link)->next;
	return link;
}

// ---- the list ----

// Lab 5.3: merges a free block with the next one in the list, which it touches.
static void absorb(struct block *block)
{
	struct block *above = block->next;

	block->bytes += above->bytes;
	block->next = above->next;
}

// Lab 5.1: puts a free block into the list, in address order, and merges it with free neighbours: absorb does that, where they touch.
// The rover ends on the block that it has become.
static void insert(struct freelist *list, struct block *block, size_t bytes)
{
	struct block **link = link_above(list, (uintptr_t)block), *below = holder(list, link);

	*block = (struct block){ .bytes = bytes, .next = *link };
	*link = block;
	if (touch(block, block->next))
		absorb(block);
	if (touch(below, block)) {
		absorb(below);
		block = below;
	}
	list->rover = block;
}

// Lab 5.1: cuts a free block in two, both in the list: the lower one gets `bytes`. Both can stand as blocks.
static void split(struct block *block, size_t bytes)
{
	struct block *upper = block_at((uintptr_t)block + bytes);

	*upper = (struct block){ .bytes = block->bytes - bytes, .next = block->next };
	block->bytes = bytes;
	block->next = upper;
}

// Lab 5.1: takes `need` bytes from the lower end of the free block behind `link`. What is over stays in the list when it can stand as a
// block, else it is given away, too. The rover is where the search ended: on the free block below, if there is one.
static struct block *carve(struct freelist *list, struct block **link, size_t need)
{
	struct block *block = *link;

	if (block->bytes - need >= BLOCK_MIN)
		split(block, need);
	*link = block->next;
	list->rover = holder(list, link);
	mark_used(list, block, block->bytes);
	return block;
}

// ---- choosing ----

// Lab 5.1: the bytes that a whole block needs for a payload, header included, 0 when there is no such number.
static size_t length_for(size_t payload)
{
	size_t bytes = (payload + sizeof(struct block) + HEAP_ALIGN - 1) & ~(size_t)(HEAP_ALIGN - 1);

	return bytes > payload ? bytes : 0;
}

// Lab 5.5: the bytes to leave free below, so that the payload is aligned. None, or enough to stand as a block.
static size_t front_for(const struct block *block, size_t align)
{
	uintptr_t header = (uintptr_t)block, payload = (header + sizeof *block + align - 1) & ~(align - 1);
	size_t front = payload - sizeof *block - header;

	return front > 0 && front < BLOCK_MIN ? front + align : front;
}

static bool fits(const struct block *block, size_t need, size_t align)
{
	size_t front = align > HEAP_ALIGN ? front_for(block, align) : 0;

	return front <= block->bytes && need <= block->bytes - front;
}

// Lab 5.5: the link to the free block behind `link`, or to its upper part when a front has to be left for the alignment.
static struct block **leave_front(struct block **link, size_t align)
{
	struct block *block = *link;
	size_t front = front_for(block, align);

	if (front == 0)
		return link;
	split(block, front);
	return &block->next;
}

// Lab 5.1: the link to the first block that fits, from `link` on, up to `end` (NULL: the list's end); NULL when none does.
static struct block **first_from(struct block **link, struct block **end, size_t need, size_t align)
{
	for (; link != end && *link; link = &(*link)->next)
		if (fits(*link, need, align))
			return link;
	return NULL;
}

// Lab 5.4: the link to the smallest (BEST_FIT) or largest (WORST_FIT) block that fits; NULL when none does.
static struct block **extreme(struct freelist *list, size_t need, size_t align)
{
	struct block **chosen = NULL;

	for (struct block **link = &list->first; *link; link = &(*link)->next)
		if (fits(*link, need, align) && (!chosen || better(list->policy, *link, *chosen)))
			chosen = link;
	return chosen;
}

// Lab 5.4: the link to the first block that fits above the rover, and, when none does, from the list's start to the rover.
static struct block **next_fit(struct freelist *list, size_t need, size_t align)
{
	struct block **start = after_rover(list), **found = first_from(start, NULL, need, align);

	return found ? found : first_from(&list->first, start, need, align);
}

// The link to the block to take, NULL when none fits. All four policies are here.
static struct block **choose(struct freelist *list, size_t need, size_t align)
{
	if (list->policy == FIRST_FIT)
		return first_from(&list->first, NULL, need, align);
	return list->policy == NEXT_FIT ? next_fit(list, need, align) : extreme(list, need, align);
}

// ---- growing and shrinking ----

static void add_piece(struct freelist *list, uintptr_t start, size_t bytes, bool reserved)
{
	unsigned i = list->pieces++;

	for (; i > 0 && list->piece[i - 1].start > start; i--)
		list->piece[i] = list->piece[i - 1];
	list->piece[i] = (struct piece){ start, start + bytes, reserved };
	list->total += bytes;
	insert(list, block_at(start), bytes);
}

// Lab 5.2: one more piece from port_reserve, in which the block has room: a quarter of what there is, or less when that cannot be had.
static bool grow(struct freelist *list, size_t need, size_t align)
{
	size_t least = need + (align > HEAP_ALIGN ? align + BLOCK_MIN : 0), want = list->total / 4;

	if (least < need || least > SIZE_MAX - PAGE || list->pieces == FREELIST_PIECES)
		return false;
	least = (least + PAGE - 1) & ~(PAGE - 1);
	want = (want < GROW_MIN ? GROW_MIN : want) & ~(PAGE - 1);
	want = want < least ? least : want;

	void *start;
	while (!(start = port_reserve(want)) && want > least)
		want = want / 2 < least ? least : want / 2 & ~(PAGE - 1);
	if (start)
		add_piece(list, (uintptr_t)start, want, true);
	return start;
}

// Lab 5.7: cuts a piece out of the free block around it, when there is one. False when some of the piece is in use, or when what is left
// below or above could not stand as a block.
static bool cut(struct freelist *list, const struct piece *piece)
{
	struct block **link = &list->first;

	while (*link && block_end(*link) < piece->end)
		link = &(*link)->next;
	struct block *block = *link;
	if (!block || (uintptr_t)block > piece->start)
		return false;
	size_t below = piece->start - (uintptr_t)block, above = block_end(block) - piece->end;
	if ((below && below < BLOCK_MIN) || (above && above < BLOCK_MIN))
		return false;
	if (above)
		split(block, block->bytes - above);
	if (below) {
		split(block, below);
		link = &block->next;
	}
	*link = (*link)->next;
	list->rover = NULL;
	return true;
}

static void list_trim(struct heap *heap)
{
	struct freelist *list = (struct freelist *)heap;

	for (unsigned i = list->pieces; i-- > 0;) {
		struct piece piece = list->piece[i];

		if (!piece.reserved || !cut(list, &piece))
			continue;
		list->total -= piece.end - piece.start;
		__builtin_memmove(&list->piece[i], &list->piece[i + 1], (--list->pieces - i) * sizeof piece);
		port_release((void *)piece.start, piece.end - piece.start);
	}
}

// ---- operations ----

static struct heap *create(void *arena, size_t bytes, enum policy policy)
{
	struct freelist *list = arena;
	size_t head = (sizeof *list + HEAP_ALIGN - 1) & ~(size_t)(HEAP_ALIGN - 1);

	bytes &= ~(size_t)(HEAP_ALIGN - 1);
	if ((uintptr_t)arena % HEAP_ALIGN || bytes < head + BLOCK_MIN)
		return NULL;
	*list = (struct freelist){ .policy = policy };
	add_piece(list, (uintptr_t)arena + head, bytes - head, false);
	return &list->heap;
}

static void *list_alloc(struct heap *heap, size_t bytes, size_t align)
{
	struct freelist *list = (struct freelist *)heap;
	size_t need = length_for(bytes);

	if (!need)
		return NULL;
	struct block **link = choose(list, need, align);
	if (!link && grow(list, need, align))
		link = choose(list, need, align);
	if (!link)
		return NULL;
	if (align > HEAP_ALIGN)
		link = leave_front(link, align);
	return carve(list, link, need) + 1;
}

// Lab 5.3: whether a payload is that of a used block. It may be any address at all: nothing outside the pieces may be looked at.
static bool is_live(const struct freelist *list, const void *payload)
{
	const struct block *block = block_of(payload);

	return (uintptr_t)payload % HEAP_ALIGN == 0 && piece_with(list, (uintptr_t)block) && block_is_used(list, block);
}

// Lab 5.3: panics with the rule that a caller broke who gave back what is_live does not know.
static _Noreturn void blame(const struct freelist *list, const void *payload)
{
	const struct block *block = block_of(payload);

	if ((uintptr_t)payload % HEAP_ALIGN)
		port_panic("freelist: misaligned pointer", (uintptr_t)payload);
	for (const struct block *free = list->first; free; free = free->next)
		if (free <= block && (uintptr_t)block < block_end(free))
			port_panic("freelist: double free", (uintptr_t)payload);
	port_panic("freelist: foreign pointer, not the start of a block", (uintptr_t)payload);
}

static void list_free(struct heap *heap, void *payload)
{
	struct freelist *list = (struct freelist *)heap;

	if (!is_live(list, payload))
		blame(list, payload);
	insert(list, block_of(payload), block_length(block_of(payload)));
}

static size_t list_usable(const struct heap *heap, const void *payload)
{
	(void)heap;
	return block_length(block_of(payload)) - sizeof(struct block);
}

// Lab 5.6: shrinks by giving the tail back, grows into a free block right above. False: it cannot, and nothing has changed.
static bool list_resize(struct heap *heap, void *payload, size_t bytes)
{
	struct freelist *list = (struct freelist *)heap;
	struct block *block = block_of(payload);
	size_t need = length_for(bytes), have;

	if (!is_live(list, payload))
		blame(list, payload);
	have = block_length(block);
	if (!need)
		return false;
	if (need > have) {
		struct block **link = link_above(list, (uintptr_t)block), *above = *link;

		if (!touch(block, above) || need - have > above->bytes)
			return false;
		*link = above->next;
		list->rover = holder(list, link);
		have += above->bytes;
	}
	if (have - need >= BLOCK_MIN) {
		insert(list, block_at((uintptr_t)block + need), have - need);
		have = need;
	}
	block->bytes = have | FREELIST_USED;
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
