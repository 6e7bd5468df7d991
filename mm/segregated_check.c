// segregated_check.c: the segregated heap's check and walk. The invariants G1 to G7 stand in segregated.c.
//
//    pieces ──► every chunk of each, counted when it is free ──► every list, no longer than that count
#include "segregated.h"

static bool is_inside(const struct segregated *heap, const struct chunk *chunk)
{
	for (unsigned i = 0; i < heap->pieces; i++)
		if (heap->piece[i].start <= (uintptr_t)chunk && (uintptr_t)chunk < heap->piece[i].end)
			return true;
	return false;
}

static struct verdict check_pieces(const struct segregated *heap)
{
	size_t total = 0;

	HOLDS("G1", heap->pieces <= SEGREGATED_PIECES, heap);
	for (unsigned i = 0; i < heap->pieces; i++) {
		const struct segregated_piece *piece = &heap->piece[i];

		HOLDS("G1", piece->start < piece->end && piece->start % HEAP_ALIGN == 0 && piece->end % HEAP_ALIGN == 0, piece);
		HOLDS("G1", i == 0 || piece[-1].end < piece->start, piece);
		total += piece->end + CHUNK_HEAD - piece->start;
	}
	HOLDS("G1", total == heap->total, heap);
	return ALL_HOLD;
}

static struct verdict check_chunks(const struct segregated_piece *piece, size_t *free)
{
	const struct chunk *chunk = (const struct chunk *)piece->start;
	uint32_t below = 0;
	bool after_free = false;

	for (; (uintptr_t)chunk < piece->end; chunk = chunk_above(chunk)) {
		HOLDS("G2", chunk_bytes(chunk) >= CHUNK_MIN && chunk_bytes(chunk) <= piece->end - (uintptr_t)chunk, chunk);
		HOLDS("G3", chunk->below == below, chunk);
		HOLDS("G4", chunk_is(chunk, CHUNK_USED) || (chunk_is(chunk, CHUNK_FREE) && !after_free), chunk);
		after_free = chunk_is(chunk, CHUNK_FREE);
		*free += after_free;
		below = chunk->units;
	}
	HOLDS("G2", chunk->units == 0 && chunk_is(chunk, CHUNK_USED), chunk);
	HOLDS("G3", chunk->below == below, chunk);
	return ALL_HOLD;
}

static struct verdict check_list(const struct segregated *heap, size_t class, size_t *left)
{
	struct chunk *const *link = &heap->first[class];

	HOLDS("G7", (heap->has[class / WORD_BITS] >> class % WORD_BITS & 1) == (*link != NULL), link);
	for (const struct chunk *chunk = *link; chunk; link = &chunk->next, chunk = chunk->next) {
		HOLDS("G5", (uintptr_t)chunk % HEAP_ALIGN == 0 && is_inside(heap, chunk), chunk);
		HOLDS("G5", chunk_is(chunk, CHUNK_FREE) && chunk->link == link, chunk);
		HOLDS("G5", class_of(chunk->units) == class, chunk);
		HOLDS("G6", (*left)-- > 0, chunk);
	}
	return ALL_HOLD;
}

struct verdict segregated_check(const struct heap *base)
{
	const struct segregated *heap = (const struct segregated *)base;
	struct verdict verdict = check_pieces(heap);
	size_t free = 0;

	for (unsigned i = 0; i < heap->pieces && !verdict.broken; i++)
		verdict = check_chunks(&heap->piece[i], &free);
	for (size_t i = 0; i < SEGREGATED_CLASSES && !verdict.broken; i++)
		verdict = check_list(heap, i, &free);
	if (verdict.broken)
		return verdict;
	HOLDS("G6", free == 0, heap);
	HOLDS("G7", heap->has[SEGREGATED_WORDS] == 1 && !heap->first[SEGREGATED_CLASSES], &heap->has[SEGREGATED_WORDS]);
	return ALL_HOLD;
}

void segregated_walk(const struct heap *base, heap_visitor *visit, void *context)
{
	const struct segregated *heap = (const struct segregated *)base;

	for (unsigned i = 0; i < heap->pieces; i++)
		for (uintptr_t at = heap->piece[i].start; at < heap->piece[i].end;) {
			struct chunk *chunk = (struct chunk *)at;

			if (!visit(context, (char *)at + CHUNK_HEAD, chunk_bytes(chunk) - CHUNK_HEAD, chunk_is(chunk, CHUNK_USED)))
				return;
			at += chunk_bytes(chunk);
		}
}
