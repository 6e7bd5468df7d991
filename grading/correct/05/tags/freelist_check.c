// freelist_check.c: check and walk of the heap with boundary tags.
#include "freelist.h"

static struct verdict check_piece(const struct piece *piece, size_t *holes)
{
	bool free = false;

	for (const struct block *block = first_of(piece); block != piece->end; block = above(block)) {
		size_t bytes = length_of(block);

		HOLDS("T1", bytes >= HOLE_MIN && bytes % HEAP_ALIGN == 0 && bytes <= (uintptr_t)piece->end - (uintptr_t)block, block);
		HOLDS("T2", !(block->word & BELOW_FREE) == !free, block);
		HOLDS("T3", !free || (block->word & USED), block);
		free = !(block->word & USED);
		HOLDS("T4", free ? ((const size_t *)above(block))[-1] == bytes : block->cookie == cookie_of(block), block);
		*holes += free;
	}
	return ALL_HOLD;
}

struct verdict freelist_check(const struct heap *heap)
{
	const struct freelist *list = (const struct freelist *)heap;
	size_t holes = 0, least = 0;

	for (const struct piece *piece = list->pieces; piece; piece = piece->next) {
		struct verdict verdict = check_piece(piece, &holes);
		if (verdict.broken)
			return verdict;
	}
	for (const struct hole *hole = list->holes.next; hole != &list->holes; hole = hole->next) {
		HOLDS("T5", holes-- > 0 && hole->next->previous == hole && length_of(&hole->block) >= least, hole);
		least = length_of(&hole->block);
	}
	HOLDS("T5", holes == 0, list);
	return ALL_HOLD;
}

void freelist_walk(const struct heap *heap, heap_visitor *visit, void *context)
{
	const struct freelist *list = (const struct freelist *)heap;

	for (const struct piece *piece = list->pieces; piece; piece = piece->next)
		for (struct block *block = first_of(piece); block != piece->end; block = above(block))
			if (!visit(context, block + 1, length_of(block) - sizeof *block, block->word & USED))
				return;
}
