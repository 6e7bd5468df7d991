// table.c: Sv39 page tables as a tree of pages whose live entries are counted, changed by walks over ranges.
//
//      root (level 2)         level 1                level 0
//      +-----+                +-----+                +-----+
//      |  0  | -------------> |  0  | -------------> |  16 | leaf: 4 KiB
//      | ... |  tag = live    | 1   | leaf: 2 MiB    |  17 | leaf
//      | 255 |  entries       +-----+  tag = 2       +-----+  tag = 2
//      |-----|
//      | 256 | upper half: the kernel's; every other table has a copy of these entries, not of what is below them
//      | 511 |
//      +-----+
//
//   Removal takes two passes, because a page may be used again only after all CPUs forgot it: `sever` clears PTE_V and leaves the rest of
//   the entry where it is, also of entries whose table became empty; one flush; `bury` finds what was severed, releases it and zeroes it.
//   So removal needs no memory and one flush, however long the range is.
//
//   Invariants:
//   T1  the root and every table below it is an allocated block of one page with one reference
//   T2  a table's tag is the number of its valid entries (the root of a user's table: of its lower half)
//   T3  no table below the root is empty (except those that table_anchor made for good, in the upper half)
//   T4  an entry without PTE_V is zero
//   T5  a leaf is aligned to its size, has no reserved bit, and PTE_W only with PTE_R
//   T6  an entry of a level-0 table is not a pointer
//   T7  `pages` is the number of tables reachable, the kernel's half of a user's table left out
//   T8  a leaf above level 0 stands only in a table that is marked `large`
//
//   Cost: find: one load a level. Range walks: an entry each for the part of a table inside the range; absent subtrees are skipped.
//   Weakness: one writer at a time, which the caller must see to. A flush spans from the first to the last change, even when there is
//   little between. Small leaves are never joined into a large one again.
//   Source: The RISC-V Instruction Set Manual, Volume II: "Sv39" and "SFENCE.VMA" (a fence for one address orders leaf entries only,
//   so a table page that goes away needs one for the whole address space).
#include "table.h"

#include "page.h"

#define KERNEL_INDEX (TABLE_ENTRIES / 2) // first root entry of the upper half
#define LEAF_BITS    (PTE_V | PTE_A | PTE_D)

// What a range walk carries along.
struct walk {
	struct table *table;
	uint64_t first, last; // addresses from the first to the last byte whose translation must be forgotten; first > last: none
	bool pruned;          // a table was unlinked
	table_release *release;
	void *context;
};

// Pages for the tables that splits will need, taken before anything is changed.
struct spare {
	pa_t page[2 * (TABLE_LEVELS - 1)];
	unsigned count;
};

static inline pte_t *entries(pa_t table)
{
	return pa_pointer(table);
}

static inline pte_t *below(pte_t pointer)
{
	return entries(pte_pa(pointer));
}

static inline void count_live(pa_t table, int change)
{
	struct page *page = page_of(table);
	page->tag = (uint16_t)(page->tag + change);
}

// The table's contents must be there before the pointer to it.
static inline void link_table(pte_t *entry, pa_t table)
{
	__atomic_store_n(&entry->raw, pte_make(table, PTE_V).raw, __ATOMIC_RELEASE);
}

static inline void forget_later(struct walk *walk, uint64_t va, uint64_t mask)
{
	if (va < walk->first)
		walk->first = va;
	walk->last = va | mask;
}

static void forget_now(const struct walk *walk)
{
	uint32_t cpus = __atomic_load_n(&walk->table->cpus, __ATOMIC_ACQUIRE);
	if (!cpus || (walk->first > walk->last && !walk->pruned))
		return;
	if (walk->pruned)
		port_flush(walk->table->asid, cpus, 0, SIZE_MAX / PAGE_BYTES);
	else
		port_flush(walk->table->asid, cpus, walk->first, (size_t)((walk->last - walk->first) / PAGE_BYTES) + 1);
}

// ---- making

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

// Hangs a new, empty table under `entry`, which `holder` holds.
static bool grow(struct table *table, pa_t holder, pte_t *entry)
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
		if (!pte_is_valid(*entry) && !grow(kernel, kernel->root, entry))
			return false;
	}
	return true;
}

struct slot table_find(const struct table *table, va_t va)
{
	struct slot slot = { entries(table->root) + va_index(va, 2), 2 };
	while (slot.level > 0 && pte_is_valid(*slot.entry) && !pte_is_leaf(*slot.entry)) {
		slot.level--;
		slot.entry = below(*slot.entry) + va_index(va, slot.level);
	}
	return slot;
}

static void check_place(const struct table *table, va_t va, pa_t pa, unsigned level)
{
	if (level >= TABLE_LEVELS || !is_aligned(va.raw | pa.raw, level_bytes(level)))
		port_panic("table_map: both addresses must be aligned to the leaf's size", (uintptr_t)va.raw);
	if (!va_is_canonical(va))
		port_panic("table_map: bits 63 to 39 of the address must repeat bit 38", (uintptr_t)va.raw);
	if (table->user && (int64_t)va.raw < 0)
		port_panic("table_map: the upper half belongs to the kernel's table", (uintptr_t)va.raw);
}

enum table_result table_map(struct table *table, va_t va, pa_t pa, unsigned level, uint64_t bits)
{
	check_place(table, va, pa, level);
	pa_t holder = table->root;
	pte_t *entry = entries(holder) + va_index(va, 2);
	pte_t *grown = NULL; // the root's entry, when this call made the table below it
	for (unsigned at = TABLE_LEVELS - 1; at > level; at--) {
		if (pte_is_leaf(*entry))
			return TABLE_BUSY;
		if (!pte_is_valid(*entry)) {
			if (!grow(table, holder, entry)) {
				if (grown) {
					grown->raw = 0;
					count_live(table->root, -1);
					table->pages--;
					page_free(holder);
				}
				return TABLE_NO_MEMORY;
			}
			if (at == TABLE_LEVELS - 1)
				grown = entry;
		}
		holder = pte_pa(*entry);
		entry = entries(holder) + va_index(va, at - 1);
	}
	if (pte_is_valid(*entry))
		return TABLE_BUSY;
	*entry = pte_make(pa, bits | LEAF_BITS);
	count_live(holder, 1);
	table->large |= level > 0;
	return TABLE_OK;
}

enum table_result table_map_range(struct table *table, va_t va, pa_t pa, uint64_t bytes, uint64_t bits)
{
	uint64_t done = 0;
	while (done < bytes) {
		unsigned level = TABLE_LEVELS - 1;
		while (level > 0 && (!is_aligned((va.raw + done) | (pa.raw + done), level_bytes(level)) || bytes - done < level_bytes(level)))
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

// ---- splitting large leaves

static unsigned splits_needed(const struct table *table, uint64_t va)
{
	struct slot slot = table_find(table, VA(va));
	unsigned needed = 0;
	if (pte_is_leaf(*slot.entry))
		for (unsigned level = slot.level; level > 0 && !is_aligned(va, level_bytes(level)); level--)
			needed++;
	return needed;
}

// Replaces large leaves until none lies across `va`. Every address keeps its translation: nothing to flush.
static void split_at(struct table *table, uint64_t va, struct spare *spare)
{
	struct slot slot = table_find(table, VA(va));
	while (pte_is_leaf(*slot.entry) && !is_aligned(va, level_bytes(slot.level))) {
		pa_t fresh = spare->page[--spare->count];
		uint64_t step = level_bytes(slot.level - 1) >> PAGE_SHIFT << 10; // from one leaf's entry to the next
		for (unsigned i = 0; i < TABLE_ENTRIES; i++)
			entries(fresh)[i].raw = slot.entry->raw + i * step;
		page_of(fresh)->tag = TABLE_ENTRIES;
		table->pages++;
		link_table(slot.entry, fresh);
		slot.level--;
		slot.entry = entries(fresh) + va_index(VA(va), slot.level);
	}
}

// Splits what lies across the ends of [start, end). False, and nothing changed, when there is no memory.
static bool split_ends(struct table *table, uint64_t start, uint64_t end)
{
	if (!table->large)
		return true;
	struct spare spare = { .count = 0 };
	unsigned needed = splits_needed(table, start) + splits_needed(table, end);
	bool enough = true;
	while (enough && spare.count < needed) {
		pa_t page = page_alloc(0, PAGE_KERNEL);
		enough = !pa_is_none(page);
		if (enough)
			spare.page[spare.count++] = page;
	}
	if (enough) {
		split_at(table, start, &spare);
		split_at(table, end, &spare);
	}
	while (spare.count) // not enough, or both ends were in one leaf
		page_free(spare.page[--spare.count]);
	return enough;
}

static void check_range(const struct table *table, va_t start, uint64_t bytes)
{
	if (!is_aligned(start.raw | bytes, PAGE_BYTES) || bytes == 0)
		port_panic("table: a range starts and ends on a page and is not empty", (uintptr_t)start.raw);
	if (!va_is_canonical(start) || !va_is_canonical(VA(start.raw + bytes - 1)) || (int64_t)(start.raw ^ (start.raw + bytes - 1)) < 0)
		port_panic("table: a range lies in one half of the address space", (uintptr_t)start.raw);
	if (table->user && (int64_t)start.raw < 0)
		port_panic("table: the upper half belongs to the kernel's table", (uintptr_t)start.raw);
}

// ---- removing

// Marks the leaves in [va, last] and the tables that become empty as dead. Returns how many entries of this table died.
static unsigned sever(struct walk *walk, pte_t *table, unsigned level, uint64_t va, uint64_t last)
{
	uint64_t mask = level_bytes(level) - 1;
	unsigned dead = 0;
	pte_t *end = table + va_index(VA(last), level);
	for (pte_t *entry = table + va_index(VA(va), level); entry <= end; entry++, va = (va | mask) + 1) {
		uint64_t raw = entry->raw;
		if (!(raw & PTE_V))
			continue;
		if (raw & (PTE_R | PTE_X)) {
			forget_later(walk, va, mask);
		} else {
			pa_t child = pte_pa(*entry);
			uint64_t limit = (va | mask) < last ? (va | mask) : last;
			count_live(child, -(int)sever(walk, entries(child), level - 1, va, limit));
			if (page_of(child)->tag || (level == 2 && (int64_t)va < 0))
				continue;
			walk->pruned = true;
		}
		entry->raw = raw & ~(uint64_t)PTE_V;
		dead++;
	}
	return dead;
}

// Releases and clears what `sever` marked.
static void bury(struct walk *walk, pte_t *table, unsigned level, uint64_t va, uint64_t last)
{
	uint64_t mask = level_bytes(level) - 1;
	pte_t *end = table + va_index(VA(last), level);
	for (pte_t *entry = table + va_index(VA(va), level); entry <= end; entry++, va = (va | mask) + 1) {
		pte_t old = *entry;
		if (old.raw == 0)
			continue;
		if (old.raw & (PTE_R | PTE_X)) {
			entry->raw = 0;
			if (walk->release)
				walk->release(walk->context, (pte_t){ old.raw | PTE_V }, VA(va), level);
			continue;
		}
		bury(walk, below(old), level - 1, va, (va | mask) < last ? (va | mask) : last);
		if (!pte_is_valid(old)) {
			entry->raw = 0;
			walk->table->pages--;
			page_free(pte_pa(old));
		}
	}
}

enum table_result table_unmap(struct table *table, va_t start, uint64_t bytes, table_release *release, void *context)
{
	check_range(table, start, bytes);
	if (!split_ends(table, start.raw, start.raw + bytes))
		return TABLE_NO_MEMORY;
	struct walk walk = { .table = table, .first = UINT64_MAX, .release = release, .context = context };
	uint64_t last = start.raw + bytes - 1;
	count_live(table->root, -(int)sever(&walk, entries(table->root), TABLE_LEVELS - 1, start.raw, last));
	if (walk.first > walk.last)
		return TABLE_OK;
	forget_now(&walk);
	bury(&walk, entries(table->root), TABLE_LEVELS - 1, start.raw, last);
	return TABLE_OK;
}

// ---- protecting

static void protect(struct walk *walk, pte_t *table, unsigned level, uint64_t va, uint64_t last, uint64_t bits)
{
	uint64_t mask = level_bytes(level) - 1;
	pte_t *end = table + va_index(VA(last), level);
	for (pte_t *entry = table + va_index(VA(va), level); entry <= end; entry++, va = (va | mask) + 1) {
		uint64_t old = entry->raw;
		if (!(old & PTE_V))
			continue;
		if (!(old & (PTE_R | PTE_X))) {
			protect(walk, below(*entry), level - 1, va, (va | mask) < last ? (va | mask) : last, bits);
			continue;
		}
		entry->raw = (old & ~(uint64_t)(PTE_PERMISSIONS | PTE_COW)) | bits;
		if ((old & ~bits & PTE_PERMISSIONS) || (bits & ~old & PTE_U)) // PTE_U takes a right from the kernel
			forget_later(walk, va, mask);
	}
}

enum table_result table_protect(struct table *table, va_t start, uint64_t bytes, uint64_t bits)
{
	check_range(table, start, bytes);
	if (!split_ends(table, start.raw, start.raw + bytes))
		return TABLE_NO_MEMORY;
	struct walk walk = { .table = table, .first = UINT64_MAX };
	protect(&walk, entries(table->root), TABLE_LEVELS - 1, start.raw, start.raw + bytes - 1, bits & (PTE_PERMISSIONS | PTE_COW));
	forget_now(&walk);
	return TABLE_OK;
}

// ---- copying

struct copy {
	struct walk walk; // over the source
	struct table *to;
	table_clone *clone;
	void *context;
};

static bool copy_range(struct copy *copy, pa_t to, pte_t *from, unsigned level, uint64_t va, uint64_t last);

// Copies what is below one entry into the table below `to_entry`, which is made when it is not there, and dropped when it stays empty.
static bool copy_below(struct copy *copy, pa_t to, pte_t *to_entry, pte_t from, unsigned level, uint64_t va, uint64_t last)
{
	if (pte_is_valid(*to_entry))
		return copy_range(copy, pte_pa(*to_entry), below(from), level - 1, va, last);
	if (!grow(copy->to, to, to_entry))
		return false;
	pa_t fresh = pte_pa(*to_entry);
	bool done = copy_range(copy, fresh, below(from), level - 1, va, last);
	if (page_of(fresh)->tag == 0) {
		to_entry->raw = 0;
		count_live(to, -1);
		copy->to->pages--;
		page_free(fresh);
	}
	return done;
}

// Copies [va, last] from the table `from` into the table `to` of the same level.
static bool copy_range(struct copy *copy, pa_t to, pte_t *from, unsigned level, uint64_t va, uint64_t last)
{
	uint64_t mask = level_bytes(level) - 1;
	int copied = 0;
	bool enough = true;
	pte_t *to_entry = entries(to) + va_index(VA(va), level);
	pte_t *end = from + va_index(VA(last), level);
	for (pte_t *entry = from + va_index(VA(va), level); enough && entry <= end; entry++, to_entry++, va = (va | mask) + 1) {
		pte_t old = *entry;
		if (!pte_is_valid(old))
			continue;
		if (!(old.raw & (PTE_R | PTE_X))) {
			enough = copy_below(copy, to, to_entry, old, level, va, (va | mask) < last ? (va | mask) : last);
			continue;
		}
		pte_t fresh = copy->clone(copy->context, entry, VA(va), level);
		if (old.raw & ~entry->raw & PTE_PERMISSIONS)
			forget_later(&copy->walk, va, mask);
		if (pte_is_valid(fresh)) {
			*to_entry = fresh;
			copied++;
			copy->to->large |= level > 0;
		}
	}
	if (copied)
		count_live(to, copied);
	return enough;
}

enum table_result table_copy(struct table *to, struct table *from, va_t start, uint64_t bytes, table_clone *clone, void *context)
{
	check_range(to, start, bytes);
	check_range(from, start, bytes);
	if (!split_ends(from, start.raw, start.raw + bytes))
		return TABLE_NO_MEMORY;
	struct copy copy = { .walk = { .table = from, .first = UINT64_MAX }, .to = to, .clone = clone, .context = context };
	bool enough = copy_range(&copy, to->root, entries(from->root), TABLE_LEVELS - 1, start.raw, start.raw + bytes - 1);
	forget_now(&copy.walk);
	return enough ? TABLE_OK : TABLE_NO_MEMORY;
}

// ---- the end

// Frees what is below the first `count` entries of a table that has `live` valid ones among them.
static void raze(const struct walk *walk, const pte_t *table, unsigned level, uint64_t va, unsigned live)
{
	for (; live; table++, va += level_bytes(level)) {
		if (!pte_is_valid(*table))
			continue;
		live--;
		if (!pte_is_leaf(*table)) {
			raze(walk, below(*table), level - 1, va, page_of(pte_pa(*table))->tag);
			page_free(pte_pa(*table));
		} else if (walk->release) {
			walk->release(walk->context, *table, VA((uint64_t)((int64_t)(va << 25) >> 25)), level);
		}
	}
}

void table_destroy(struct table *table, table_release *release, void *context)
{
	if (pa_is_none(table->root))
		return;
	struct walk walk = { .table = table, .release = release, .context = context };
	raze(&walk, entries(table->root), TABLE_LEVELS - 1, 0, page_of(table->root)->tag);
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
