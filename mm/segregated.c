// segregated.c: free chunks in lists by size class, found by a bitmap: every call takes constant time, however many blocks there are.
//
//    has      0 0 1 0 0 1 0 ... 1                a bit for each class, eight of them at equal steps from one power of two to the next; the
//                 |     '--> chunk <-> chunk     last bit has no chunk and ends the search
//                 '--------> chunk
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
// Cost: at most 150 instructions a call, apart from new pieces (tests/test_counts.py counts them); on rv64imac up to 180, where an
// alignment of its own is asked for.
// Weakness: a header of 16 bytes a block; rounding up to a class may pass by a chunk that would just fit (up to an eighth). A foreign
// pointer between two pieces is known by what stands there only.
// Source: Masmano, Ripoll, Crespo and Real, "TLSF: a new dynamic memory allocator for real-time systems", ECRTS 2004.
#include "segregated.h"

#define PAGE     ((size_t)4096)
#define GROW_MIN ((size_t)64 << 10)
#define MOST     ((size_t)1 << 34) // bytes of a chunk

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

// Into the list of its class.
static inline void insert(struct segregated *heap, struct chunk *chunk, size_t units)
{
	size_t class = class_of(units);
	struct chunk **first = &heap->first[class], *next = *first;

	chunk->next = next;
	if (next)
		next->link = &chunk->next;
	else
		heap->has[class / WORD_BITS] |= 1ULL << class % WORD_BITS;
	chunk->link = first;
	*first = chunk;
}

// The class's list, which had a chunk, is empty now.
static inline void clear(struct segregated *heap, size_t class)
{
	heap->has[class / WORD_BITS] ^= 1ULL << class % WORD_BITS;
}

static inline void take_out(struct segregated *heap, struct chunk *chunk)
{
	struct chunk **link = chunk->link, *next = chunk->next;

	*link = next;
	if (next) {
		next->link = link;
		return;
	}
	size_t class = ((uintptr_t)link - (uintptr_t)heap->first) / sizeof *link;
	if (class < SEGREGATED_CLASSES) // it was the first of its list, too
		clear(heap, class);
}

// A chunk of at least so many units, out of its list; NULL: there is none in the classes of which all chunks are that long.
static inline struct chunk *find(struct segregated *heap, size_t units)
{
	size_t shift = class_shift(units), least = shift * SEGREGATED_SPLITS + 1 + ((units - 1) >> shift);
	size_t word = least / WORD_BITS;
	uint64_t fit = heap->has[word] & ~0ULL << least % WORD_BITS;

	while (!fit)
		fit = heap->has[++word];
	size_t class = word * WORD_BITS + lowest_bit(fit);
	struct chunk *chunk = heap->first[class];
	if (!chunk)
		return NULL;
	struct chunk *next = chunk->next;
	heap->first[class] = next;
	if (next)
		next->link = &heap->first[class];
	else
		clear(heap, class);
	return chunk;
}

// ---- chunks

static inline void set_units(struct chunk *chunk, size_t units)
{
	chunk_at(chunk, units)->below = (uint32_t)units;
	chunk->units = (uint32_t)units;
}

// Leaves a chunk, which reaches over so many units up to one that is not free, `keep` of them, and gives the rest back when it can stand
// as a chunk.
static inline void trim_chunk(struct segregated *heap, struct chunk *chunk, size_t units, size_t keep)
{
	size_t over = units - keep;

	if (over < CHUNK_MIN / HEAP_ALIGN) {
		set_units(chunk, units);
		return;
	}
	struct chunk *upper = chunk_at(chunk, keep);
	set_units(chunk, keep);
	set_units(upper, over);
	upper->cookie = chunk_cookie(upper, CHUNK_FREE);
	insert(heap, upper, over);
}

// Puts a chunk that is in no list back, as one with its free neighbours.
static inline void give(struct segregated *heap, struct chunk *chunk)
{
	struct chunk *above = chunk_above(chunk), *below = chunk_below(chunk), *lowest = chunk;
	size_t units = chunk->units;

	if (chunk_is(below, CHUNK_FREE)) { // the lowest chunk of a piece has itself below
		take_out(heap, below);
		units += below->units;
		lowest = below;
	}
	chunk->cookie = chunk_cookie(chunk, CHUNK_FREE); // also when it is joined: a second free finds it dead
	if (chunk_is(above, CHUNK_FREE)) {
		take_out(heap, above);
		units += above->units;
	}
	set_units(lowest, units);
	insert(heap, lowest, units);
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
	set_units(chunk, (bytes - CHUNK_HEAD) / HEAP_ALIGN);
	chunk->cookie = chunk_cookie(chunk, CHUNK_FREE);
	insert(heap, chunk, chunk->units);
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
	heap->has[SEGREGATED_WORDS] = 1;
	heap->low = UINTPTR_MAX;
	add_piece(heap, (uintptr_t)arena + head, bytes - head, false);
	return &heap->heap;
}

// The units of a whole chunk for a payload, which is not 0: at least CHUNK_MIN.
static size_t units_for(size_t payload)
{
	return (payload + CHUNK_HEAD + HEAP_ALIGN - 1) / HEAP_ALIGN;
}

// Makes a used block of a chunk that is in no list and reaches over `units`.
static inline void *use(struct segregated *heap, struct chunk *chunk, size_t units, size_t need)
{
	trim_chunk(heap, chunk, units, need);
	chunk->cookie = chunk_cookie(chunk, CHUNK_USED);
	return block_of(chunk);
}

// The same for an aligned payload. What lies below stays free: always enough for a chunk.
static inline void *use_aligned(struct segregated *heap, struct chunk *chunk, size_t need, size_t align)
{
	uintptr_t payload = ((uintptr_t)chunk + CHUNK_MIN + CHUNK_HEAD + align - 1) & ~(align - 1);
	struct chunk *upper = chunk_of((void *)payload);
	size_t units = chunk->units, front = (size_t)((uintptr_t)upper - (uintptr_t)chunk) / HEAP_ALIGN;

	chunk->units = upper->below = (uint32_t)front;
	insert(heap, chunk, front);
	return use(heap, upper, units - front, need);
}

static __attribute__((noinline)) void *alloc_in_new_piece(struct segregated *heap, size_t need, size_t align)
{
	size_t look = align > HEAP_ALIGN ? need + (align + CHUNK_MIN) / HEAP_ALIGN : need;

	if (!grow(heap, look * HEAP_ALIGN))
		return NULL;
	struct chunk *chunk = find(heap, look);
	return align > HEAP_ALIGN ? use_aligned(heap, chunk, need, align) : use(heap, chunk, chunk->units, need);
}

static PORT_FRAMELESS __attribute__((noinline)) void *alloc_aligned(struct segregated *heap, size_t need, size_t align)
{
	struct chunk *chunk = find(heap, need + (align + CHUNK_MIN) / HEAP_ALIGN);

	return chunk ? use_aligned(heap, chunk, need, align) : alloc_in_new_piece(heap, need, align);
}

static PORT_FRAMELESS void *segregated_alloc(struct heap *base, size_t bytes, size_t align)
{
	struct segregated *heap = (struct segregated *)base;

	if ((bytes | align) >= MOST / 4)
		return NULL;
	size_t need = units_for(bytes);
	if (align > HEAP_ALIGN)
		return alloc_aligned(heap, need, align);
	struct chunk *chunk = find(heap, need);
	return chunk ? use(heap, chunk, chunk->units, need) : alloc_in_new_piece(heap, need, align);
}

// Panics with the rule that a caller broke who gave back what is no used block.
static _Noreturn __attribute__((cold, noinline)) void mistake(const struct segregated *heap, const void *block)
{
	const struct chunk *chunk = chunk_of(block);

	if ((uintptr_t)block % HEAP_ALIGN)
		port_panic("segregated: misaligned pointer", (uintptr_t)block);
	if ((uintptr_t)chunk < heap->low || (uintptr_t)chunk >= heap->high)
		port_panic("segregated: foreign pointer", (uintptr_t)block);
	if (chunk_is(chunk, CHUNK_FREE))
		port_panic("segregated: double free", (uintptr_t)block);
	port_panic("segregated: foreign pointer, not the start of a block", (uintptr_t)block);
}

static inline void require_used(const struct segregated *heap, const void *block)
{
	uintptr_t chunk = (uintptr_t)chunk_of(block);

	if (chunk % HEAP_ALIGN || chunk < heap->low || chunk >= heap->high || !chunk_is(chunk_of(block), CHUNK_USED))
		mistake(heap, block);
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
	struct chunk *chunk = chunk_of(block);

	require_used(heap, block);
	if (bytes >= MOST / 4)
		return false;
	struct chunk *above = chunk_above(chunk);
	size_t need = units_for(bytes), over = chunk_is(above, CHUNK_FREE) ? above->units : 0;
	if (need > chunk->units + over)
		return false;
	if (over)
		take_out(heap, above);
	trim_chunk(heap, chunk, chunk->units + over, need);
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
