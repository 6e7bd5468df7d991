// vmalloc.c: virtually contiguous kernel memory out of scattered pages, a guard page after each block.
//
//    area  |anchor|guard| block      |guard| block |guard|   free            |anchor|guard|  …
//             ▲            │ first page's record: owner ─► struct range, tag
//             │            ▼
//    one anchor page is mapped at the area's start and at each GiB: it keeps the upper tables alive, which all roots share
//
//    a window is a range without memory of its own: its user maps and unmaps pages of it
//
//    ranges: sorted by address, doubly linked, records of a slab cache; a rover remembers where the last search ended
//
//    V1  ranges rise, lie in the area and keep a page between them           V2  links agree both ways, and the rover is one of the ranges
//    V3  each page of a block is mapped to a page of RAM, its guard is not   V4  a block's first page names its range
//    V5  the count of ranges is right                                        V6  a window knows how many of its pages are mapped
//
// Cost: a look at the next gap, one page_alloc and table_map for each page, one flush for each free. Weakness: the search is linear when
// the area is nearly full; no large leaves. Metadata: 64 bytes a block, 1.6 per cent at most.
// Lock order: vmalloc's lock, then those of slab's caches, then page.c's zones. kmalloc comes here without holding a lock, and caches take
// their slabs from page_alloc alone: no circle.
#include "page.h"
#include "slab.h"
#include "vmalloc.h"

#define VMALLOC_TAG   ((uint16_t)0x3a11) // struct page.tag of a block's first page; owner: its struct range
#define OWNER_SHIFT   6u                 // struct page.owner is a physical address in units of 64 bytes
#define ANCHOR_STRIDE level_bytes(2)

enum range_kind { BLOCK, ANCHOR, WINDOW };

struct range {
	_Alignas(1u << OWNER_SHIFT) struct range *next, *previous; // by address
	uint64_t start;                // virtual address of the first page
	uint64_t pages;                // without the guard
	uint64_t mapped;               // of them, in a window
	enum range_kind kind;
};

static struct {
	struct lock lock; // guards all below and the kernel's table
	struct table *table;
	uint64_t start, end;
	struct range head; // before the first: an empty range at `start`
	struct range *rover;
	struct kmem_cache *records;
	size_t count;
} area = { .lock = { .name = "vmalloc" } };

// ---- records ----

// A new record in the list; NULL when there is no memory.
static struct range *link_after(struct range *before, uint64_t start, uint64_t pages)
{
	struct range *range = kmem_cache_alloc(area.records);

	if (!range)
		return NULL;
	*range = (struct range){ before->next, before, start, pages, 0, BLOCK };
	if (before->next)
		before->next->previous = range;
	before->next = range;
	area.count++;
	return range;
}

static void unlink(struct range *range)
{
	range->previous->next = range->next;
	if (range->next)
		range->next->previous = range->previous;
	area.rover = range->previous;
	area.count--;
	range->start = 0;
	kmem_cache_free(area.records, range);
}

static uint64_t after(const struct range *range) // the first address a following block may have
{
	return range->start + (range->pages + (range->pages > 0)) * PAGE_BYTES;
}

// The range after which `pages` pages and a guard fit, NULL when there is no such gap. Starts at the rover and comes round once.
static struct range *find_gap(uint64_t pages)
{
	struct range *range = area.rover;

	do {
		uint64_t end = range->next ? range->next->start : area.end, start = after(range);

		if (start < end && (end - start) / PAGE_BYTES > pages)
			return range;
		range = range->next ? range->next : &area.head;
	} while (range != area.rover);
	return NULL;
}

// ---- pages ----

static void release_page(void *context, pte_t leaf, va_t va, unsigned level)
{
	(void)context, (void)va, (void)level;
	page_of(pte_pa(leaf))->tag = 0;
	page_free(pte_pa(leaf));
}

static void unmap(uint64_t start, uint64_t pages)
{
	if (table_unmap(area.table, VA(start), pages * PAGE_BYTES, release_page, NULL) != TABLE_OK)
		port_panic("vmalloc: a large leaf stands in the area", start); // only splitting one could need memory
}

// Maps fresh pages; all or nothing.
static bool map(uint64_t start, uint64_t pages)
{
	for (uint64_t i = 0; i < pages; i++) {
		va_t va = VA(start + i * PAGE_BYTES);
		pa_t page = page_alloc(0, PAGE_KERNEL);

		if (!pa_is_none(page) && table_map(area.table, va, page, 0, PTE_R | PTE_W | PTE_G) == TABLE_OK)
			continue;
		if (!pa_is_none(page))
			page_free(page);
		if (i > 0)
			unmap(start, i);
		return false;
	}
	return true;
}

static bool populate(const struct range *range)
{
	if (!map(range->start, range->pages))
		return false;
	struct page *first = page_of(pte_pa(*table_find(area.table, VA(range->start)).entry));
	first->owner = (uint32_t)(pa_of(range).raw >> OWNER_SHIFT);
	first->tag = VMALLOC_TAG;
	return true;
}

// The range of the block that starts at an address, NULL when none does.
static struct range *range_at(uint64_t start)
{
	if (!area.table || start < area.start || start >= area.end || !is_aligned(start, PAGE_BYTES))
		return NULL;
	struct slot slot = table_find(area.table, VA(start));
	if (slot.level != 0 || !pte_is_leaf(*slot.entry))
		return NULL;
	const struct page *page = page_of(pte_pa(*slot.entry));
	if (!page || page->tag != VMALLOC_TAG)
		return NULL;
	struct range *range = pa_pointer(PA((uint64_t)page->owner << OWNER_SHIFT));
	return range->start == start ? range : NULL;
}

// ---- operations ----

// Maps the anchor page at the start of the area and at each GiB in it.
static bool anchor(struct table *kernel)
{
	pa_t page = page_alloc(0, PAGE_ZERO);
	struct range *last = &area.head;

	if (pa_is_none(page))
		return false;
	for (uint64_t at = area.start; at < area.end; at = round_down(at, ANCHOR_STRIDE) + ANCHOR_STRIDE) {
		last = link_after(last, at, 1);
		if (!last || table_map(kernel, VA(at), page, 0, PTE_R | PTE_G) != TABLE_OK)
			return false;
		last->kind = ANCHOR;
	}
	return true;
}

bool vmalloc_init(struct table *kernel, va_t start, uint64_t bytes)
{
	area.lock = (struct lock){ .name = "vmalloc" };
	area.start = start.raw;
	area.end = start.raw + round_down(bytes, PAGE_BYTES);
	area.head = (struct range){ .start = start.raw };
	area.rover = &area.head;
	area.count = 0;
	area.records = kmem_cache_create("vmalloc", sizeof(struct range), (size_t)1 << OWNER_SHIFT, NULL);
	area.table = area.records && anchor(kernel) ? kernel : NULL; // at boot: nobody wants back what was taken in vain
	return area.table;
}

static void *place(size_t bytes, enum range_kind kind)
{
	uint64_t pages = bytes / PAGE_BYTES + (bytes % PAGE_BYTES > 0);

	if (bytes == 0 || !area.table)
		return NULL;
	lock_acquire(&area.lock);
	struct range *before = find_gap(pages), *range = NULL;
	if (before)
		range = link_after(before, after(before), pages);
	if (range)
		range->kind = kind;
	if (range && kind == BLOCK && !populate(range)) {
		unlink(range);
		range = NULL;
	}
	if (range)
		area.rover = range;
	lock_release(&area.lock);
	return range ? (void *)(uintptr_t)range->start : NULL;
}

void *vmalloc(size_t bytes)
{
	return place(bytes, BLOCK);
}

void *vmalloc_window(size_t bytes)
{
	return place(bytes, WINDOW);
}

static struct range *window_around(uint64_t start, uint64_t bytes)
{
	struct range *range = area.head.next;

	while (range && start - range->start >= range->pages * PAGE_BYTES)
		range = range->next;
	if (!range || range->kind != WINDOW || start + bytes > range->start + range->pages * PAGE_BYTES)
		port_panic("vmalloc: not in a window", start);
	return range;
}

bool vmalloc_window_map(void *start, size_t bytes)
{
	lock_acquire(&area.lock);
	struct range *window = window_around((uintptr_t)start, bytes);
	bool done = map((uintptr_t)start, bytes / PAGE_BYTES);
	window->mapped += done ? bytes / PAGE_BYTES : 0;
	lock_release(&area.lock);
	return done;
}

void vmalloc_window_unmap(void *start, size_t bytes)
{
	lock_acquire(&area.lock);
	window_around((uintptr_t)start, bytes)->mapped -= bytes / PAGE_BYTES;
	unmap((uintptr_t)start, bytes / PAGE_BYTES);
	lock_release(&area.lock);
}

void vfree(void *block)
{
	if (!block)
		return;
	lock_acquire(&area.lock);
	struct range *range = range_at((uintptr_t)block);
	if (!range)
		port_panic("vfree: not a block of vmalloc's, or free already", (uintptr_t)block);
	unmap(range->start, range->pages);
	unlink(range);
	lock_release(&area.lock);
}

size_t vmalloc_bytes(const void *block)
{
	lock_acquire(&area.lock);
	const struct range *range = range_at((uintptr_t)block);
	size_t bytes = range ? (size_t)range->pages * PAGE_BYTES : 0;
	lock_release(&area.lock);
	return bytes;
}

size_t vmalloc_pages(void)
{
	size_t pages = 0;

	lock_acquire(&area.lock);
	for (const struct range *range = area.head.next; range; range = range->next)
		pages += (size_t)(range->kind == WINDOW ? range->mapped : range->pages);
	lock_release(&area.lock);
	return pages;
}

// ---- check ----

static struct verdict check_block(const struct range *range)
{
	uint64_t count = 0;

	for (uint64_t i = 0; i <= range->pages; i++) {
		uint64_t at = range->start + i * PAGE_BYTES;
		struct slot slot = at < area.end ? table_find(area.table, VA(at)) : (struct slot){ 0 };
		bool mapped = slot.entry && pte_is_leaf(*slot.entry);

		count += mapped;
		HOLDS("V3", range->kind == WINDOW ? !mapped || i < range->pages : mapped == (i < range->pages), at);
		HOLDS("V3", !mapped || (slot.level == 0 && page_is_allocated(pte_pa(*slot.entry))), at);
	}
	HOLDS("V4", range->kind != BLOCK || range_at(range->start) == range, range->start);
	HOLDS("V6", range->kind != WINDOW || count == range->mapped, range->start);
	return ALL_HOLD;
}

static struct verdict check_ranges(void)
{
	const struct range *previous = &area.head;
	bool rover = area.rover == &area.head;
	size_t count = 0;

	for (const struct range *range = area.head.next; range; previous = range, range = range->next) {
		HOLDS("V5", ++count <= area.count, range);
		HOLDS("V2", page_of(pa_of(range)) && range->previous == previous, range);
		HOLDS("V1", range->start >= after(previous) && range->pages > 0 && is_aligned(range->start, PAGE_BYTES), range);
		HOLDS("V1", range->start < area.end && range->pages <= (area.end - range->start) / PAGE_BYTES, range);
		rover |= area.rover == range;

		struct verdict verdict = check_block(range);
		if (verdict.broken)
			return verdict;
	}
	HOLDS("V5", count == area.count, &area);
	HOLDS("V2", rover, area.rover);
	return ALL_HOLD;
}

struct verdict vmalloc_check(void)
{
	struct verdict verdict = ALL_HOLD;

	lock_acquire(&area.lock);
	if (area.table)
		verdict = check_ranges();
	lock_release(&area.lock);
	return verdict;
}
