// mmu.h: a software Sv39 MMU for the host: it walks page tables as the hardware does and forgets nothing before port_flush tells it to.
#pragma once

#include "../table.h"

enum mmu_access { MMU_LOAD, MMU_STORE, MMU_FETCH };

struct mmu_flush { // the last port_flush
	uint32_t asid, cpus;
	uintptr_t start;
	size_t pages;
};
extern struct mmu_flush mmu_last_flush;

// Empties every TLB and listens to port_flush from now on.
void mmu_reset(void);

// Translates an access of user mode (or of the kernel) on a CPU, which from now on stands in table->cpus. False: a page fault.
bool mmu_translate(struct table *table, unsigned cpu, uint64_t va, enum mmu_access access, bool user, uint64_t *pa);

// Drops every n-th cached translation of a CPU, as hardware may at any time; n = 1: all.
void mmu_evict(unsigned cpu, unsigned n);

// True when any CPU could still reach the physical page through what it has cached, of this table.
bool mmu_remembers(const struct table *table, uint64_t pa);
