// segregated.c: free chunks in lists by size class, found by two bitmaps: every call takes constant time, however many blocks there are.
//
//    rows     0 1 0 1 0 ...                      a bit for each power of two: some class of it has a chunk
//    classes  row 1: 0 0 1 0 0 1 ...             sixteen classes each, at equal steps
//                        |     '--> chunk <-> chunk
//                        '--------> chunk
//
//    piece    | chunk: units, below, cookie | chunk ... | mark |      units: its length; below: the length of the chunk below
//
// A request is rounded up to the next class, so the first chunk of any class from there on fits: nothing is searched. Both lengths
// stand in each header, so a chunk that comes back finds its neighbours, and free ones are joined at once.
//
//    G1  pieces are sorted and disjoint, and their total is right     G2  chunks fill each piece without a gap, up to its mark
//    G3  each chunk knows the length of the one below                 G4  a cookie says used or free; no two free chunks touch
//    G5  each list has free chunks of its class only                  G6  every free chunk in memory is in a list
//    G7  a bit is set exactly where a list has a chunk
//
// Cost: constant for alloc, free and resize, apart from new pieces.
// Weakness: a header of 16 bytes a block; rounding up to a class may pass by a chunk that would just fit (up to a sixteenth). A foreign
// pointer between two pieces is known by what stands there only.
// Source: Masmano, Ripoll, Crespo and Real, "TLSF: a new dynamic memory allocator for real-time systems", ECRTS 2004.
#include "segregated.h"

#define PAGE     ((size_t)4096)
#define GROW_MIN ((size_t)64 << 10)
#define MOST     ((size_t)(UINT32_MAX / 4) * HEAP_ALIGN) // bytes of a chunk

static struct chunk *chunk_of(const void *block)
{
	return (struct chunk *)((uintptr_t)block - CHUNK_HEAD);
}

static void *block_of(struct chunk *chunk)
{
	return (void *)((uintptr_t)chunk + CHUNK_HEAD);
}

static struct chunk *chunk_below(const struct chunk *chunk)
{
	return (struct chunk *)((uintptr_t)chunk - (size_t)chunk->below * HEAP_ALIGN);
}

// ---- lists

static void insert(struct segregated *heap, struct chunk *chunk)
{
	unsigned class = class_of(chunk->units), row = class / SEGREGATED_SPLITS;
	struct chunk **first = &heap->first[class];

	chunk->cookie = chunk_cookie(chunk, CHUNK_FREE);
	chunk->next = *first;
	chunk->link = first;
	if (*first)
		(*first)->link = &chunk->next;
	*first = chunk;
	heap->rows |= 1u << row;
	heap->classes[row] |= (uint16_t)(1u << class % SEGREGATED_SPLITS);
}

// The class's list is empty now.
static void clear(struct segregated *heap, unsigned class)
{
	unsigned row = class / SEGREGATED_SPLITS;

	heap->classes[row] &= (uint16_t)~(1u << class % SEGREGATED_SPLITS);
	if (!heap->classes[row])
		heap->rows &= ~(1u << row);
}

static inline void take_out(struct segregated *heap, struct chunk *chunk)
{
	*chunk->link = chunk->next;
	if (chunk->next) {
		chunk->next->link = chunk->link;
		return;
	}
	unsigned class = class_of(chunk->units);
	if (!heap->first[class])
		clear(heap, class);
}

// A chunk of at least so many units, out of its list; NULL: there is none in the classes of which all chunks are that long.
static struct chunk *find(struct segregated *heap, uint32_t units)
{
	unsigned least = class_of(units + (1u << class_shift(units)) - 1), row = least / SEGREGATED_SPLITS;
	uint32_t columns = heap->classes[row] & ~0u << least % SEGREGATED_SPLITS;

	if (!columns) {
		uint32_t rows = heap->rows & ~1u << row;
		if (!rows)
			return NULL;
		row = (unsigned)__builtin_ctz(rows);
		columns = heap->classes[row];
	}
	unsigned class = row * SEGREGATED_SPLITS + (unsigned)__builtin_ctz(columns);
	struct chunk *chunk = heap->first[class], *next = chunk->next;
	heap->first[class] = next;
	if (next)
		next->link = &heap->first[class];
	else
		clear(heap, class);
	return chunk;
}

// ---- chunks

static void set_units(struct chunk *chunk, uint32_t units)
{
	chunk->units = units;
	chunk_above(chunk)->below = units;
}

// Gives the part of a chunk above `units` back, when it can stand as a chunk. The one above it is not free.
static void trim_chunk(struct segregated *heap, struct chunk *chunk, uint32_t units)
{
	uint32_t over = chunk->units - units;

	if (over < CHUNK_MIN / HEAP_ALIGN)
		return;
	chunk->units = units;
	struct chunk *upper = chunk_above(chunk);
	upper->below = units;
	set_units(upper, over);
	insert(heap, upper);
}

// Puts a chunk that is in no list back, as one with its free neighbours.
static void give(struct segregated *heap, struct chunk *chunk)
{
	struct chunk *above = chunk_above(chunk), *below = chunk_below(chunk);
	uint32_t units = chunk->units;

	if (chunk_is(above, CHUNK_FREE)) {
		take_out(heap, above);
		units += above->units;
	}
	if (chunk->below && chunk_is(below, CHUNK_FREE)) {
		take_out(heap, below);
		units += below->units;
		chunk->cookie = chunk_cookie(chunk, CHUNK_FREE); // a second free finds it dead
		chunk = below;
	}
	set_units(chunk, units);
	insert(heap, chunk);
}

// Leaves what lies below the first aligned payload in the heap; the chunk that begins there.
static struct chunk *leave_front(struct segregated *heap, struct chunk *chunk, size_t align)
{
	uintptr_t payload = ((uintptr_t)block_of(chunk) + align - 1) & ~(align - 1);
	size_t front = payload - CHUNK_HEAD - (uintptr_t)chunk;

	if (front == 0)
		return chunk;
	front += front < CHUNK_MIN ? align : 0;
	struct chunk *upper = (struct chunk *)((uintptr_t)chunk + front);
	upper->below = (uint32_t)(front / HEAP_ALIGN);
	set_units(upper, chunk->units - upper->below);
	chunk->units = upper->below;
	insert(heap, chunk);
	return upper;
}

// ---- pieces

static void add_piece(struct segregated *heap, uintptr_t start, size_t bytes, bool reserved)
{
	unsigned i = heap->pieces++;
	struct chunk *chunk = (struct chunk *)start, *mark = (struct chunk *)(start + bytes - CHUNK_HEAD);

	for (; i > 0 && heap->piece[i - 1].start > start; i--)
		heap->piece[i] = heap->piece[i - 1];
	heap->piece[i] = (struct segregated_piece){ start, (uintptr_t)mark, reserved };
	heap->total += bytes;
	heap->low = start < heap->low ? start : heap->low;
	heap->high = (uintptr_t)mark > heap->high ? (uintptr_t)mark : heap->high;
	mark->units = 0;
	mark->cookie = chunk_cookie(mark, CHUNK_USED);
	chunk->below = 0;
	set_units(chunk, (uint32_t)((bytes - CHUNK_HEAD) / HEAP_ALIGN));
	insert(heap, chunk);
}

// One more piece, in which a chunk of that class has room: a quarter of what there is, or less when that cannot be had.
static bool grow(struct segregated *heap, size_t bytes)
{
	size_t least = (bytes + bytes / SEGREGATED_SPLITS + CHUNK_HEAD + 2 * PAGE - 1) & ~(PAGE - 1), want = heap->total / 4;

	want = (want < GROW_MIN ? GROW_MIN : want > MOST ? MOST : want) & ~(PAGE - 1);
	want = want < least ? least : want;
	if (heap->pieces == SEGREGATED_PIECES)
		return false;
	void *start;
	while (!(start = port_reserve(want)) && want > least)
		want = want / 2 < least ? least : want / 2 & ~(PAGE - 1);
	if (start)
		add_piece(heap, (uintptr_t)start, want, true);
	return start;
}

static void segregated_trim(struct heap *base)
{
	struct segregated *heap = (struct segregated *)base;

	for (unsigned i = heap->pieces; i-- > 0;) {
		struct segregated_piece piece = heap->piece[i];
		struct chunk *chunk = (struct chunk *)piece.start;

		if (!piece.reserved || !chunk_is(chunk, CHUNK_FREE) || (uintptr_t)chunk_above(chunk) != piece.end)
			continue;
		take_out(heap, chunk);
		heap->total -= piece.end + CHUNK_HEAD - piece.start;
		heap->pieces--;
		for (unsigned j = i; j < heap->pieces; j++)
			heap->piece[j] = heap->piece[j + 1];
		port_release(chunk, piece.end + CHUNK_HEAD - piece.start);
	}
}

// ---- operations

static struct heap *segregated_create(void *arena, size_t bytes)
{
	struct segregated *heap = arena;
	size_t head = (sizeof *heap + HEAP_ALIGN - 1) & ~(size_t)(HEAP_ALIGN - 1);

	bytes &= ~(size_t)(HEAP_ALIGN - 1);
	if ((uintptr_t)arena % HEAP_ALIGN || bytes < head + CHUNK_MIN + CHUNK_HEAD || bytes > MOST)
		return NULL;
	__builtin_memset(heap, 0, sizeof *heap);
	heap->low = UINTPTR_MAX;
	add_piece(heap, (uintptr_t)arena + head, bytes - head, false);
	return &heap->heap;
}

// The units of a whole chunk for a payload.
static uint32_t units_for(size_t payload)
{
	uint32_t units = (uint32_t)((payload + CHUNK_HEAD + HEAP_ALIGN - 1) / HEAP_ALIGN);

	return units < CHUNK_MIN / HEAP_ALIGN ? CHUNK_MIN / HEAP_ALIGN : units;
}

// For an alignment of its own, or when a new piece is needed.
static __attribute__((noinline)) struct chunk *find_slowly(struct segregated *heap, uint32_t need, size_t align)
{
	if (align > MOST / 4)
		return NULL;
	uint32_t look = align > HEAP_ALIGN ? need + (uint32_t)((align + CHUNK_MIN) / HEAP_ALIGN) : need;
	struct chunk *chunk = find(heap, look);
	if (!chunk && grow(heap, (size_t)look * HEAP_ALIGN))
		chunk = find(heap, look);
	return chunk && align > HEAP_ALIGN ? leave_front(heap, chunk, align) : chunk;
}

static void *segregated_alloc(struct heap *base, size_t bytes, size_t align)
{
	struct segregated *heap = (struct segregated *)base;

	if (bytes > MOST / 2)
		return NULL;
	uint32_t need = units_for(bytes);
	struct chunk *chunk = align == HEAP_ALIGN ? find(heap, need) : NULL;
	if (!chunk && !(chunk = find_slowly(heap, need, align)))
		return NULL;
	trim_chunk(heap, chunk, need);
	chunk->cookie = chunk_cookie(chunk, CHUNK_USED);
	return block_of(chunk);
}

// Panics with the rule that a caller broke who gave back what is no used block.
static void require_used(const struct segregated *heap, const void *block)
{
	const struct chunk *chunk = chunk_of(block);

	if ((uintptr_t)block % HEAP_ALIGN)
		port_panic("segregated: misaligned pointer", (uintptr_t)block);
	if ((uintptr_t)chunk < heap->low || (uintptr_t)chunk >= heap->high)
		port_panic("segregated: foreign pointer", (uintptr_t)block);
	if (chunk_is(chunk, CHUNK_FREE))
		port_panic("segregated: double free", (uintptr_t)block);
	if (!chunk_is(chunk, CHUNK_USED))
		port_panic("segregated: foreign pointer, not the start of a block", (uintptr_t)block);
}

static void segregated_free(struct heap *base, void *block)
{
	struct segregated *heap = (struct segregated *)base;

	require_used(heap, block);
	give(heap, chunk_of(block));
}

static size_t segregated_usable(const struct heap *heap, const void *block)
{
	(void)heap;
	return chunk_bytes(chunk_of(block)) - CHUNK_HEAD;
}

static bool segregated_resize(struct heap *base, void *block, size_t bytes)
{
	struct segregated *heap = (struct segregated *)base;
	struct chunk *chunk = chunk_of(block), *above = chunk_above(chunk);

	require_used(heap, block);
	if (bytes > MOST / 2)
		return false;
	uint32_t need = units_for(bytes), over = chunk_is(above, CHUNK_FREE) ? above->units : 0;
	if (need > chunk->units + over)
		return false;
	if (over) {
		take_out(heap, above);
		set_units(chunk, chunk->units + over);
	}
	trim_chunk(heap, chunk, need);
	return true;
}

const struct heap_ops heap_segregated = {
	.name = "segregated",
	.create = segregated_create,
	.alloc = segregated_alloc,
	.free = segregated_free,
	.usable = segregated_usable,
	.resize = segregated_resize,
	.trim = segregated_trim,
	.check = segregated_check,
	.walk = segregated_walk,
};
