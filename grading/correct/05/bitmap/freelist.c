// freelist.c: the four policies over maps: a piece is made of units of 16 bytes, and two bits a unit tell all there is to know.
//
//    used    1 1 1 0 0 0 1 1 1 1 0 0          blocks of 3, 1 and 3 units, holes of 3 and 2
//    starts  1 0 0 0 0 0 1 1 0 0 0 0          blocks have no headers at all
//
// Another right solution of lab 05: no list, nothing to merge, no rest that is too small; pieces that touch are not joined.
#include "freelist.h"

#define PAGE     ((size_t)4096)
#define GROW_MIN ((size_t)64 << 10)

struct place { // a run of free units in a piece
	struct piece *piece; // NULL: nothing found
	size_t start, units;
};

// Sets or clears these bits.
static void paint(uint64_t *map, size_t from, size_t units, bool value)
{
	while (units > 0) {
		size_t first = from % 64, count = 64 - first < units ? 64 - first : units;
		uint64_t mask = (count == 64 ? UINT64_MAX : ((uint64_t)1 << count) - 1) << first;
		map[from / 64] = value ? map[from / 64] | mask : map[from / 64] & ~mask;
		from += count;
		units -= count;
	}
}

static size_t units_for(size_t bytes)
{
	return bytes / UNIT + (bytes % UNIT > 0);
}

static uintptr_t address_of(const struct piece *piece, size_t unit)
{
	return piece->base + unit * UNIT;
}

static size_t front_for(const struct piece *piece, size_t unit, size_t align)
{
	return (-address_of(piece, unit) & (align - 1)) / UNIT;
}

// ---- choosing

static bool better(enum policy policy, size_t units, const struct place *best)
{
	return !best->piece || (policy == BEST_FIT ? units < best->units : policy == WORST_FIT && units > best->units);
}

// Looks for a hole in one piece, from a unit on; true when the search is over.
static bool look(const struct freelist *list, struct piece *piece, size_t from, size_t need, size_t align, struct place *best)
{
	size_t longest = 0;

	for (size_t start = from; (start = next_bit(piece->used, start, piece->units, false)) < piece->units;) {
		size_t end = next_bit(piece->used, start, piece->units, true), front = front_for(piece, start, align);
		longest = end - start > longest ? end - start : longest;
		if (front < end - start && need <= end - start - front && better(list->policy, end - start, best)) {
			*best = (struct place){ piece, start, end - start };
			if (list->policy == FIRST_FIT || list->policy == NEXT_FIT || (list->policy == BEST_FIT && end - start == need))
				return true;
		}
		start = end;
	}
	if (from == 0)
		piece->most = longest;
	return false;
}

static struct place choose(struct freelist *list, size_t need, size_t align)
{
	struct place best = { NULL, 0, 0 };
	uintptr_t from = list->policy == NEXT_FIT ? list->place : 0;

	for (unsigned round = 0; round < 2 && !best.piece; round++, from = 0)
		for (struct piece *piece = list->pieces; piece; piece = piece->next) {
			if (piece->most < need || address_of(piece, piece->units) <= from)
				continue;
			if (look(list, piece, from > piece->base ? (from - piece->base) / UNIT : 0, need, align, &best))
				return best;
		}
	return best;
}

// ---- pieces

static void add_piece(struct freelist *list, void *start, size_t bytes, bool reserved)
{
	struct piece *piece = start, **link = &list->pieces;
	size_t units = bytes / UNIT, words = units / 64 + 1;

	*piece = (struct piece){ .bytes = bytes, .reserved = reserved };
	piece->used = (uint64_t *)(piece + 1);
	piece->starts = piece->used + words;
	piece->base = ((uintptr_t)(piece->starts + words) + UNIT - 1) / UNIT * UNIT;
	piece->units = piece->most = ((uintptr_t)start + bytes - piece->base) / UNIT;
	paint(piece->used, 0, words * 64, false);
	paint(piece->starts, 0, words * 64, false);
	while (*link && *link < piece)
		link = &(*link)->next;
	piece->next = *link;
	*link = piece;
	list->total += bytes;
}

static bool grow(struct freelist *list, size_t need, size_t align)
{
	size_t bytes = need * UNIT + (align > UNIT ? align : 0), want = list->total / 4;
	size_t least = bytes + bytes / 48 + 512;

	if (need > SIZE_MAX / 4 / UNIT || align > SIZE_MAX / 4)
		return false;
	least = (least + PAGE - 1) / PAGE * PAGE;
	want = (want > GROW_MIN ? want : GROW_MIN) / PAGE * PAGE;
	void *start = want > least ? port_reserve(want) : NULL;
	if (!start)
		start = port_reserve(want = least);
	if (start)
		add_piece(list, start, want, true);
	return start;
}

static void list_trim(struct heap *heap)
{
	struct freelist *list = (struct freelist *)heap;

	for (struct piece **link = &list->pieces; *link;) {
		struct piece *piece = *link;

		if (!piece->reserved || next_bit(piece->used, 0, piece->units, true) < piece->units) {
			link = &piece->next;
			continue;
		}
		*link = piece->next;
		list->total -= piece->bytes;
		port_release(piece, piece->bytes);
	}
}

// ---- operations

static struct heap *create(void *arena, size_t bytes, enum policy policy)
{
	struct freelist *list = arena;
	size_t head = (sizeof *list + UNIT - 1) / UNIT * UNIT;

	bytes = bytes / UNIT * UNIT;
	if ((uintptr_t)arena % HEAP_ALIGN || bytes < head + sizeof(struct piece) + 64 + bytes / 32)
		return NULL;
	*list = (struct freelist){ .policy = policy };
	add_piece(list, (char *)arena + head, bytes - head, false);
	return &list->heap;
}

static void *list_alloc(struct heap *heap, size_t bytes, size_t align)
{
	struct freelist *list = (struct freelist *)heap;
	size_t need = units_for(bytes);
	struct place place = choose(list, need, align);

	if (!place.piece && grow(list, need, align))
		place = choose(list, need, align);
	if (!place.piece)
		return NULL;
	size_t start = place.start + front_for(place.piece, place.start, align);
	paint(place.piece->used, start, need, true);
	paint(place.piece->starts, start, 1, true);
	list->place = address_of(place.piece, start + need);
	return (void *)address_of(place.piece, start);
}

static struct piece *piece_with(const struct freelist *list, const void *payload)
{
	struct piece *piece = list->pieces;

	while (piece && !((uintptr_t)payload >= piece->base && (uintptr_t)payload < address_of(piece, piece->units)))
		piece = piece->next;
	return piece;
}

static struct place judge(const struct freelist *list, const void *payload)
{
	struct piece *piece = piece_with(list, payload);

	if ((uintptr_t)payload % UNIT)
		port_panic("map: misaligned pointer", (uintptr_t)payload);
	if (!piece)
		port_panic("map: foreign pointer", (uintptr_t)payload);
	size_t unit = ((uintptr_t)payload - piece->base) / UNIT;
	if (!bit(piece->used, unit))
		port_panic("map: double free", (uintptr_t)payload);
	if (!bit(piece->starts, unit))
		port_panic("map: foreign pointer, not the start of a block", (uintptr_t)payload);
	return (struct place){ piece, unit, block_end(piece, unit) - unit };
}

static void list_free(struct heap *heap, void *payload)
{
	struct place place = judge((struct freelist *)heap, payload);

	paint(place.piece->used, place.start, place.units, false);
	paint(place.piece->starts, place.start, 1, false);
	place.piece->most = place.piece->units;
}

static size_t list_usable(const struct heap *heap, const void *payload)
{
	const struct piece *piece = piece_with((const struct freelist *)heap, payload);
	size_t unit = ((uintptr_t)payload - piece->base) / UNIT;

	return (block_end(piece, unit) - unit) * UNIT;
}

static bool list_resize(struct heap *heap, void *payload, size_t bytes)
{
	struct place place = judge((struct freelist *)heap, payload);
	size_t need = units_for(bytes), end = place.start + place.units;

	if (need > place.units) {
		size_t limit = next_bit(place.piece->used, end, place.piece->units, true);
		if (need > limit - place.start)
			return false;
		paint(place.piece->used, end, need - place.units, true);
	} else {
		paint(place.piece->used, place.start + need, place.units - need, false);
		place.piece->most = place.piece->units;
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
