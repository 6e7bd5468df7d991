// area.c: the areas of a space as a sorted list, cut where rights or backing change and joined where they no longer do.
//
//      areas -> [text]->[data]->[heap ....]            ->[mapping]->[stack]
//               start  end=start   end     (hole)
//
//      cut:   [      a      ]   ->   [  a  |  b   ]     the second gets the rest of the source
//      join:  [  a  |  b   ]    ->   [      a      ]     when kind, rights, sharing and source agree
//
//   Invariants:
//   A1  areas are sorted and disjoint, each with start < end <= SPACE_END, both page-aligned; only a heap that shrank may be empty
//   A2  rights and `most` have known bits only, writing implies reading, and rights are among `most`
//   A3  a shared area has a source that can pin, at a page-aligned offset
//   A4  source_bytes is at most the area's length, and all of it in a shared area; 0 without a source
//   A5  `recent` is NULL or one of the areas
//
//   Cost: linear in the number of areas, which is below ten for most programs; the last one found is tried first.
//   Weakness: a program with thousands of mappings would want a tree.
#include "area.h"

#include "heap.h"
#include "page.h"

static inline uint64_t area_bytes(const struct area *area)
{
	return area->end - area->start;
}

struct area *area_search(const struct space *space, uint64_t va)
{
	struct area *area = space->recent;
	if (!area || area->start > va)
		area = space->areas;
	while (area && area->end <= va)
		area = area->next;
	return area;
}

bool area_none_in(const struct space *space, uint64_t start, uint64_t end)
{
	const struct area *area = area_after(space, start);
	while (area && area->start == area->end)
		area = area->next;
	return !area || area->start >= end;
}

struct area *area_add(struct area **link, const struct area *model)
{
	struct area *area = kmalloc(sizeof *area);
	if (!area)
		return NULL;
	*area = *model;
	area->next = *link;
	*link = area;
	if (area->source)
		area->source->ops->get(area->source);
	return area;
}

struct area *area_insert(struct space *space, const struct area *model)
{
	struct area **link = &space->areas;
	while (*link && (*link)->end <= model->start)
		link = &(*link)->next;
	while (*link && (*link)->start < model->end)
		area_drop(space, link); // a heap that shrank to nothing
	return area_add(link, model);
}

bool area_cut(struct space *space, uint64_t at)
{
	struct area *area = area_after(space, at);
	if (!area || area->start >= at)
		return true;
	uint64_t low = at - area->start; // bytes that stay in `area`
	struct area rest = *area;
	rest.start = at;
	rest.offset += low;
	rest.source_bytes = area->source_bytes > low ? area->source_bytes - low : 0;
	uint64_t end = area->end;
	area->end = at; // so that the rest finds its place behind it
	if (!area_insert(space, &rest)) {
		area->end = end;
		return false;
	}
	if (area->source_bytes > low)
		area->source_bytes = low;
	return true;
}

static bool could_be_one(const struct area *a, const struct area *b)
{
	if (a->end != b->start || a->kind != b->kind || a->rights != b->rights || a->most != b->most || a->shared != b->shared ||
	    a->source != b->source)
		return false;
	if (!a->source)
		return true;
	if (b->source_bytes == 0)
		return !a->shared;
	return b->offset == a->offset + area_bytes(a) && a->source_bytes == area_bytes(a);
}

void area_join(struct space *space, uint64_t at)
{
	struct area *area = space->areas;
	while (area && area->end < at)
		area = area->next;
	if (!area || area->end != at || !area->next || !could_be_one(area, area->next))
		return;
	struct area *next = area->next;
	area->source_bytes += next->source_bytes;
	area->end = next->end;
	area_drop(space, &area->next);
}

void area_drop(struct space *space, struct area **link)
{
	struct area *area = *link;
	*link = area->next;
	if (space->recent == area)
		space->recent = NULL;
	if (area->source)
		area->source->ops->put(area->source);
	kfree(area);
}

// ---- giving pages back

struct release {
	struct space *space;
	const struct area *area; // the one that the last page was in
};

static void release_page(void *context, pte_t leaf, va_t va, unsigned level)
{
	(void)level; // always 0
	struct release *release = context;
	const struct area *area = release->area;
	while (va.raw >= area->end)
		release->area = area = area->next;
	release->space->resident--;
	if (area->shared)
		area->source->ops->unpin(area->source, area->offset + (va.raw - area->start), pte_pa(leaf), leaf.raw & PTE_DIRTY);
	else
		page_free(pte_pa(leaf));
}

void area_free_page(void *context, pte_t leaf, va_t va, unsigned level)
{
	(void)va, (void)level;
	--*(size_t *)context;
	page_free(pte_pa(leaf));
}

void area_release(struct space *space, struct area *first, uint64_t start, uint64_t end)
{
	enum table_result result;
	if (start == end)
		return;
	if (end <= first->end && !first->shared) {
		result = table_unmap(&space->table, VA(start), end - start, area_free_page, &space->resident);
	} else {
		struct release release = { space, first };
		result = table_unmap(&space->table, VA(start), end - start, release_page, &release);
	}
	if (result != TABLE_OK)
		port_panic("area_release: a user table has no large leaves to split", (uintptr_t)start);
}

// ---- check

struct verdict area_check(const struct space *space)
{
	uint64_t last_end = 0;
	bool recent_seen = space->recent == NULL;
	for (const struct area *area = space->areas; area; area = area->next) {
		HOLDS("A1", is_aligned((uintptr_t)area, sizeof(uint64_t)), area);
		HOLDS("A1", area->start >= last_end && area->start <= area->end && area->end <= SPACE_END, area);
		HOLDS("A1", area->start < area->end || (area->kind == AREA_HEAP && area->next != area), area);
		HOLDS("A1", is_aligned(area->start | area->end, PAGE_BYTES), area);
		const unsigned all = ACCESS_READ | ACCESS_WRITE | ACCESS_EXECUTE;
		HOLDS("A2", !(area->most & ~all) && !(area->rights & ~area->most), area);
		HOLDS("A2", !(area->rights & ACCESS_WRITE) || (area->rights & ACCESS_READ), area);
		HOLDS("A3", !area->shared || (area->source && area->source->ops->pin && is_aligned(area->offset, PAGE_BYTES)), area);
		HOLDS("A4", !area->shared || area->source_bytes == area_bytes(area), area);
		HOLDS("A4", area->source_bytes <= (area->source ? area_bytes(area) : 0), area);
		last_end = area->end;
		recent_seen |= area == space->recent;
	}
	HOLDS("A5", recent_seen, space->recent);
	return ALL_HOLD;
}
