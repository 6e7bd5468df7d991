// heap_report.c: what a heap's memory is used for, and by whom: by walking all of it, for any heap.
//
//    walk ──► every block, used or free ──► heap_report: sums, and what is lost between and inside blocks
//                                       ──► heap_places: the same by who asked for it (the tags of level 1 and above)
//
// Cost: a look at every block, with the heap's lock held. Weakness: heap_places is quadratic in the number of places.
#include "heap_report.h"

#include "heap_entry.h"

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
	heap_enter(heap);
	heap->ops->walk(heap, count_block, report);
	heap_leave(heap);
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
	heap_enter(heap);
	heap->ops->walk(heap, count_place, &places);
	heap_leave(heap);
	for (size_t i = 1; i < places.count; i++) { // most bytes first
		struct heap_place moved = place[i];
		size_t j = i;

		for (; j > 0 && place[j - 1].bytes < moved.bytes; j--)
			place[j] = place[j - 1];
		place[j] = moved;
	}
	return places.count;
}
