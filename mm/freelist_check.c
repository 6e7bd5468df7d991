// freelist_check.c: the free list's check and walk. The invariants F1 to F7 stand in freelist.c.
//
//    pieces ──► list of free blocks ──► every block in memory, run of adjacent pieces by run; the list must be met in step
#include "freelist.h"

// The last piece of the run of adjacent pieces that starts at piece i.
static unsigned run_end(const struct freelist *list, unsigned i)
{
	while (i + 1 < list->pieces && list->piece[i].end == list->piece[i + 1].start)
		i++;
	return i;
}

static struct verdict check_pieces(const struct freelist *list)
{
	size_t total = 0;

	HOLDS("F1", list->pieces <= FREELIST_PIECES, list);
	for (unsigned i = 0; i < list->pieces; i++) {
		const struct piece *piece = &list->piece[i];

		HOLDS("F1", piece->start < piece->end && piece->start % HEAP_ALIGN == 0 && piece->end % HEAP_ALIGN == 0, piece);
		HOLDS("F1", i == 0 || list->piece[i - 1].end <= piece->start, piece);
		total += piece->end - piece->start;
	}
	HOLDS("F1", total == list->total, list);
	return ALL_HOLD;
}

static struct verdict check_list(const struct freelist *list)
{
	uintptr_t previous = 0;
	bool rover = !list->rover;

	for (const struct block *block = list->first; block; block = block->next) {
		HOLDS("F3", (uintptr_t)block > previous && (uintptr_t)block % HEAP_ALIGN == 0, block);
		HOLDS("F3", piece_with(list, (uintptr_t)block), block);
		rover |= block == list->rover;
		previous = (uintptr_t)block;
	}
	HOLDS("F7", rover, list->rover);
	return ALL_HOLD;
}

struct verdict freelist_check(const struct heap *heap)
{
	const struct freelist *list = (const struct freelist *)heap;
	struct verdict verdict = check_pieces(list);

	if (!verdict.broken)
		verdict = check_list(list);
	if (verdict.broken)
		return verdict;
	const struct block *expected = list->first; // the next free block that the walk over memory has to meet
	for (unsigned i = 0; i < list->pieces; i = run_end(list, i) + 1) {
		uintptr_t end = list->piece[run_end(list, i)].end;
		bool after_free = false;

		for (uintptr_t at = list->piece[i].start; at < end; at = block_end(block_at(at))) {
			const struct block *block = block_at(at);

			HOLDS("F2", block_length(block) >= BLOCK_MIN && block_length(block) % HEAP_ALIGN == 0, at);
			HOLDS("F2", block_length(block) <= end - at, at);
			if (block->bytes & FREELIST_USED) {
				HOLDS("F6", block_is_used(list, block), at);
			} else {
				HOLDS("F4", !after_free, at);
				HOLDS("F5", block == expected, at);
				expected = block->next;
			}
			after_free = !(block->bytes & FREELIST_USED);
		}
	}
	HOLDS("F5", !expected, expected);
	return ALL_HOLD;
}

void freelist_walk(const struct heap *heap, heap_visitor *visit, void *context)
{
	const struct freelist *list = (const struct freelist *)heap;

	for (unsigned i = 0; i < list->pieces; i = run_end(list, i) + 1) {
		uintptr_t end = list->piece[run_end(list, i)].end;

		for (uintptr_t at = list->piece[i].start; at < end; at = block_end(block_at(at))) {
			struct block *block = block_at(at);

			if (!visit(context, block + 1, block_length(block) - sizeof *block, block->bytes & FREELIST_USED))
				return;
		}
	}
}

