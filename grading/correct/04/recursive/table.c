// table.c: another right solution: maps by recursion, and takes a table down by looking at every entry, from the last to the first.
//
// Tables that a failed call has made are empty when it comes back to their holder, and go off there. Invariants as in the reference.
#include "table_entry.h"

#define KERNEL_INDEX (TABLE_ENTRIES / 2) // first root entry of the upper half
#define LEAF_BITS    (PTE_V | PTE_A | PTE_D)

// ---- making

// A root; a user's shares the kernel's upper half. `tag` counts the entries that are the table's own.
bool table_create(struct table *table, const struct table *kernel)
{
	pa_t root = page_alloc(0, kernel ? PAGE_KERNEL : PAGE_ZERO);
	if (pa_is_none(root))
		return false;
	if (kernel) {
		__builtin_memset(entries(root), 0, PAGE_BYTES / 2);
		__builtin_memcpy(entries(root) + KERNEL_INDEX, entries(kernel->root) + KERNEL_INDEX, PAGE_BYTES / 2);
	}
	page_of(root)->tag = 0;
	*table = (struct table){ .root = root, .asid = kernel ? 0 : PORT_KERNEL_ASID, .pages = 1, .user = kernel != NULL };
	return true;
}

// A new, empty table under an entry, which the table `holder` counts from now on.
bool table_grow(struct table *table, pa_t holder, pte_t *entry)
{
	pa_t fresh = page_alloc(0, PAGE_ZERO);
	if (pa_is_none(fresh))
		return false;
	page_of(fresh)->tag = 0;
	link_table(entry, fresh);
	count_live(holder, 1);
	table->pages++;
	return true;
}

bool table_anchor(struct table *kernel, va_t va, uint64_t bytes)
{
	if ((int64_t)va.raw >= 0 || !va_is_canonical(va) || kernel->user)
		port_panic("table_anchor: only the upper half of the kernel's own table has anchors", (uintptr_t)va.raw);
	for (unsigned i = va_index(va, 2); i <= va_index(VA(va.raw + bytes - 1), 2); i++) {
		pte_t *entry = &entries(kernel->root)[i];
		if (!pte_is_valid(*entry) && !table_grow(kernel, kernel->root, entry))
			return false;
	}
	return true;
}

// Panics, naming the rule, unless a leaf may stand there: aligned, canonical, and in a user's table below the upper half.
static void check_place(const struct table *table, va_t va, pa_t pa, unsigned level)
{
	if (level >= TABLE_LEVELS || !is_aligned(va.raw | pa.raw, level_bytes(level)))
		port_panic("table_map: both addresses must be aligned to the leaf's size", (uintptr_t)va.raw);
	if (!va_is_canonical(va))
		port_panic("table_map: bits 63 to 39 of the address must repeat bit 38", (uintptr_t)va.raw);
	if (table->user && (int64_t)va.raw < 0)
		port_panic("table_map: the upper half belongs to the kernel's table", (uintptr_t)va.raw);
}


// Enters the leaf below `holder`, a table of level `at`. What it made itself and left empty goes off again on the way back.
static enum table_result enter(struct table *table, pa_t holder, unsigned at, va_t va, pte_t leaf, unsigned level)
{
	pte_t *entry = &entries(holder)[va_index(va, at)];
	if (at == level) {
		if (pte_is_valid(*entry))
			return TABLE_BUSY;
		*entry = leaf;
		count_live(holder, 1);
		return TABLE_OK;
	}
	if (pte_is_leaf(*entry))
		return TABLE_BUSY;
	if (!pte_is_valid(*entry) && !table_grow(table, holder, entry))
		return TABLE_NO_MEMORY;
	pa_t child = pte_pa(*entry);
	bool made = page_of(child)->tag == 0 && !(at == TABLE_LEVELS - 1 && (int64_t)va.raw < 0);
	enum table_result result = enter(table, child, at - 1, va, leaf, level);
	if (result != TABLE_OK && made) {
		entry->raw = 0;
		count_live(holder, -1);
		table->pages--;
		page_free(child);
	}
	return result;
}

enum table_result table_map(struct table *table, va_t va, pa_t pa, unsigned level, uint64_t bits)
{
	check_place(table, va, pa, level);
	enum table_result result = enter(table, table->root, TABLE_LEVELS - 1, va, pte_make(pa, bits | LEAF_BITS), level);
	table->large |= result == TABLE_OK && level > 0;
	return result;
}

void table_fill(pte_t *entry, pa_t pa, uint64_t bits)
{
	*entry = pte_make(pa, bits | LEAF_BITS);
	count_live(table_of_entry(entry), 1);
}

// The largest leaves that fit, all or nothing.
enum table_result table_map_range(struct table *table, va_t va, pa_t pa, uint64_t bytes, uint64_t bits)
{
	uint64_t done = 0;
	while (done < bytes) {
		unsigned level = TABLE_LEVELS - 1;
		uint64_t both = (va.raw + done) | (pa.raw + done);
		while (level > 0 && (bytes - done < level_bytes(level) || !is_aligned(both, level_bytes(level))))
			level--;
		enum table_result result = table_map(table, VA(va.raw + done), PA(pa.raw + done), level, bits);
		if (result != TABLE_OK) {
			if (done && table_unmap(table, va, done, NULL, NULL) != TABLE_OK)
				port_panic("table_map_range: what was mapped must come off again", (uintptr_t)va.raw);
			return result;
		}
		done += level_bytes(level);
	}
	return TABLE_OK;
}

// ---- the end

struct grave { // who takes the leaves that are left
	table_release *release;
	void *context;
};

// Looks at all of a table's entries, whatever its count says.
static void raze(const struct grave *grave, pte_t *table, unsigned level, uint64_t va, unsigned count)
{
	for (unsigned i = count; i-- > 0;) { // from the end: any order is right here
		pte_t entry = table[i];
		uint64_t at = va + i * level_bytes(level);
		if (pte_is_pointer(entry)) {
			raze(grave, below(entry), level - 1, at, TABLE_ENTRIES);
			page_free(pte_pa(entry));
		} else if (pte_is_leaf(entry) && grave->release) {
			grave->release(grave->context, entry, VA((uint64_t)((int64_t)(at << 25) >> 25)), level);
		}
	}
}

void table_destroy(struct table *table, table_release *release, void *context)
{
	if (pa_is_none(table->root))
		return;
	struct grave grave = { release, context };
	raze(&grave, entries(table->root), TABLE_LEVELS - 1, 0, table->user ? KERNEL_INDEX : TABLE_ENTRIES);
	page_free(table->root);
	*table = (struct table){ .root = PA_NONE };
}

// ---- check

// Checks one table and what is below it. *seen counts the tables met; it bounds the work when a pointer leads back up.
static struct verdict check_one(const struct table *table, pa_t at, unsigned level, unsigned count, size_t *seen)
{
	HOLDS("T1", page_is_allocated(at) && page_refs(at) == 1 && page_order(at) == 0, at.raw);
	HOLDS("T7", ++*seen <= table->pages, at.raw);
	unsigned live = 0;
	for (unsigned i = 0; i < count; i++) {
		const pte_t *entry = &entries(at)[i];
		if (!pte_is_valid(*entry)) {
			HOLDS("T4", entry->raw == 0, entry);
			continue;
		}
		live++;
		if (pte_is_leaf(*entry)) {
			HOLDS("T5", is_aligned(pte_pa(*entry).raw, level_bytes(level)) && entry->raw >> 54 == 0, entry);
			HOLDS("T5", !(entry->raw & PTE_W) || (entry->raw & PTE_R), entry);
			HOLDS("T8", level == 0 || table->large, entry);
			continue;
		}
		HOLDS("T6", level > 0, entry);
		struct verdict verdict = check_one(table, pte_pa(*entry), level - 1, TABLE_ENTRIES, seen);
		if (verdict.broken)
			return verdict;
		HOLDS("T3", page_of(pte_pa(*entry))->tag || (level == 2 && i >= KERNEL_INDEX), entry);
	}
	HOLDS("T2", live == page_of(at)->tag, at.raw);
	return ALL_HOLD;
}

struct verdict table_check(const struct table *table)
{
	size_t seen = 0;
	struct verdict verdict = check_one(table, table->root, TABLE_LEVELS - 1, table->user ? KERNEL_INDEX : TABLE_ENTRIES, &seen);
	if (verdict.broken)
		return verdict;
	HOLDS("T7", seen == table->pages, &table->pages);
	return ALL_HOLD;
}
