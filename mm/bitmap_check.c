// bitmap_check.c: the check and walk of the heap of bitmaps. The invariants M1 to M6 stand in bitmap.c.
//
//    each piece ──► its record ──► its maps, word by word
#include "bitmap.h"

static struct verdict check_record(const struct bitmap_piece *piece)
{
	uintptr_t start = (uintptr_t)piece, maps = (uintptr_t)(ends_of(piece) + words_for(piece->bytes));

	HOLDS("M2", start % HEAP_ALIGN == 0 && piece->bytes % GRANULE == 0 && piece->base == maps, piece);
	HOLDS("M2", piece->granules > 0 && address_of(piece, piece->granules) == start + piece->bytes, piece);
	return ALL_HOLD;
}

// Of word w: the bits that stand for granules.
static uint64_t granules_in(const struct bitmap_piece *piece, size_t w)
{
	size_t bits = piece->granules > w * WORD_BITS ? piece->granules - w * WORD_BITS : 0;

	return bits == 0 ? 0 : bits < WORD_BITS ? UINT64_MAX >> (WORD_BITS - bits) : UINT64_MAX;
}

static struct verdict check_maps(const struct bitmap_piece *piece)
{
	size_t words = words_for(piece->bytes);

	for (size_t w = 0; w < words; w++) {
		uint64_t mine = granules_in(piece, w), used = used_of(piece)[w], ends = ends_of(piece)[w];
		uint64_t next = w + 1 < words ? used_of(piece)[w + 1] & granules_in(piece, w + 1) : 0;
		uint64_t before_used = (used & mine) >> 1 | next << (WORD_BITS - 1);

		HOLDS("M3", (used | mine) == UINT64_MAX && (ends & ~mine) == 0, &used_of(piece)[w]);
		HOLDS("M4", (ends & ~used) == 0, &ends_of(piece)[w]);
		HOLDS("M5", (used & mine & ~before_used & ~ends) == 0, &used_of(piece)[w]);
	}
	HOLDS("M6", piece->hint <= piece->granules, piece);
	HOLDS("M6", next_bit(used_of(piece), 0, piece->hint, false) == piece->hint, piece);
	return ALL_HOLD;
}

struct verdict bitmap_check(const struct heap *base)
{
	const struct bitmap *heap = (const struct bitmap *)base;
	size_t total = 0;

	for (const struct bitmap_piece *piece = heap->lowest; piece; piece = piece->above) {
		struct verdict verdict = check_record(piece);

		if (verdict.broken)
			return verdict;
		total += piece->bytes;
		HOLDS("M1", total <= heap->total && (!piece->above || (uintptr_t)piece->above >= (uintptr_t)piece + piece->bytes), piece);
		verdict = check_maps(piece);
		if (verdict.broken)
			return verdict;
	}
	HOLDS("M1", total == heap->total, heap);
	return ALL_HOLD;
}

void bitmap_walk(const struct heap *heap, heap_visitor *visit, void *context)
{
	for (const struct bitmap_piece *piece = ((const struct bitmap *)heap)->lowest; piece; piece = piece->above)
		for (size_t start = 0, end; start < piece->granules; start = end) {
			bool used = bit(used_of(piece), start);

			end = next_bit(used ? ends_of(piece) : used_of(piece), start, piece->granules, true) + used;
			if (!visit(context, (void *)address_of(piece, start), (end - start) * GRANULE, used))
				return;
		}
}
