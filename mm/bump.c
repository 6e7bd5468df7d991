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
#include "heap.h"

#define PAGE       ((size_t)4096)
#define GROW_MIN   ((size_t)64 << 10)
#define COOKIE     ((uintptr_t)0xb1a5edb10c0dULL)

enum state { DEAD = 1, LIVE = 2 };

struct piece {
	_Alignas(HEAP_ALIGN) uint32_t units; // length with this header, in units of HEAP_ALIGN
	uint32_t below;                      // length of the piece below, 0 for the first
	uintptr_t cookie;
};

struct region {
	_Alignas(HEAP_ALIGN) struct region *older; // NULL: the arena that create was given
	uintptr_t end;
	uintptr_t next;                            // where the next piece starts
	struct piece *last;                        // the piece below next, NULL when there is none
};

struct bump {
	struct heap heap;
	struct region *region; // the newest: the only one that blocks are taken from
	size_t live;
	struct region arena;
};

static uintptr_t cookie_for(const struct piece *piece, enum state state)
{
	return COOKIE ^ (uintptr_t)piece ^ state;
}

static struct piece *piece_of(const void *block)
{
	return (struct piece *)(uintptr_t)block - 1;
}

static size_t piece_bytes(const struct piece *piece)
{
	return (size_t)piece->units * HEAP_ALIGN;
}

static uintptr_t region_start(const struct region *region) // of its first piece
{
	return (uintptr_t)(region + 1);
}

static void push_piece(struct region *region, size_t bytes, enum state state)
{
	struct piece *piece = (struct piece *)region->next;

	piece->units = (uint32_t)(bytes / HEAP_ALIGN);
	piece->below = region->last ? region->last->units : 0;
	piece->cookie = cookie_for(piece, state);
	region->last = piece;
	region->next += bytes;
}

static void pop_piece(struct region *region)
{
	struct piece *piece = region->last;

	region->next = (uintptr_t)piece;
	region->last = piece->below ? (struct piece *)((uintptr_t)piece - (size_t)piece->below * HEAP_ALIGN) : NULL;
	piece->cookie = 0;
}

static void *take(struct region *region, size_t bytes, size_t align)
{
	uintptr_t block = (region->next + sizeof(struct piece) + align - 1) & ~(align - 1);
	size_t hole = block - sizeof(struct piece) - region->next;

	if (block < region->next || block > region->end || bytes > region->end - block)
		return NULL;
	if (hole)
		push_piece(region, hole, DEAD);
	push_piece(region, bytes + sizeof(struct piece), LIVE);
	return (void *)block;
}

static bool grow(struct bump *bump, size_t bytes)
{
	size_t want = bytes + sizeof(struct region), size = want > GROW_MIN ? (want + PAGE - 1) & ~(PAGE - 1) : GROW_MIN;
	struct region *region = port_reserve(size);

	if (!region)
		return false;
	*region = (struct region){ bump->region, (uintptr_t)region + size, region_start(region), NULL };
	bump->region = region;
	return true;
}

// Forgets every block: only when none is live.
static void empty(struct bump *bump)
{
	while (bump->region->older) {
		struct region *region = bump->region;

		bump->region = region->older;
		port_release(region, region->end - (uintptr_t)region);
	}
	bump->arena.next = region_start(&bump->arena);
	bump->arena.last = NULL;
}

static struct heap *bump_create(void *arena, size_t bytes)
{
	struct bump *bump = arena;

	if (bytes < sizeof *bump + 2 * sizeof(struct piece) || (uintptr_t)arena % HEAP_ALIGN)
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
	if (!block && grow(bump, rounded + align + sizeof(struct piece)))
		block = take(bump->region, rounded, align);
	bump->live += block != NULL;
	return block;
}

static const struct region *region_of(const struct bump *bump, const void *block)
{
	const struct region *region = bump->region;

	while (region && ((uintptr_t)block <= region_start(region) || (uintptr_t)block >= region->end))
		region = region->older;
	return region;
}

static void bump_free(struct heap *heap, void *block)
{
	struct bump *bump = (struct bump *)heap;
	struct piece *piece = piece_of(block);

	if ((uintptr_t)block % HEAP_ALIGN)
		port_panic("bump: misaligned pointer", (uintptr_t)block);

	struct region *region = (struct region *)(uintptr_t)region_of(bump, block);

	if (!region)
		port_panic("bump: foreign pointer", (uintptr_t)block);
	if ((uintptr_t)piece >= region->next || piece->cookie == cookie_for(piece, DEAD))
		port_panic("bump: double free", (uintptr_t)block);
	if (piece->cookie != cookie_for(piece, LIVE))
		port_panic("bump: foreign pointer, not the start of a block", (uintptr_t)block);
	piece->cookie = cookie_for(piece, DEAD);
	while (region->last && region->last->cookie == cookie_for(region->last, DEAD))
		pop_piece(region);
	if (--bump->live == 0)
		empty(bump);
}

static size_t bump_usable(const struct heap *heap, const void *block)
{
	(void)heap;
	return piece_bytes(piece_of(block)) - sizeof(struct piece);
}

// Only the last block can grow or shrink.
static bool bump_resize(struct heap *heap, void *block, size_t bytes)
{
	struct region *region = ((struct bump *)heap)->region;
	struct piece *piece = piece_of(block);
	size_t rounded = (bytes + HEAP_ALIGN - 1) & ~(size_t)(HEAP_ALIGN - 1);

	if (region->last != piece || rounded < bytes || rounded > region->end - (uintptr_t)block)
		return false;
	piece->units = (uint32_t)((rounded + sizeof *piece) / HEAP_ALIGN);
	region->next = (uintptr_t)block + rounded;
	return true;
}

static struct verdict check_region(const struct region *region, size_t *live)
{
	uintptr_t at = region_start(region);
	uint32_t below = 0;

	HOLDS("B1", region->next >= at && region->next <= region->end && region->next % HEAP_ALIGN == 0, region);
	HOLDS("B1", !region->last || ((uintptr_t)region->last >= at && (uintptr_t)region->last < region->next), region);
	while (at < region->next) {
		const struct piece *piece = (const struct piece *)at;

		HOLDS("B2", piece->units > 0 && piece_bytes(piece) <= region->next - at, at);
		HOLDS("B3", piece->below == below, at);
		HOLDS("B4", piece->cookie == cookie_for(piece, LIVE) || piece->cookie == cookie_for(piece, DEAD), at);
		*live += piece->cookie == cookie_for(piece, LIVE);
		HOLDS("B6", at + piece_bytes(piece) < region->next || piece == region->last, at);
		below = piece->units;
		at += piece_bytes(piece);
	}
	HOLDS("B6", region->next > region_start(region) || !region->last, region);
	HOLDS("B6", !region->last || region->last->cookie == cookie_for(region->last, LIVE), region->last);
	return ALL_HOLD;
}

static struct verdict bump_check(const struct heap *heap)
{
	const struct bump *bump = (const struct bump *)heap;
	size_t live = 0;

	for (const struct region *region = bump->region; region; region = region->older) {
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

	for (const struct region *region = bump->region; region; region = region->older) {
		uintptr_t at = region_start(region);

		for (; at < region->next; at += piece_bytes((struct piece *)at)) {
			struct piece *piece = (struct piece *)at;

			if (!visit(context, piece + 1, piece_bytes(piece) - sizeof *piece, piece->cookie == cookie_for(piece, LIVE)))
				return;
		}
		if (region == bump->region && region->end - at > sizeof(struct piece))
			if (!visit(context, (struct piece *)at + 1, region->end - at - sizeof(struct piece), false))
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
