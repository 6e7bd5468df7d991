// space.c: a process's address space: what may be where. Making, adding, mapping, unmapping, protecting, sbrk, fork.
//
//      system call           here                         below
//      exec     -----------> space_add ----------------> area_insert
//      mmap     -----------> space_map
//      munmap   -----------> space_unmap --------------> area_cut, area_release --> table_unmap
//      mprotect -----------> space_protect ------------> area_cut, table_protect
//      sbrk     -----------> space_sbrk
//      fork     -----------> space_fork ---------------> table_copy, with a page shared for each leaf
//
//   Nothing here gives a page to anybody: pages come at the first touch, in space_fault.c. An area says what a page may become; a leaf
//   never has more rights than its area, and a private page that somebody else may hold as well is mapped without PTE_W, with PTE_COW
//   when the area may be written.
//
//   Invariants (areas: A1.. in area.c; tables: T1.. in table.c):
//   S1  a leaf lies in an area, at level 0, and its page is allocated
//   S2  a leaf of a private area has the area's bits, or PTE_COW in the place of PTE_W; one of a shared area may lack PTE_W
//   S3  a private leaf with PTE_W is the only reference to its page
//   S4  `resident` is the number of leaves
//   S5  heap_start <= heap_end, and heap areas lie between them, rounded up to pages
//   S6  PTE_DIRTY stands in shared areas only, and where PTE_W stands in one, PTE_DIRTY does, too
//
//   Cost: fork: about a hundred instructions for each page that is mapped, none for others. Weakness: one thread a space.
#include "space.h"

#include "area.h"
#include "page.h"
#include "shared.h"

#define ALL_RIGHTS (ACCESS_READ | ACCESS_WRITE | ACCESS_EXECUTE)

bool space_create(struct space *space, const struct table *kernel)
{
	*space = (struct space){ 0 };
	return table_create(&space->table, kernel);
}

static void drop_all(struct space *space)
{
	while (space->areas) {
		area_release(space, space->areas, space->areas->start, space->areas->end);
		area_drop(space, &space->areas);
	}
	space->heap_start = space->heap_end = 0;
}

void space_destroy(struct space *space)
{
	if (!space || pa_is_none(space->table.root))
		return;
	__atomic_store_n(&space->table.cpus, 0, __ATOMIC_RELAXED); // nothing to flush
	drop_all(space);
	table_destroy(&space->table, NULL, NULL);
}

// False when the range is empty, wraps, leaves user space or does not start on a page. *end: its end, rounded up.
static bool range_end(uint64_t start, uint64_t bytes, uint64_t *end)
{
	if (bytes == 0 || bytes > SPACE_END || start >= SPACE_END || !is_aligned(start, PAGE_BYTES))
		return false;
	*end = start + round_up(bytes, PAGE_BYTES);
	return *end <= SPACE_END;
}

static uint8_t full_rights(unsigned rights)
{
	return (uint8_t)((rights & ALL_RIGHTS) | (rights & ACCESS_WRITE ? ACCESS_READ : 0));
}

enum space_result space_add(struct space *space, uint64_t start, uint64_t bytes, enum area_kind kind, unsigned rights, bool shared,
			    struct source *source, uint64_t offset, uint64_t source_bytes)
{
	uint64_t end;
	if (!range_end(start, bytes, &end) || start < AREA_LOWEST || !area_none_in(space, start, end))
		return SPACE_BAD;
	if (source ? source_bytes > end - start || offset + source_bytes < offset : source_bytes > 0)
		return SPACE_BAD;
	if (shared && source && (!source->ops->pin || !is_aligned(offset, PAGE_BYTES)))
		return SPACE_BAD;
	struct area model = { .start = start, .end = end, .kind = (uint8_t)kind, .rights = full_rights(rights), .shared = shared };
	model.most = shared && source && !(rights & ACCESS_WRITE) ? ALL_RIGHTS & ~ACCESS_WRITE : ALL_RIGHTS;
	model.source = source;
	model.offset = source ? offset : 0;
	model.source_bytes = shared ? end - start : source_bytes;
	struct source *own = NULL;
	if (shared && !source) {
		own = model.source = shared_create();
		if (!own)
			return SPACE_NO_MEMORY;
	}
	struct area *area = area_insert(space, &model);
	if (own)
		own->ops->put(own); // the area has its own reference
	return area ? SPACE_OK : SPACE_NO_MEMORY;
}

// ---- mappings

// The start of the highest free range of `bytes` between the heap and the stack's reach, 0 when there is none.
static uint64_t highest_place(const struct space *space, uint64_t bytes)
{
	uint64_t place = 0, low = round_up(space->heap_end, PAGE_BYTES);
	if (low < AREA_LOWEST)
		low = AREA_LOWEST;
	for (const struct area *area = space->areas;; area = area->next) {
		uint64_t high = area && area->start < AREA_MAPPING_TOP ? area->start : AREA_MAPPING_TOP;
		if (high >= low && high - low >= bytes)
			place = high - bytes;
		if (!area || area->end >= AREA_MAPPING_TOP)
			return place;
		if (area->end > low)
			low = area->end;
	}
}

enum space_result space_map(struct space *space, uint64_t hint, uint64_t bytes, unsigned rights, bool shared, struct source *source,
			    uint64_t offset, uint64_t *out)
{
	uint64_t end, start = hint;
	if (bytes == 0 || !is_aligned(offset, PAGE_BYTES))
		return SPACE_BAD;
	if (bytes > SPACE_END)
		return SPACE_NO_MEMORY;
	bytes = round_up(bytes, PAGE_BYTES);
	if (hint < AREA_LOWEST || !range_end(hint, bytes, &end) || end > AREA_MAPPING_TOP || !area_none_in(space, hint, end))
		start = highest_place(space, bytes);
	if (start == 0)
		return SPACE_NO_MEMORY;
	enum space_result result = space_add(space, start, bytes, AREA_MAPPING, rights, shared, source, offset, source ? bytes : 0);
	if (result != SPACE_OK)
		return result;
	area_join(space, start + bytes);
	area_join(space, start);
	*out = start;
	return SPACE_OK;
}

// Cuts areas so that none lies across an end. False, and nothing changed, when there is no memory.
static bool cut_out(struct space *space, uint64_t start, uint64_t end)
{
	if (!area_cut(space, start))
		return false;
	if (area_cut(space, end))
		return true;
	area_join(space, start);
	return false;
}

enum space_result space_unmap(struct space *space, uint64_t start, uint64_t bytes)
{
	uint64_t end;
	if (!range_end(start, bytes, &end))
		return SPACE_BAD;
	if (!cut_out(space, start, end))
		return SPACE_NO_MEMORY;
	struct area **link = &space->areas;
	while (*link && (*link)->start < start)
		link = &(*link)->next;
	if (*link && (*link)->start < end)
		area_release(space, *link, start, end);
	while (*link && (*link)->start < end)
		area_drop(space, link);
	return SPACE_OK;
}

// True when areas cover all of [start, end) and may have these rights.
static bool may_have(const struct space *space, uint64_t start, uint64_t end, unsigned rights)
{
	for (const struct area *area = area_after(space, start); start < end; start = area->end, area = area->next)
		if (!area || area->start > start || (rights & ~area->most))
			return false;
	return true;
}

static void protect_area(struct space *space, struct area *area, uint8_t rights)
{
	if (area->start == area->end)
		return;
	area->rights = rights;
	// The next write decides who has the page, or that it becomes dirty: PTE_W comes back with it.
	uint64_t bits = area_bits(area);
	if (bits & PTE_W)
		bits = (bits & ~(uint64_t)PTE_W) | (area->shared ? 0 : PTE_COW);
	if (table_protect(&space->table, VA(area->start), area->end - area->start, bits) != TABLE_OK)
		port_panic("space_protect: a user table has no large leaves to split", (uintptr_t)area->start);
}

enum space_result space_protect(struct space *space, uint64_t start, uint64_t bytes, unsigned rights)
{
	uint64_t end;
	if (!range_end(start, bytes, &end) || !may_have(space, start, end, full_rights(rights)))
		return SPACE_BAD;
	if (!cut_out(space, start, end))
		return SPACE_NO_MEMORY;
	for (struct area *area = area_after(space, start); area && area->start < end; area = area->next)
		protect_area(space, area, full_rights(rights));
	struct area *area = area_after(space, start);
	while (area && area->start <= end) { // a join takes the area above away
		uint64_t at = area->start;
		struct area *above = area->next;
		area_join(space, at);
		area = above;
	}
	return SPACE_OK;
}

// ---- the program break

static bool is_plain_heap(const struct area *area)
{
	return area->kind == AREA_HEAP && area->rights == (ACCESS_READ | ACCESS_WRITE);
}

// The last area that ends at `from`, when the heap may grow in it; NULL otherwise.
static struct area *heap_end_at(const struct space *space, uint64_t from)
{
	struct area *found = space->recent;
	if (found && found->end == from && is_plain_heap(found)) // two that meet would have been joined
		return found;
	found = NULL;
	for (struct area *area = area_after(space, from - 1); area && area->end <= from; area = area->next)
		found = area;
	return found && found->end == from && is_plain_heap(found) ? found : NULL;
}

static __attribute__((noinline)) enum space_result heap_grow(struct space *space, uint64_t from, uint64_t to)
{
	struct area *area = heap_end_at(space, from);
	if (to > AREA_MAPPING_TOP || (area ? area->next && area->next->start < to : !area_none_in(space, from, to)))
		return SPACE_BAD;
	if (!area)
		return space_add(space, from, to - from, AREA_HEAP, ACCESS_READ | ACCESS_WRITE, false, NULL, 0, 0);
	area->end = to;
	return SPACE_OK;
}

// Takes all heap areas from `to` on; other areas that were put there stay.
static __attribute__((noinline)) void heap_drop(struct space *space, uint64_t to)
{
	for (struct area **link = &space->areas; *link;) {
		struct area *area = *link;
		if (area->kind != AREA_HEAP || area->end <= to) {
			link = &area->next;
			continue;
		}
		uint64_t start = area->start > to ? area->start : to;
		area_release(space, area, start, area->end);
		if (start == area->start)
			area_drop(space, link);
		else
			area->end = start;
	}
}

static __attribute__((noinline)) void heap_shrink(struct space *space, uint64_t from, uint64_t to)
{
	struct area *last = area_after(space, to);
	if (!last || !is_plain_heap(last) || last->start > to || last->end != from) {
		heap_drop(space, to);
		return;
	}
	last->end = to; // perhaps empty: it will be wanted again
	if (table_unmap(&space->table, VA(to), from - to, area_free_page, &space->resident) != TABLE_OK)
		port_panic("space_sbrk: a user table has no large leaves to split", (uintptr_t)to);
}

enum space_result space_sbrk(struct space *space, int64_t delta, uint64_t *old)
{
	uint64_t end = space->heap_end + (uint64_t)delta; // a break below the heap's start, or a wrap, is a very large size
	if (end - space->heap_start > SPACE_END - space->heap_start)
		return delta < 0 ? SPACE_BAD : SPACE_NO_MEMORY;
	uint64_t from = round_up(space->heap_end, PAGE_BYTES), to = round_up(end, PAGE_BYTES);
	if (to > from) {
		enum space_result result = heap_grow(space, from, to);
		if (result != SPACE_OK)
			return result;
	} else if (to < from) {
		heap_shrink(space, from, to);
	}
	*old = space->heap_end;
	space->heap_end = end;
	return SPACE_OK;
}

// ---- fork

// The same pages for both: neither may write to them now, where one could before.
static unsigned share_leaves(void *context, pte_t *from, pte_t *to, size_t count, va_t va, unsigned level, bool *narrowed)
{
	(void)va, (void)level;
	unsigned shared = 0;
	uint64_t writable = 0;
	for (const pte_t *end = from + count; from < end; from++, to++) {
		uint64_t raw = from->raw;
		if (!(raw & PTE_V))
			continue;
		writable |= raw;
		if (raw & PTE_W) {
			raw = (raw & ~(uint64_t)PTE_W) | PTE_COW;
			from->raw = raw;
		}
		to->raw = raw;
		shared++;
		page_share(pte_pa((pte_t){ raw }));
	}
	*(size_t *)context += shared;
	*narrowed = writable & PTE_W;
	return shared;
}

static bool fork_area(struct space *child, struct space *parent, const struct area *area, struct area **link)
{
	uint64_t bytes = area->end - area->start;
	if (!area_add(link, area))
		return false;
	return area->shared || bytes == 0 ||
	       table_copy(&child->table, &parent->table, VA(area->start), bytes, share_leaves, &child->resident) == TABLE_OK;
}

enum space_result space_fork(struct space *child, struct space *parent)
{
	struct area **link = &child->areas;
	for (const struct area *area = parent->areas; area; area = area->next) {
		if (!fork_area(child, parent, area, link)) {
			drop_all(child);
			return SPACE_NO_MEMORY;
		}
		link = &(*link)->next;
	}
	child->heap_start = parent->heap_start;
	child->heap_end = parent->heap_end;
	return SPACE_OK;
}
