// bump.c: the simplest heap: a pointer that moves up, and memory that comes back all at once.
//
//    region ─► older region ─► … ─► the arena
//    +--------+--------+------+--------+-----------------------------+
//    | header | block  | hole | block  | room                        |
//    +--------+--------+------+--------+-----------------------------+
//                               ^last    ^next                         ^end
//
// Every block and every hole (left by an alignment) starts with a 16-byte piece: its own length, that of the piece below it, and a
// cookie which tells live, dead and foreign apart. Freeing the last block takes the pointer back over it and over all dead pieces
// below it; freeing the last live block empties the heap.
//
//    B1  last <= next <= end, inside the region           B2  pieces follow each other without a gap from the region's start to next
//    B3  each piece knows the length of the one below      B4  a piece's cookie says live or dead
//    B5  the live pieces are as many as the count says     B6  the piece below next is `last`, and it is live
//
// Cost: constant to allocate; a free is constant too, apart from the dead pieces it clears (each once).
// Weakness: one live block holds everything below it; good for start-up and for work with an end, not for a long-running mix.
// Source: Hanson, "Fast allocation and deallocation of memory based on object lifetimes", Software: Practice and Experience 20(1), 1990.
#include "bump.h"

#define PAGE     ((size_t)4096)
#define GROW_MIN ((size_t)64 << 10)

static struct bump_piece *piece_of(const void *block)
{
	return (struct bump_piece *)(uintptr_t)block - 1;
}

static size_t piece_bytes(const struct bump_piece *piece)
{
	return (size_t)piece->units * HEAP_ALIGN;
}

static uintptr_t region_start(const struct bump_region *region) // of its first piece
{
	return (uintptr_t)(region + 1);
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
	*region = (struct bump_region){ bump->region, (uintptr_t)region + size, region_start(region), NULL };
	bump->region = region;
	return true;
}

// Forgets every block: only when none is live.
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

static void *bump_alloc(struct heap *heap, size_t bytes, size_t align)
{
	struct bump *bump = (struct bump *)heap;
	size_t rounded = (bytes + HEAP_ALIGN - 1) & ~(size_t)(HEAP_ALIGN - 1);

	if (rounded < bytes || rounded / HEAP_ALIGN >= UINT32_MAX - 1 || align > UINT32_MAX)
		return NULL;
	void *block = take(bump->region, rounded, align);
	if (!block && grow(bump, rounded + align + sizeof(struct bump_piece)))
		block = take(bump->region, rounded, align);
	bump->live += block != NULL;
	return block;
}

static const struct bump_region *region_of(const struct bump *bump, const void *block)
{
	const struct bump_region *region = bump->region;

	while (region && ((uintptr_t)block <= region_start(region) || (uintptr_t)block >= region->end))
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

static struct verdict check_region(const struct bump_region *region, size_t *live)
{
	uintptr_t at = region_start(region);
	uint32_t below = 0;

	HOLDS("B1", region->next >= at && region->next <= region->end && region->next % HEAP_ALIGN == 0, region);
	HOLDS("B1", !region->last || ((uintptr_t)region->last >= at && (uintptr_t)region->last < region->next), region);
	while (at < region->next) {
		const struct bump_piece *piece = (const struct bump_piece *)at;

		HOLDS("B2", piece->units > 0 && piece_bytes(piece) <= region->next - at, at);
		HOLDS("B3", piece->below == below, at);
		HOLDS("B4", piece->cookie == bump_cookie(piece, BUMP_LIVE) || piece->cookie == bump_cookie(piece, BUMP_DEAD), at);
		*live += piece->cookie == bump_cookie(piece, BUMP_LIVE);
		HOLDS("B6", at + piece_bytes(piece) < region->next || piece == region->last, at);
		below = piece->units;
		at += piece_bytes(piece);
	}
	HOLDS("B6", region->next > region_start(region) || !region->last, region);
	HOLDS("B6", !region->last || region->last->cookie == bump_cookie(region->last, BUMP_LIVE), region->last);
	return ALL_HOLD;
}

static struct verdict bump_check(const struct heap *heap)
{
	const struct bump *bump = (const struct bump *)heap;
	size_t live = 0;

	for (const struct bump_region *region = bump->region; region; region = region->older) {
		struct verdict verdict = check_region(region, &live);

		if (verdict.broken)
			return verdict;
	}
	HOLDS("B5", live == bump->live, bump);
	return ALL_HOLD;
}

static void bump_walk(const struct heap *heap, heap_visitor *visit, void *context)
{
	const struct bump *bump = (const struct bump *)heap;

	for (const struct bump_region *region = bump->region; region; region = region->older) {
		uintptr_t at = region_start(region);

		for (; at < region->next; at += piece_bytes((struct bump_piece *)at)) {
			struct bump_piece *piece = (struct bump_piece *)at;

			if (!visit(context, piece + 1, piece_bytes(piece) - sizeof *piece, piece->cookie == bump_cookie(piece, BUMP_LIVE)))
				return;
		}
		if (region == bump->region && region->end - at > sizeof(struct bump_piece))
			if (!visit(context, (struct bump_piece *)at + 1, region->end - at - sizeof(struct bump_piece), false))
				return;
	}
}

const struct heap_ops heap_bump = {
	.name = "bump",
	.create = bump_create,
	.alloc = bump_alloc,
	.free = bump_free,
	.usable = bump_usable,
	.resize = bump_resize,
	.check = bump_check,
	.walk = bump_walk,
};
