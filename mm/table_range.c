// table_range.c: page tables changed over a range: unmap, protect, copy; large leaves that lie across an end are split first.
//
//      unmap:   sever                      flush             bury
//               [V|page] -> [-|page]       all CPUs in       [-|page] -> release(page), [0]
//               [V|table] -> [-|table]     table->cpus       [-|table] -> the same below, page_free(table), [0]
//               when none below is live    forget the range
//
//   Removal takes two passes, because a page may be used again only after all CPUs forgot it: `sever` clears PTE_V and leaves the rest of
//   the entry where it is, also of entries whose table became empty; one flush; `bury` finds what was severed, releases it and zeroes it.
//   So removal needs no memory and one flush, however long the range is. The invariants are those of table.c; T4 holds again at the end.
//
//   Cost: an entry each for the part of a table that is inside the range; absent subtrees are skipped; about ten instructions for a leaf
//   and pass. Weakness: a flush spans from the first to the last change, even when there is little between.
//   Source: The RISC-V Instruction Set Manual, Volume II: "SFENCE.VMA": a fence for one address orders leaf entries only, so a table page
//   that goes away needs one for the whole address space.
#include "table_entry.h"

// What a range walk carries along.
struct walk {
	struct table *table;
	uint32_t cpus;        // that may have cached what is removed; none: entries are buried at once
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

// Lab 4.6: replaces large leaves until none lies across `va`. Every address keeps its translation: nothing to flush.
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

static _Noreturn __attribute__((cold, noinline)) void refuse_range(const struct table *table, va_t start, uint64_t bytes)
{
	if (!is_aligned(start.raw | bytes, PAGE_BYTES) || bytes == 0)
		port_panic("table: a range starts and ends on a page and is not empty", (uintptr_t)start.raw);
	if (table->user && (int64_t)start.raw < 0)
		port_panic("table: the upper half belongs to the kernel's table", (uintptr_t)start.raw);
	port_panic("table: a range lies in one half of the address space", (uintptr_t)start.raw);
}

static inline void check_range(const struct table *table, va_t start, uint64_t bytes)
{
	int64_t half = (int64_t)start.raw >> 38; // 0: the lower, -1: the upper
	bool inside = (half == 0 || (half == -1 && !table->user)) && (int64_t)(start.raw + bytes - 1) >> 38 == half;
	if (!is_aligned(start.raw | bytes, PAGE_BYTES) || bytes == 0 || !inside)
		refuse_range(table, start, bytes);
}

// ---- removing

static void bury_one(const struct walk *walk, pte_t *entry, unsigned level, uint64_t va)
{
	pte_t old = *entry;
	entry->raw = 0;
	if (!(old.raw & (PTE_R | PTE_X))) {
		walk->table->pages--;
		page_free(pte_pa(old));
	} else if (walk->release) {
		walk->release(walk->context, (pte_t){ old.raw | PTE_V }, VA(va), level);
	}
}

// Releases all leaves from `entry`, which maps `va`, to `last` of a level-0 table, dead or not. Returns how many.
static unsigned bury_leaves(const struct walk *walk, pte_t *entry, const pte_t *last, uint64_t va)
{
	unsigned buried = 0;
	for (; entry <= last; entry++, va += PAGE_BYTES) {
		uint64_t raw = entry->raw;
		if (!raw)
			continue;
		entry->raw = 0;
		buried++;
		if (walk->release)
			walk->release(walk->context, (pte_t){ raw | PTE_V }, VA(va), 0);
	}
	return buried;
}

// Marks them as dead instead, and what to forget. Returns how many.
static unsigned sever_leaves(struct walk *walk, pte_t *entry, const pte_t *last, uint64_t va)
{
	unsigned dead = 0;
	const pte_t *start = entry, *lowest = NULL, *highest = NULL;
	for (; entry <= last; entry++) {
		uint64_t raw = entry->raw;
		if (!(raw & PTE_V))
			continue;
		entry->raw = raw & ~(uint64_t)PTE_V;
		if (dead++ == 0)
			lowest = entry;
		highest = entry;
	}
	if (dead) {
		forget_later(walk, va + (uint64_t)(lowest - start) * PAGE_BYTES, 0);
		forget_later(walk, va + (uint64_t)(highest - start) * PAGE_BYTES, PAGE_BYTES - 1);
	}
	return dead;
}

// Lab 4.5: takes the leaves of [va, last], and the tables that become empty, out of a table. Returns how many of its own entries went.
static unsigned sever(struct walk *walk, pte_t *table, unsigned level, uint64_t va, uint64_t last)
{
	uint64_t mask = level_bytes(level) - 1;
	unsigned dead = 0;
	pte_t *entry = table + va_index(VA(va), level), *end = table + va_index(VA(last), level);
	if (level == 0)
		return walk->cpus ? sever_leaves(walk, entry, end, va) : bury_leaves(walk, entry, end, va);
	for (; entry <= end; entry++, va = (va | mask) + 1) {
		if (!pte_is_valid(*entry))
			continue;
		if (pte_is_leaf(*entry)) {
			forget_later(walk, va, mask);
		} else {
			pa_t child = pte_pa(*entry);
			unsigned gone = sever(walk, entries(child), level - 1, va, (va | mask) < last ? (va | mask) : last);
			if (count_live(child, -(int)gone) || (level == 2 && (int64_t)va < 0))
				continue;
			walk->pruned = true;
		}
		if (walk->cpus)
			entry->raw &= ~(uint64_t)PTE_V;
		else
			bury_one(walk, entry, level, va);
		dead++;
	}
	return dead;
}

// Lab 4.5: releases and clears what `sever` marked.
static void bury(struct walk *walk, pte_t *table, unsigned level, uint64_t va, uint64_t last)
{
	uint64_t mask = level_bytes(level) - 1;
	pte_t *entry = table + va_index(VA(va), level), *end = table + va_index(VA(last), level);
	if (level == 0) {
		bury_leaves(walk, entry, end, va);
		return;
	}
	for (; entry <= end; entry++, va = (va | mask) + 1) {
		if (entry->raw == 0)
			continue;
		if (!(entry->raw & (PTE_R | PTE_X)))
			bury(walk, below(*entry), level - 1, va, (va | mask) < last ? (va | mask) : last);
		if (!pte_is_valid(*entry))
			bury_one(walk, entry, level, va);
	}
}

static inline void flush_one(const struct table *table, uint64_t va)
{
	uint32_t cpus = __atomic_load_n(&table->cpus, __ATOMIC_RELAXED);
	if (cpus)
		port_flush(table->asid, cpus, (uintptr_t)va, 1);
}

// Lab 4.4: unmaps a page of a level-0 table. False, and nothing done, when that would leave the table empty.
static inline bool unmap_one(const struct table *table, pte_t *entry, va_t va, table_release *release, void *context)
{
	pte_t old = *entry;
	if (!pte_is_valid(old))
		return true;
	struct page *holder = page_of(table_of_entry(entry));
	if (holder->tag == 1)
		return false;
	holder->tag--;
	entry->raw = 0;
	flush_one(table, va.raw);
	if (release)
		release(context, old, va, 0);
	return true;
}

// Unmaps a range inside one level-0 table. False when that leaves the table empty: only the leaves are dealt with then.
static bool unmap_in_leaf_table(struct walk *walk, pte_t *first, uint64_t va, size_t count)
{
	pa_t holder = table_of_entry(first);
	pte_t *last = first + count - 1;
	unsigned dead = walk->cpus ? sever_leaves(walk, first, last, va) : bury_leaves(walk, first, last, va);
	if (dead == 0)
		return true;
	if (count_live(holder, -(int)dead) == 0)
		return false;
	if (walk->cpus) {
		forget_now(walk);
		bury_leaves(walk, first, last, va);
	}
	return true;
}

static __attribute__((noinline)) void unmap(struct table *table, uint64_t va, uint64_t bytes, table_release *release, void *context)
{
	struct slot slot = table_find(table, VA(va));
	uint32_t cpus = __atomic_load_n(&table->cpus, __ATOMIC_ACQUIRE);
	struct walk walk = { .table = table, .cpus = cpus, .first = UINT64_MAX, .release = release, .context = context };
	uint64_t last = va + bytes - 1;
	if (slot.level == 0 && (va ^ last) < level_bytes(1) && unmap_in_leaf_table(&walk, slot.entry, va, bytes / PAGE_BYTES))
		return; // most ranges: nothing above the one table to look at
	count_live(table->root, -(int)sever(&walk, entries(table->root), TABLE_LEVELS - 1, va, last));
	if (walk.cpus && (walk.first <= walk.last || walk.pruned)) {
		forget_now(&walk);
		bury(&walk, entries(table->root), TABLE_LEVELS - 1, va, last);
	}
}

enum table_result table_unmap(struct table *table, va_t start, uint64_t bytes, table_release *release, void *context)
{
	check_range(table, start, bytes);
	if (!split_ends(table, start.raw, start.raw + bytes))
		return TABLE_NO_MEMORY;
	struct slot slot = table_find(table, start);
	if (slot.level > 0 || bytes > PAGE_BYTES || !unmap_one(table, slot.entry, start, release, context))
		unmap(table, start.raw, bytes, release, context);
	return TABLE_OK;
}

// ---- protecting

// Lab 4.7: gives the leaves of [va, last] the rights `bits`, and remembers what to forget: the leaves that have lost a right.
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
	if (!table_grow(copy->to, to, to_entry))
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

// One leaf, or a run of them in a level-0 table. Returns how many entries of the copy are in use now.
static unsigned copy_leaves(struct copy *copy, pte_t *to, pte_t *from, size_t count, unsigned level, uint64_t va)
{
	bool narrowed = false;
	unsigned copied = copy->clone(copy->context, from, to, count, VA(va), level, &narrowed);
	if (narrowed) {
		forget_later(&copy->walk, va, 0);
		forget_later(&copy->walk, va + (count - 1) * level_bytes(level), level_bytes(level) - 1);
	}
	copy->to->large |= level > 0;
	return copied;
}

// Copies [va, last] from the table `from` into the table `to` of the same level.
static bool copy_range(struct copy *copy, pa_t to, pte_t *from, unsigned level, uint64_t va, uint64_t last)
{
	uint64_t mask = level_bytes(level) - 1;
	unsigned first = va_index(VA(va), level), end = va_index(VA(last), level), copied = 0;
	bool enough = true;
	if (level == 0)
		copied = copy_leaves(copy, entries(to) + first, from + first, end - first + 1, 0, va);
	for (unsigned i = first; level > 0 && enough && i <= end; i++, va = (va | mask) + 1) {
		pte_t *to_entry = entries(to) + i;
		if (pte_is_leaf(from[i]))
			copied += copy_leaves(copy, to_entry, &from[i], 1, level, va);
		else if (pte_is_valid(from[i]))
			enough = copy_below(copy, to, to_entry, from[i], level, va, (va | mask) < last ? (va | mask) : last);
	}
	if (copied)
		count_live(to, (int)copied);
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
