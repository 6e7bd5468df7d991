// freelist_check.c: check and walk of the heap whose holes are a tree.
#include "freelist.h"

static struct verdict check_tree(const struct hole *hole, uintptr_t low, uintptr_t high, size_t *holes)
{
	HOLDS("R1", (uintptr_t)hole >= low && (uintptr_t)hole < high && *holes > 0, hole);
	--*holes;
	const struct hole *child[2] = { hole->left, hole->right };
	size_t most = length_of(&hole->block);
	for (unsigned i = 0; i < 2; i++) {
		if (!child[i])
			continue;
		struct verdict verdict = check_tree(child[i], i ? (uintptr_t)hole + 1 : low, i ? high : (uintptr_t)hole, holes);
		if (verdict.broken)
			return verdict;
		most = child[i]->most > most ? child[i]->most : most;
	}
	HOLDS("R2", hole->most == most, hole);
	return ALL_HOLD;
}

struct verdict freelist_check(const struct heap *heap)
{
	const struct freelist *list = (const struct freelist *)heap;
	size_t holes = 0;

	for (unsigned i = 0; i < list->pieces; i++) {
		bool free = false;
		for (uintptr_t at = list->piece[i].start; at < list->piece[i].end;) {
			const struct block *block = (const struct block *)at;
			HOLDS("R3", length_of(block) >= HOLE_MIN && length_of(block) <= list->piece[i].end - at, at);
			HOLDS("R4", !free || (block->word & USED), at);
			free = !(block->word & USED);
			HOLDS("R5", free || block->cookie == cookie_of(block), at);
			holes += free;
			at = end_of(block);
		}
	}
	struct verdict verdict = list->root ? check_tree(list->root, 0, UINTPTR_MAX, &holes) : ALL_HOLD;
	if (verdict.broken)
		return verdict;
	HOLDS("R6", holes == 0, list);
	return ALL_HOLD;
}

void freelist_walk(const struct heap *heap, heap_visitor *visit, void *context)
{
	const struct freelist *list = (const struct freelist *)heap;

	for (unsigned i = 0; i < list->pieces; i++)
		for (uintptr_t at = list->piece[i].start; at < list->piece[i].end; at = end_of((const struct block *)at)) {
			struct block *block = (struct block *)at;
			if (!visit(context, block + 1, length_of(block) - sizeof *block, block->word & USED))
				return;
		}
}
