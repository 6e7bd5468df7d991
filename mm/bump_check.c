// bump_check.c: the bump heap's check and walk. The invariants B1 to B7 stand in bump.c.
//
//    newest region ──► … ──► the arena: in each the pieces from its start to next, then those from end on
#include "bump.h"

static struct verdict check_region(const struct bump_region *region, size_t *live)
{
	uintptr_t at = region_start(region);
	uint32_t below = 0;

	HOLDS("B1", region->next >= at && region->next <= region->end && region->next % HEAP_ALIGN == 0, region);
	HOLDS("B1", !region->last || ((uintptr_t)region->last >= at && (uintptr_t)region->last < region->next), region);
	while (at < region->next) {
		const struct bump_piece *piece = (const struct bump_piece *)at;

		HOLDS("B2", piece->units > 0 && piece_bytes(piece) <= region->next - at, at);
		HOLDS("B3", piece->below == below, at);
		HOLDS("B4", piece_is(piece, BUMP_LIVE) || piece_is(piece, BUMP_DEAD) || piece_is(piece, BUMP_MARK), at);
		*live += !piece_is(piece, BUMP_DEAD);
		HOLDS("B6", at + piece_bytes(piece) < region->next || piece == region->last, at);
		below = piece->units;
		at += piece_bytes(piece);
	}
	HOLDS("B6", region->next > region_start(region) || !region->last, region);
	HOLDS("B6", !region->last || !piece_is(region->last, BUMP_DEAD), region->last);
	return ALL_HOLD;
}

static struct verdict check_back(const struct bump_region *region, size_t *live)
{
	for (uintptr_t at = region->end; at < region_end(region); at += piece_bytes((struct bump_piece *)at)) {
		const struct bump_piece *piece = (const struct bump_piece *)at;

		HOLDS("B7", piece->units > 0 && piece_bytes(piece) <= region_end(region) - at, at);
		HOLDS("B7", piece_is(piece, BUMP_LIVE) || (piece_is(piece, BUMP_DEAD) && at > region->end), at);
		*live += piece_is(piece, BUMP_LIVE);
	}
	return ALL_HOLD;
}

struct verdict bump_check(const struct heap *heap)
{
	const struct bump *bump = (const struct bump *)heap;
	size_t live = 0;

	for (const struct bump_region *region = bump->region; region; region = region->older) {
		struct verdict verdict = check_region(region, &live);

		if (!verdict.broken)
			verdict = check_back(region, &live);
		if (verdict.broken)
			return verdict;
	}
	HOLDS("B5", live == bump->live, bump);
	return ALL_HOLD;
}

// Shows the pieces from `at` to `end`, but for marks.
static bool walk_pieces(uintptr_t at, uintptr_t end, heap_visitor *visit, void *context)
{
	for (; at < end; at += piece_bytes((struct bump_piece *)at)) {
		struct bump_piece *piece = (struct bump_piece *)at;
		size_t bytes = piece_bytes(piece) - sizeof *piece;

		if (!piece_is(piece, BUMP_MARK) && !visit(context, piece + 1, bytes, piece_is(piece, BUMP_LIVE)))
			return false;
	}
	return true;
}

void bump_walk(const struct heap *heap, heap_visitor *visit, void *context)
{
	const struct bump *bump = (const struct bump *)heap;

	for (const struct bump_region *region = bump->region; region; region = region->older) {
		size_t room = region == bump->region ? region->end - region->next : 0;

		if (!walk_pieces(region_start(region), region->next, visit, context))
			return;
		if (room > sizeof(struct bump_piece))
			if (!visit(context, (struct bump_piece *)region->next + 1, room - sizeof(struct bump_piece), false))
				return;
		if (!walk_pieces(region->end, region_end(region), visit, context))
			return;
	}
}
