// space_fault.c: what a page fault means: the first touch of a page, the first write to a shared one, a stale TLB entry, or a mistake.
//
//      no area here ---------------- stack above and in reach? grow it. Else SPACE_BAD
//      area without the right ------ SPACE_BAD
//      leaf that has the right ----- spurious: another translation was cached; forget it here
//      leaf with PTE_COW, write ---- the only reference? write on. Else a copy of our own
//      leaf of a shared area, write  from now on it is dirty
//      no leaf, shared ------------- the source pins its page
//      no leaf, whole file page ---- the source lends its page (PTE_COW when the area may be written)
//      no leaf, else --------------- a page of our own: zeroes, or read from the source
//
//   Cost: a demand-zero fault: a walk to look, a page, a walk to map. Weakness: one page at a time, no reading ahead.
#include "area.h"
#include "page.h"
#include "shared.h"

#define NOT_INLINE __attribute__((noinline)) // so that the common way, a page of zeroes, saves few registers

// The area that allows `access` at the page `va`: it holds the page, or is a stack that may grow down to it, for nothing else is in the
// way. NULL: there is none.
static struct area *area_for(const struct space *space, uint64_t va, enum access access)
{
	struct area *area = area_after(space, va);
	if (!area || !(area->rights & access))
		return NULL;
	if (area->start <= va)
		return area;
	bool grows = area->kind == AREA_STACK && !area->source && va >= SPACE_STACK_TOP - SPACE_STACK_MAX;
	return grows && area_none_in(space, va - PAGE_BYTES, area->start) ? area : NULL;
}

static void forget_here(const struct space *space, uint64_t va)
{
	struct pin pin = port_pin();
	uint32_t here = __atomic_load_n(&space->table.cpus, __ATOMIC_RELAXED) & (uint32_t)1 << pin.cpu;
	if (here)
		port_flush(space->table.asid, here, (uintptr_t)va, 1);
	port_unpin(pin);
}

static void forget_everywhere(const struct space *space, uint64_t va)
{
	uint32_t cpus = __atomic_load_n(&space->table.cpus, __ATOMIC_ACQUIRE);
	if (cpus)
		port_flush(space->table.asid, cpus, (uintptr_t)va, 1);
}

static void copy_page(pa_t to, pa_t from)
{
	uint64_t *into = pa_pointer(to);
	const uint64_t *out = pa_pointer(from);
	for (size_t i = 0; i < PAGE_BYTES / sizeof *into; i += 8) {
		uint64_t a = out[i], b = out[i + 1], c = out[i + 2], d = out[i + 3];
		uint64_t e = out[i + 4], f = out[i + 5], g = out[i + 6], h = out[i + 7];
		into[i] = a, into[i + 1] = b, into[i + 2] = c, into[i + 3] = d;
		into[i + 4] = e, into[i + 5] = f, into[i + 6] = g, into[i + 7] = h;
	}
}

// A write to a page that was mapped copy-on-write.
static enum space_result own_page(const struct space *space, pte_t *leaf, uint64_t va)
{
	pa_t old = pte_pa(*leaf);
	uint64_t bits = (leaf->raw & 0x3ff & ~(uint64_t)PTE_COW) | PTE_W;
	if (page_refs(old) == 1) {
		leaf->raw = pte_make(old, bits).raw;
		forget_here(space, va);
		return SPACE_OK;
	}
	pa_t fresh = page_alloc(0, PAGE_KERNEL);
	if (pa_is_none(fresh))
		return SPACE_NO_MEMORY;
	copy_page(fresh, old);
	*leaf = pte_make(fresh, bits);
	forget_everywhere(space, va);
	page_free(old);
	return SPACE_OK;
}

static uint64_t right_bits(enum access access)
{
	return PTE_V | PTE_U | (access == ACCESS_WRITE ? PTE_W : access == ACCESS_EXECUTE ? PTE_X : PTE_R);
}

static NOT_INLINE enum space_result fault_present(const struct space *space, const struct area *area, pte_t *leaf, uint64_t va,
						  enum access access)
{
	uint64_t right = right_bits(access);
	if ((leaf->raw & right) == right) {
		forget_here(space, va);
		return SPACE_OK;
	}
	if (access != ACCESS_WRITE)
		return SPACE_BAD;
	if (!area->shared)
		return own_page(space, leaf, va);
	leaf->raw |= PTE_W | PTE_DIRTY;
	forget_here(space, va);
	return SPACE_OK;
}

// A page of a source for a private area. *bits: the leaf's, narrowed when the page is a borrowed one.
static NOT_INLINE enum space_result source_page(const struct area *area, uint64_t skip, enum access access, pa_t *page, uint64_t *bits)
{
	struct source *source = area->source;
	uint64_t offset = area->offset + skip, bytes = area->source_bytes - skip;
	if (source->ops->borrow && access != ACCESS_WRITE && bytes >= PAGE_BYTES && is_aligned(offset, PAGE_BYTES)) {
		*page = source->ops->borrow(source, offset);
		if (!pa_is_none(*page)) {
			if (*bits & PTE_W)
				*bits = (*bits & ~(uint64_t)PTE_W) | PTE_COW;
			return SPACE_OK;
		}
	}
	*page = page_alloc(0, bytes < PAGE_BYTES ? PAGE_ZERO : PAGE_KERNEL);
	if (pa_is_none(*page))
		return SPACE_NO_MEMORY;
	if (source->ops->read(source, offset, pa_pointer(*page), (size_t)(bytes < PAGE_BYTES ? bytes : PAGE_BYTES)))
		return SPACE_OK;
	page_free(*page);
	return SPACE_IO;
}

// The page of a shared area. *bits: the leaf's, without PTE_W until the first write.
static NOT_INLINE enum space_result shared_page(const struct area *area, uint64_t skip, enum access access, pa_t *page, uint64_t *bits)
{
	struct source *source = area->source;
	*page = source->ops->pin(source, area->offset + skip);
	if (pa_is_none(*page))
		return shared_is(source) ? SPACE_NO_MEMORY : SPACE_IO;
	*bits = access == ACCESS_WRITE ? *bits | PTE_DIRTY : *bits & ~(uint64_t)PTE_W;
	return SPACE_OK;
}

static void give_back(const struct area *area, uint64_t skip, pa_t page)
{
	if (area->shared)
		area->source->ops->unpin(area->source, area->offset + skip, page, false);
	else
		page_free(page);
}

static enum space_result fault_absent(struct space *space, const struct area *area, struct slot slot, uint64_t va, enum access access)
{
	uint64_t bits = area_bits(area), skip = va - area->start;
	enum space_result result;
	pa_t page;
	if (skip >= area->source_bytes) {
		page = page_alloc(0, PAGE_ZERO);
		result = pa_is_none(page) ? SPACE_NO_MEMORY : SPACE_OK;
	} else {
		result = (area->shared ? shared_page : source_page)(area, skip, access, &page, &bits);
	}
	if (result != SPACE_OK)
		return result;
	if (slot.level == 0) {
		table_fill(slot.entry, page, bits);
	} else if (table_map(&space->table, VA(va), page, 0, bits) != TABLE_OK) {
		give_back(area, skip, page);
		return SPACE_NO_MEMORY;
	}
	space->resident++;
	return SPACE_OK;
}

enum space_result space_fault(struct space *space, uint64_t va, enum access access)
{
	if (va >= SPACE_END)
		return SPACE_BAD;
	va = round_down(va, PAGE_BYTES);
	struct area *area = area_for(space, va, access);
	if (!area)
		return SPACE_BAD;
	space->recent = area;
	uint64_t start = area->start;
	if (va < start)
		area->start = va;
	struct slot slot = table_find(&space->table, VA(va));
	enum space_result result = pte_is_valid(*slot.entry) ? fault_present(space, area, slot.entry, va, access)
							     : fault_absent(space, area, slot, va, access);
	if (result != SPACE_OK)
		area->start = start;
	return result;
}
