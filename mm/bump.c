// bump.c: the simplest heap: a pointer that moves up, and memory that comes back all at once.
//
//    region ─► older region ─► … ─► the arena
//    +--------+--------+------+------+--------+-----------------------+----------+----------+
//    | header | block  | hole | mark | block  | room                  | stays    | stays    |
//    +--------+--------+------+------+--------+-----------------------+----------+----------+
//                                      ^last    ^next                   ^end
//
// Every block and every hole (left by an alignment) starts with a 16-byte piece: its own length, that of the piece below it, and a
// cookie which tells live, dead and foreign apart. Freeing the last block takes the pointer back over it and over all dead pieces
// below it; freeing the last live block empties the heap. Blocks that will stay longer than others are taken from the other end
// (heap_alloc_back), downwards, and do not keep those. A mark is a piece, too: to release it is to pop all that lies above.
//
//    B1  last <= next <= end, inside the region           B2  pieces follow each other without a gap from the region's start to next
//    B3  each piece knows the length of the one below      B4  a piece's cookie says live, dead or mark
//    B5  the live pieces and marks are as many as the count says
//    B6  the piece below next is `last`, and it is not dead
//    B7  pieces follow each other from end on; they are live or dead, and the lowest is live
//
// Cost: constant to allocate; a free is constant too, apart from the dead pieces it clears (each once).
// Weakness: one live block holds everything below it; good for start-up and for work with an end, not for a long-running mix.
// Sources: Hanson, "Fast allocation and deallocation of memory based on object lifetimes", Software: Practice and Experience 20(1), 1990;
// Ross, "The AED free storage package", CACM 10(8), 1967, for zones that are given up as a whole.
#include "bump.h"

#define PAGE     ((size_t)4096)
#define GROW_MIN ((size_t)64 << 10)

static struct bump_piece *piece_of(const void *block)
{
	return (struct bump_piece *)(uintptr_t)block - 1;
}

// Lab 1.6: puts a piece of so many bytes, header included, on top of all others.
static void push_piece(struct bump_region *region, size_t bytes, enum bump_state state)
{
	struct bump_piece *piece = (struct bump_piece *)region->next;

	piece->units = (uint32_t)(bytes / HEAP_ALIGN);
	piece->below = region->last ? region->last->units : 0;
	piece->cookie = bump_cookie(piece, state);
	region->last = piece;
	region->next += bytes;
}

// Lab 1.7: takes the top piece away: the one below it is the last then, and room begins where this one did.
static void pop_piece(struct bump_region *region)
{
	struct bump_piece *piece = region->last;

	region->next = (uintptr_t)piece;
	region->last = piece->below ? (struct bump_piece *)((uintptr_t)piece - (size_t)piece->below * HEAP_ALIGN) : NULL;
	piece->cookie = 0;
}

// Lab 1.6: a block of `bytes` bytes, the lowest aligned place above all pieces; NULL when the region has no room for it.
static void *take(struct bump_region *region, size_t bytes, size_t align)
{
	uintptr_t block = (region->next + sizeof(struct bump_piece) + align - 1) & ~(align - 1);
	size_t hole = block - sizeof(struct bump_piece) - region->next;

	if (block < region->next || block > region->end || bytes > region->end - block)
		return NULL;
	if (hole)
		push_piece(region, hole, BUMP_DEAD);
	push_piece(region, bytes + sizeof(struct bump_piece), BUMP_LIVE);
	return (void *)block;
}

// Lab 1.6: gets a region with room for `bytes` bytes of pieces; blocks are taken from it from now on.
static bool grow(struct bump *bump, size_t bytes)
{
	size_t least = (bytes + sizeof(struct bump_region) + PAGE - 1) & ~(PAGE - 1), size = least > GROW_MIN ? least : GROW_MIN;
	struct bump_region *region = port_reserve(size);

	if (!region && size > least)
		region = port_reserve(size = least);
	if (!region)
		return false;
	*region = (struct bump_region){ bump->region, (uintptr_t)region + size, region_start(region), NULL, 0 };
	bump->region = region;
	return true;
}

// Forgets every block: only when none is live. The other ends are empty then: they keep no dead ones.
static void empty(struct bump *bump)
{
	while (bump->region->older) {
		struct bump_region *region = bump->region;

		bump->region = region->older;
		port_release(region, region->end - (uintptr_t)region);
	}
	bump->arena.next = region_start(&bump->arena);
	bump->arena.last = NULL;
}

static struct heap *bump_create(void *arena, size_t bytes)
{
	struct bump *bump = arena;

	if (bytes < sizeof *bump + 2 * sizeof(struct bump_piece) || (uintptr_t)arena % HEAP_ALIGN)
		return NULL;
	*bump = (struct bump){ .region = &bump->arena };
	bump->arena.end = ((uintptr_t)arena + bytes) & ~(uintptr_t)(HEAP_ALIGN - 1);
	empty(bump);
	return &bump->heap;
}

// A block that stays, the highest aligned place below `end`; what the alignment leaves above it is its own.
static void *take_back(struct bump_region *region, size_t bytes, size_t align)
{
	uintptr_t block = (region->end - bytes) & ~(align - 1);

	if (bytes > region->end - region->next || block < region->next + sizeof(struct bump_piece))
		return NULL;
	struct bump_piece *piece = piece_of((void *)block);
	size_t taken = region->end - (uintptr_t)piece;
	*piece = (struct bump_piece){ (uint32_t)(taken / HEAP_ALIGN), 0, bump_cookie(piece, BUMP_LIVE) };
	region->end -= taken;
	region->back += taken;
	return (void *)block;
}

typedef void *taker(struct bump_region *region, size_t bytes, size_t align);

static void *alloc(struct bump *bump, size_t bytes, size_t align, taker *from)
{
	size_t rounded = (bytes + HEAP_ALIGN - 1) & ~(size_t)(HEAP_ALIGN - 1);

	if (rounded < bytes || rounded / HEAP_ALIGN >= UINT32_MAX / 2 || align > UINT32_MAX)
		return NULL;
	void *block = from(bump->region, rounded, align);
	if (!block && grow(bump, rounded + align + sizeof(struct bump_piece)))
		block = from(bump->region, rounded, align);
	bump->live += block != NULL;
	return block;
}

static void *bump_alloc(struct heap *heap, size_t bytes, size_t align)
{
	return alloc((struct bump *)heap, bytes, align, take);
}

static void *bump_alloc_back(struct heap *heap, size_t bytes, size_t align)
{
	return alloc((struct bump *)heap, bytes, align, take_back);
}

static const struct bump_region *region_of(const struct bump *bump, const void *block)
{
	const struct bump_region *region = bump->region;

	while (region && ((uintptr_t)block <= region_start(region) || (uintptr_t)block >= region_end(region)))
		region = region->older;
	return region;
}

// Lab 1.7: the block is dead; what is dead on top of its region is room again, and everything is when no block lives.
static void bump_free(struct heap *heap, void *block)
{
	struct bump *bump = (struct bump *)heap;
	struct bump_piece *piece = piece_of(block);

	if ((uintptr_t)block % HEAP_ALIGN)
		port_panic("bump: misaligned pointer", (uintptr_t)block);

	struct bump_region *region = (struct bump_region *)(uintptr_t)region_of(bump, block);

	if (!region)
		port_panic("bump: foreign pointer", (uintptr_t)block);
	if ((uintptr_t)piece >= region->next || piece->cookie == bump_cookie(piece, BUMP_DEAD))
		port_panic("bump: double free", (uintptr_t)block);
	if (piece->cookie != bump_cookie(piece, BUMP_LIVE))
		port_panic("bump: foreign pointer, not the start of a block", (uintptr_t)block);
	piece->cookie = bump_cookie(piece, BUMP_DEAD);
	while (region->last && region->last->cookie == bump_cookie(region->last, BUMP_DEAD))
		pop_piece(region);
	if (--bump->live == 0)
		empty(bump);
}

// The same for a block of the other end.
static void free_back(struct bump *bump, struct bump_region *region, struct bump_piece *piece)
{
	if (piece_is(piece, BUMP_DEAD))
		port_panic("bump: double free", (uintptr_t)(piece + 1));
	if (!piece_is(piece, BUMP_LIVE))
		port_panic("bump: foreign pointer, not the start of a block", (uintptr_t)(piece + 1));
	piece->cookie = bump_cookie(piece, BUMP_DEAD);
	while (region->back && piece_is(piece = (struct bump_piece *)region->end, BUMP_DEAD)) {
		region->end += piece_bytes(piece);
		region->back -= piece_bytes(piece);
	}
	if (--bump->live == 0)
		empty(bump);
}

static void free_either(struct heap *heap, void *block)
{
	struct bump *bump = (struct bump *)heap;
	struct bump_region *region = (struct bump_region *)(uintptr_t)region_of(bump, block);

	if (region && (uintptr_t)block > region->end && (uintptr_t)block % HEAP_ALIGN == 0)
		free_back(bump, region, piece_of(block));
	else
		bump_free(heap, block);
}

// ---- marks

struct bump_mark bump_mark(struct heap *heap)
{
	struct bump *bump = (struct bump *)heap;
	struct bump_mark mark = { NULL, 0 };

	lock_acquire(&heap->lock);
	uint64_t *serial = bump_alloc(heap, sizeof *serial, HEAP_ALIGN);
	if (serial) {
		mark = (struct bump_mark){ piece_of(serial), ++bump->marks };
		mark.piece->cookie = bump_cookie(mark.piece, BUMP_MARK);
		*serial = mark.serial;
	}
	lock_release(&heap->lock);
	return mark;
}

// The region in which the mark stands; panics when it does not.
static struct bump_region *region_with(const struct bump *bump, struct bump_mark mark)
{
	struct bump_region *region = (struct bump_region *)(uintptr_t)region_of(bump, mark.piece + 1);

	if (!region || (uintptr_t)mark.piece % HEAP_ALIGN)
		port_panic("bump_release: foreign mark", (uintptr_t)mark.piece);
	if (!piece_is(mark.piece, BUMP_MARK) || *(uint64_t *)(mark.piece + 1) != mark.serial)
		port_panic("bump_release: the mark does not stand any more", (uintptr_t)mark.piece);
	return region;
}

// Pops pieces of any state, down to `to`, which is popped as well; NULL: all.
static void pop_until(struct bump *bump, struct bump_region *region, const struct bump_piece *to)
{
	for (const struct bump_piece *piece = NULL; region->last && (!to || piece != to);) {
		piece = region->last;
		bump->live -= !piece_is(piece, BUMP_DEAD);
		pop_piece(region);
	}
}

void bump_release(struct heap *heap, struct bump_mark mark)
{
	struct bump *bump = (struct bump *)heap;

	lock_acquire(&heap->lock);
	struct bump_region *region = region_with(bump, mark), **link = &bump->region;
	while (*link != region) {
		struct bump_region *newer = *link;

		pop_until(bump, newer, NULL);
		if (newer->back) { // its blocks stay
			link = &newer->older;
			continue;
		}
		*link = newer->older;
		port_release(newer, newer->end - (uintptr_t)newer);
	}
	pop_until(bump, region, mark.piece);
	while (region->last && piece_is(region->last, BUMP_DEAD))
		pop_piece(region);
	if (bump->live == 0)
		empty(bump);
	lock_release(&heap->lock);
}

// ---- the rest

static size_t bump_usable(const struct heap *heap, const void *block)
{
	(void)heap;
	return piece_bytes(piece_of(block)) - sizeof(struct bump_piece);
}

// Lab 1.8: only the last block can grow or shrink.
static bool bump_resize(struct heap *heap, void *block, size_t bytes)
{
	struct bump_region *region = ((struct bump *)heap)->region;
	struct bump_piece *piece = piece_of(block);
	size_t rounded = (bytes + HEAP_ALIGN - 1) & ~(size_t)(HEAP_ALIGN - 1);

	if (region->last != piece || rounded < bytes || rounded > region->end - (uintptr_t)block)
		return false;
	piece->units = (uint32_t)((rounded + sizeof *piece) / HEAP_ALIGN);
	region->next = (uintptr_t)block + rounded;
	return true;
}

const struct heap_ops heap_bump = {
	.name = "bump",
	.create = bump_create,
	.alloc = bump_alloc,
	.alloc_back = bump_alloc_back,
	.free = free_either,
	.usable = bump_usable,
	.resize = bump_resize,
	.check = bump_check,
	.walk = bump_walk,
};
