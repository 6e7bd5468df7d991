// table_entry.h: what table.c and table_range.c share: from an entry to the table below it, and the count of live entries.
#pragma once

#include "page.h"
#include "table.h"

// Hangs a new, empty table under `entry`, which the table `holder` holds. False when there is no memory.
bool table_grow(struct table *table, pa_t holder, pte_t *entry) __attribute__((warn_unused_result));

static inline pte_t *entries(pa_t table)
{
	return pa_pointer(table);
}

static inline pte_t *below(pte_t pointer)
{
	return entries(pte_pa(pointer));
}

// The table that an entry stands in.
static inline pa_t table_of_entry(const pte_t *entry)
{
	return PA(round_down(pa_of(entry).raw, PAGE_BYTES));
}

// Changes a table's number of live entries; returns it.
static inline unsigned count_live(pa_t table, int change)
{
	struct page *page = page_of(table);
	return page->tag = (uint16_t)(page->tag + change);
}

// The table's contents must be there before the pointer to it.
static inline void link_table(pte_t *entry, pa_t table)
{
	__atomic_store_n(&entry->raw, pte_make(table, PTE_V).raw, __ATOMIC_RELEASE);
}
