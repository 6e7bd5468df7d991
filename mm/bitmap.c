// bitmap.c: first fit over two bitmaps: which granules of 16 bytes are in use, and where blocks end. Blocks have no headers.
//
//    used  1 1 1 0 0 0 1 1 1 1 0 0      blocks of 3, 1 and 3 granules, holes of 3 and 2
//    ends  0 0 1 0 0 0 1 0 0 1 0 0      a block starts where a granule in use follows an end, a free one, or nothing
//                ^hint
//    piece ──► piece ──► NULL           memory from the arena or one port_reserve:  | record | used | ends | granule 0 | 1 | ...
//
// What stands in blocks is nobody's business here: a stray write into free memory breaks nothing, and whether a pointer is the start of a
// block is known exactly. Holes that meet are one without any merging. All searches go by words, 64 granules at a time.
//
//    M1  pieces rise in address, and their total is right       M2  a piece's maps and granules fit into it
//    M3  bits beyond the last granule are set in `used`, and clear in `ends`
//    M4  an end is in use                                       M5  a granule before a free one, or the last, is free or an end
//    M6  no granule below the hint is free
//
// Cost: linear in the granules below the first fit, 64 a step; two bits for 16 bytes, or 1.6 %. Free is linear in the block, likewise.
// Weakness: memory is searched, not holes: a large heap that is nearly full is slow.
// Sources: Knuth, The Art of Computer Programming 1, section 2.5; Wilson, Johnstone, Neely and Boles, 1995, on bitmapped fits.
#include "bitmap.h"

#define PAGE     ((size_t)4096)
#define GROW_MIN ((size_t)64 << 10)

struct place { // of a block or a hole
	struct bitmap_piece *piece; // NULL: nowhere
	size_t start, end;          // granules
};

static size_t granules_for(size_t bytes)
{
	return bytes / GRANULE + (bytes % GRANULE > 0);
}

static bool is_start(const struct bitmap_piece *piece, size_t i)
{
	return bit(used_of(piece), i) && (i == 0 || !bit(used_of(piece), i - 1) || bit(ends_of(piece), i - 1));
}

// Sets or clears bits [from, to), a word at a time.
static void paint(uint64_t *map, size_t from, size_t to, bool set)
{
	while (from < to) {
		size_t first = from % WORD_BITS, count = WORD_BITS - first < to - from ? WORD_BITS - first : to - from;
		uint64_t mask = UINT64_MAX >> (WORD_BITS - count) << first;

		map[from / WORD_BITS] = set ? map[from / WORD_BITS] | mask : map[from / WORD_BITS] & ~mask;
		from += count;
	}
}

static void give(struct bitmap_piece *piece, size_t from, size_t to)
{
	paint(used_of(piece), from, to, false);
	piece->hint = from < piece->hint ? from : piece->hint;
}

// ---- search

// The first aligned run of `need` free granules in the piece.
static struct place find(struct bitmap_piece *piece, size_t need, size_t align)
{
	const uint64_t *used = used_of(piece);
	size_t at = piece->hint = next_bit(used, piece->hint, piece->granules, false);

	while (at < piece->granules) {
		size_t start = at + (-address_of(piece, at) & (align - 1)) / GRANULE, end = start + need;
		size_t stop = next_bit(used, at, end, true); // the bits beyond the last granule are set

		if (stop == end)
			return (struct place){ piece, start, end };
		at = next_bit(used, stop, piece->granules, false);
	}
	return (struct place){ NULL, 0, 0 };
}

static struct place choose(const struct bitmap *heap, size_t need, size_t align)
{
	struct place place = { NULL, 0, 0 };

	for (struct bitmap_piece *piece = heap->lowest; piece && !place.piece; piece = piece->above)
		place = find(piece, need, align);
	return place;
}

static struct bitmap_piece *piece_with(const struct bitmap *heap, uintptr_t address)
{
	struct bitmap_piece *piece = heap->lowest;

	while (piece && (address < piece->base || address >= address_of(piece, piece->granules)))
		piece = piece->above;
	return piece;
}

// Where a live block stands; panics, naming the rule, on any other address.
static struct place place_of(const struct bitmap *heap, const void *block)
{
	struct bitmap_piece *piece = piece_with(heap, (uintptr_t)block);

	if ((uintptr_t)block % GRANULE)
		port_panic("bitmap: misaligned pointer", (uintptr_t)block);
	if (!piece)
		port_panic("bitmap: foreign pointer", (uintptr_t)block);
	size_t start = ((uintptr_t)block - piece->base) / GRANULE;
	if (!bit(used_of(piece), start))
		port_panic("bitmap: double free", (uintptr_t)block);
	if (!is_start(piece, start))
		port_panic("bitmap: foreign pointer, not the start of a block", (uintptr_t)block);
	return (struct place){ piece, start, next_bit(ends_of(piece), start, piece->granules, true) + 1 };
}

// ---- pieces

static void add_piece(struct bitmap *heap, void *start, size_t bytes, bool reserved)
{
	struct bitmap_piece *piece = start, **link = &heap->lowest;
	size_t words = words_for(bytes);

	while (*link && *link < piece)
		link = &(*link)->above;
	*piece = (struct bitmap_piece){ .above = *link, .bytes = bytes, .reserved = reserved };
	*link = piece;
	piece->base = (uintptr_t)(ends_of(piece) + words);
	piece->granules = ((uintptr_t)start + bytes - piece->base) / GRANULE;
	paint(used_of(piece), 0, piece->granules, false);
	paint(used_of(piece), piece->granules, words * WORD_BITS, true);
	paint(ends_of(piece), 0, words * WORD_BITS, false);
	heap->total += bytes;
}

// One more piece in which the block has room: a quarter of what there is, or as little as will do when that cannot be had.
static bool grow(struct bitmap *heap, size_t bytes, size_t align)
{
	size_t least = bytes + align, want = heap->total / 4 & ~(PAGE - 1);

	if (least < bytes || least > SIZE_MAX / 2)
		return false;
	least = (least + least / 32 + 256 + PAGE - 1) & ~(PAGE - 1); // with the record, and the maps, a 64th of all
	want = want > GROW_MIN ? want : GROW_MIN;
	void *start = want > least ? port_reserve(want) : NULL;
	if (!start)
		start = port_reserve(want = least);
	if (start)
		add_piece(heap, start, want, true);
	return start;
}

static void bitmap_trim(struct heap *base)
{
	struct bitmap *heap = (struct bitmap *)base;

	for (struct bitmap_piece **link = &heap->lowest; *link;) {
		struct bitmap_piece *piece = *link;

		if (!piece->reserved || next_bit(used_of(piece), 0, piece->granules, true) < piece->granules) {
			link = &piece->above;
			continue;
		}
		*link = piece->above;
		heap->total -= piece->bytes;
		port_release(piece, piece->bytes);
	}
}

// ---- operations

static struct heap *bitmap_create(void *arena, size_t bytes)
{
	struct bitmap *heap = arena;
	size_t own = (sizeof *heap + GRANULE - 1) & ~(GRANULE - 1);

	bytes &= ~(GRANULE - 1);
	if ((uintptr_t)arena % HEAP_ALIGN || bytes < own + sizeof(struct bitmap_piece) + 2 * sizeof(uint64_t) * words_for(bytes) + GRANULE)
		return NULL;
	*heap = (struct bitmap){ .total = 0 };
	add_piece(heap, (char *)arena + own, bytes - own, false);
	return &heap->heap;
}

static void *bitmap_alloc(struct heap *base, size_t bytes, size_t align)
{
	struct bitmap *heap = (struct bitmap *)base;
	size_t need = granules_for(bytes);
	struct place place = choose(heap, need, align);

	if (!place.piece && grow(heap, bytes, align))
		place = choose(heap, need, align);
	if (!place.piece)
		return NULL;
	paint(used_of(place.piece), place.start, place.end, true);
	paint(ends_of(place.piece), place.end - 1, place.end, true);
	return (void *)address_of(place.piece, place.start);
}

static void bitmap_free(struct heap *heap, void *block)
{
	struct place place = place_of((struct bitmap *)heap, block);

	paint(ends_of(place.piece), place.end - 1, place.end, false);
	give(place.piece, place.start, place.end);
}

static size_t bitmap_usable(const struct heap *heap, const void *block)
{
	struct place place = place_of((const struct bitmap *)heap, block);

	return (place.end - place.start) * GRANULE;
}

// Moves the block's end, when what lies between is free.
static bool bitmap_resize(struct heap *heap, void *block, size_t bytes)
{
	struct place place = place_of((struct bitmap *)heap, block);
	size_t end = place.start + granules_for(bytes);

	if (end > place.end && next_bit(used_of(place.piece), place.end, end, true) < end)
		return false;
	paint(ends_of(place.piece), place.end - 1, place.end, false);
	paint(ends_of(place.piece), end - 1, end, true);
	paint(used_of(place.piece), place.end, end, true);
	if (end < place.end)
		give(place.piece, end, place.end);
	return true;
}

const struct heap_ops heap_bitmap_fit = {
	.name = "bitmap_fit",
	.create = bitmap_create,
	.alloc = bitmap_alloc,
	.free = bitmap_free,
	.usable = bitmap_usable,
	.resize = bitmap_resize,
	.trim = bitmap_trim,
	.check = bitmap_check,
	.walk = bitmap_walk,
};
