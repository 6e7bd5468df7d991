// freelist_check.c: check and walk of the heap of units with two bits each.
#include "freelist.h"

struct verdict freelist_check(const struct heap *heap)
{
	const struct freelist *list = (const struct freelist *)heap;
	size_t total = 0;

	for (const struct piece *piece = list->pieces; piece; piece = piece->next) {
		size_t run = 0;
		for (size_t i = 0; i < piece->units; i++) {
			bool used = bit(piece->used, i);
			HOLDS("M1", used || !bit(piece->starts, i), piece->base + i * UNIT);
			HOLDS("M2", !used || bit(piece->starts, i) || (i > 0 && bit(piece->used, i - 1)), piece->base + i * UNIT);
			run = used ? 0 : run + 1;
			HOLDS("M3", run <= piece->most, piece->base + i * UNIT);
		}
		total += piece->bytes;
	}
	HOLDS("M4", total == list->total, list);
	return ALL_HOLD;
}

void freelist_walk(const struct heap *heap, heap_visitor *visit, void *context)
{
	const struct freelist *list = (const struct freelist *)heap;

	for (const struct piece *piece = list->pieces; piece; piece = piece->next)
		for (size_t start = 0, end; start < piece->units; start = end) {
			bool used = bit(piece->used, start);
			end = used ? block_end(piece, start) : next_bit(piece->used, start, piece->units, true);
			if (!visit(context, (void *)(piece->base + start * UNIT), (end - start) * UNIT, used))
				return;
		}
}
