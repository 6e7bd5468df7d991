// heap_report.c: what a heap's memory is used for, and whether its blocks are what they seem: by walking all of it, for any heap.
//
//    walk ──► every block, used or free ──► heap_report: sums, and what is lost between and inside blocks
//                                       ──► heap_places: the same by who asked for it (the tags of level 1 and above)
//                                       ──► heap_check:  the heap's own check, and then
//
//    H1  the heap's ops are set                 H2  every block that walk finds is aligned to HEAP_ALIGN, not empty and does not wrap
//    H3  at level 1 and above, the tag of each used block fits inside the block
//
// Cost: a look at every block, with the heap's lock held. Weakness: heap_places is quadratic in the number of places.
#include "heap_tag.h"

static void enter(const struct heap *heap)
{
	if (!heap->ops->own_locking)
		lock_acquire(&((struct heap *)(uintptr_t)heap)->lock);
}

static void leave(const struct heap *heap)
{
	if (!heap->ops->own_locking)
		lock_release(&((struct heap *)(uintptr_t)heap)->lock);
}

// ---- sums

static size_t asked_for(const void *block, size_t bytes)
{
	return MM_CHECK ? ((const struct tag *)block)->bytes : bytes;
}

static bool count_block(void *context, void *block, size_t bytes, bool used)
{
	struct heap_report *report = context;

	if (used) {
		report->blocks++;
		report->asked += asked_for(block, bytes);
		report->used += bytes;
	} else {
		report->free += bytes;
		if (bytes > report->largest_free)
			report->largest_free = bytes;
	}
	return true;
}

// Of so many bytes, how many in a thousand the part leaves over. No machine has 2^54 bytes.
static unsigned per_mille(size_t part, size_t bytes)
{
	return bytes ? 1000 - (unsigned)(part * 1000 / bytes) : 0;
}

void heap_report(const struct heap *heap, struct heap_report *report)
{
	*report = (struct heap_report){ .name = heap->ops->name };
	enter(heap);
	heap->ops->walk(heap, count_block, report);
	leave(heap);
	report->internal = per_mille(report->asked, report->used);
	report->external = per_mille(report->largest_free, report->free);
}

// ---- places

struct places {
	struct heap_place *place;
	size_t count, limit;
};

static bool count_place(void *context, void *block, size_t bytes, bool used)
{
	struct places *places = context;
	const void *caller = MM_CHECK && used ? ((const struct tag *)block)->caller : NULL;
	size_t i = 0;

	if (!used)
		return true;
	while (i < places->count && places->place[i].caller != caller)
		i++;
	if (i == places->limit) {
		i--; // the last entry stands for all that found no room
		places->place[i].caller = NULL;
	} else if (i == places->count) {
		places->place[places->count++] = (struct heap_place){ .caller = caller };
	}
	places->place[i].blocks++;
	places->place[i].bytes += asked_for(block, bytes);
	return true;
}

size_t heap_places(const struct heap *heap, struct heap_place *place, size_t limit)
{
	struct places places = { place, 0, limit };

	if (limit == 0)
		return 0;
	enter(heap);
	heap->ops->walk(heap, count_place, &places);
	leave(heap);
	for (size_t i = 1; i < places.count; i++) { // most bytes first
		struct heap_place moved = place[i];
		size_t j = i;

		for (; j > 0 && place[j - 1].bytes < moved.bytes; j--)
			place[j] = place[j - 1];
		place[j] = moved;
	}
	return places.count;
}

// ---- check

static bool judge_block(void *context, void *block, size_t bytes, bool used)
{
	struct verdict *verdict = context;
	const struct tag *tag = block;

	*verdict = (struct verdict){ "H2", (uintptr_t)block };
	if ((uintptr_t)block % HEAP_ALIGN || (used && bytes == 0) || (uintptr_t)block + bytes < (uintptr_t)block)
		return false;
	*verdict = (struct verdict){ "H3", (uintptr_t)block };
	if (MM_CHECK && used && (bytes < FRONT_MIN + TAIL || tag->bytes > bytes - FRONT_MIN - TAIL))
		return false;
	*verdict = ALL_HOLD;
	return true;
}

struct verdict heap_check(const struct heap *heap)
{
	struct verdict verdict = ALL_HOLD;

	HOLDS("H1", heap->ops, heap);
	enter(heap);
	verdict = heap->ops->check(heap);
	if (!verdict.broken)
		heap->ops->walk(heap, judge_block, &verdict);
	leave(heap);
	return verdict;
}
