// space_check.c: whether a space's areas, leaves and counters agree (S1..S6 of space.c, after A1.. and T1..), and what it uses, in numbers.
//
//      areas    [ data | rw ]      [ stack ]
//      leaves    rw cow . .         . rw          each leaf against its area and its page's references
//
//   Cost: a walk of the table for each present page and each absent subtree of the areas.
#include "area.h"
#include "page.h"

// The first leaf in [*va, end); *va becomes its address. NULL when there is none.
static const pte_t *next_leaf(const struct table *table, uint64_t *va, uint64_t end)
{
	while (*va < end) {
		struct slot slot = table_find(table, VA(*va));
		if (pte_is_valid(*slot.entry))
			return slot.entry;
		*va = round_down(*va, level_bytes(slot.level)) + level_bytes(slot.level);
	}
	return NULL;
}

static struct verdict check_leaf(const struct area *area, pte_t leaf, const pte_t *place)
{
	uint64_t full = area_bits(area), have = leaf.raw & PTE_PERMISSIONS;
	HOLDS("S1", page_is_allocated(pte_pa(leaf)), place);
	HOLDS("S6", !(leaf.raw & PTE_DIRTY) || area->shared, place);
	if (area->shared) {
		HOLDS("S2", (have == full || have == (full & ~(uint64_t)PTE_W)) && !(leaf.raw & PTE_COW), place);
		HOLDS("S6", !(leaf.raw & PTE_W) || (leaf.raw & PTE_DIRTY), place);
		return ALL_HOLD;
	}
	if (leaf.raw & PTE_COW)
		HOLDS("S2", (full & PTE_W) && have == (full & ~(uint64_t)PTE_W), place);
	else
		HOLDS("S2", have == full, place);
	HOLDS("S3", !(leaf.raw & PTE_W) || page_refs(pte_pa(leaf)) == 1, place);
	return ALL_HOLD;
}

struct verdict space_check(const struct space *space)
{
	struct verdict verdict = table_check(&space->table);
	if (!verdict.broken)
		verdict = area_check(space);
	if (verdict.broken)
		return verdict;
	size_t leaves = 0;
	uint64_t va = 0;
	for (const struct area *area = space->areas;; area = area->next) {
		const pte_t *stray = next_leaf(&space->table, &va, area ? area->start : SPACE_END);
		HOLDS("S1", !stray, va);
		if (!area)
			break;
		for (const pte_t *leaf; (leaf = next_leaf(&space->table, &va, area->end)); va += PAGE_BYTES) {
			HOLDS("S1", is_aligned(va, PAGE_BYTES) && table_find(&space->table, VA(va)).level == 0, va);
			verdict = check_leaf(area, *leaf, leaf);
			if (verdict.broken)
				return verdict;
			leaves++;
		}
		va = area->end;
		HOLDS("S5", area->kind != AREA_HEAP || (area->start >= round_up(space->heap_start, PAGE_BYTES) &&
							area->end <= round_up(space->heap_end, PAGE_BYTES)), area);
	}
	HOLDS("S4", leaves == space->resident, &space->resident);
	HOLDS("S5", space->heap_start <= space->heap_end, &space->heap_start);
	return ALL_HOLD;
}

void space_report(const struct space *space, struct space_report *report)
{
	*report = (struct space_report){ .tables = space->table.pages };
	for (const struct area *area = space->areas; area; area = area->next) {
		report->areas += area->start < area->end;
		report->bytes += area->end - area->start;
		uint64_t va = area->start;
		for (const pte_t *leaf; (leaf = next_leaf(&space->table, &va, area->end)); va += PAGE_BYTES) {
			report->resident++;
			report->shared += page_refs(pte_pa(*leaf)) > 1;
		}
	}
}
