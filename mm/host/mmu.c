// mmu.c: a software Sv39 MMU with the worst TLB that the architecture allows.
//
//      va --> cached leaf that covers it? ------- yes --> its rights decide, however stale
//                 no
//             cached pointer to the table below? --yes--> walk on from there, however stale
//                 no
//             walk from the root; cache each pointer and the leaf met (never an invalid entry)
//
//   Entries leave by port_flush (or mmu_evict) only: a flush for some pages drops the leaves that cover one of them and keeps pointers; one
//   for the whole address space drops pointers as well (SFENCE.VMA with rs1 = x0). So a flush that is missing, too short, for the wrong
//   CPU or too late shows as a translation that should be gone.
//
//   Written from the manual with its own constants, not with addr.h's, so that a wrong bit there shows as well.
//   Source: The RISC-V Instruction Set Manual, Volume II: "Virtual Address Translation Process", "SFENCE.VMA".
#include "mmu.h"

#include <stdlib.h>

#include "../page.h"
#include "test.h"

#define CPUS    4
#define BUCKETS 1024
#define WHOLE   ((size_t)1 << 26) // pages of the user half: a flush of so many is one of everything

struct cached {
	struct cached *next;
	uint32_t asid;
	bool global, pointer;
	unsigned level;   // of the entry
	uint64_t base;    // va >> (12 + 9 * level)
	uint64_t entry;   // as it was when read
};

static struct cached *tlb[CPUS][BUCKETS];
struct mmu_flush mmu_last_flush;

static unsigned shift(unsigned level)
{
	return 12 + 9 * level;
}

static struct cached **bucket(unsigned cpu, uint64_t base, unsigned level, uint32_t asid)
{
	return &tlb[cpu][(base * 0x9e3779b97f4a7c15 ^ asid * 0x85ebca6b ^ level * 0x1234567) >> 13 & (BUCKETS - 1)];
}

static const struct cached *lookup(unsigned cpu, uint64_t va, unsigned level, uint32_t asid, bool pointer)
{
	uint64_t base = va >> shift(level);
	for (const struct cached *c = *bucket(cpu, base, level, asid); c; c = c->next)
		if (c->base == base && c->level == level && c->pointer == pointer && c->asid == asid)
			return c;
	return NULL;
}

static void remember(unsigned cpu, uint64_t va, unsigned level, uint32_t asid, bool pointer, uint64_t entry)
{
	if (lookup(cpu, va, level, asid, pointer))
		return;
	struct cached **head = bucket(cpu, va >> shift(level), level, asid), *c = malloc(sizeof *c);
	*c = (struct cached){ *head, asid, (entry & 0x20) && !pointer, pointer, level, va >> shift(level), entry };
	*head = c;
}

static void drop_if(unsigned cpu, bool (*out)(const struct cached *c, const void *context), const void *context)
{
	for (unsigned i = 0; i < BUCKETS; i++)
		for (struct cached **link = &tlb[cpu][i]; *link;) {
			struct cached *c = *link;
			if (!out(c, context)) {
				link = &c->next;
				continue;
			}
			*link = c->next;
			free(c);
		}
}

static bool flushed(const struct cached *c, const void *context)
{
	const struct mmu_flush *flush = context;
	if (flush->asid != UINT32_MAX && (c->asid != flush->asid || c->global))
		return false;
	if (flush->pages >= WHOLE)
		return true;
	uint64_t first = c->base << shift(c->level), last = first + ((uint64_t)1 << shift(c->level)) - 1;
	return !c->pointer && first < flush->start + flush->pages * 4096 && flush->start <= last;
}

static void on_flush(uint32_t asid, uint32_t cpus, uintptr_t start, size_t pages)
{
	mmu_last_flush = (struct mmu_flush){ asid, cpus, start, pages };
	for (unsigned cpu = 0; cpu < CPUS; cpu++)
		if (cpus & 1u << cpu)
			drop_if(cpu, flushed, &mmu_last_flush);
}

static bool any(const struct cached *c, const void *context)
{
	static unsigned turn;
	(void)c;
	return ++turn % *(const unsigned *)context == 0;
}

void mmu_evict(unsigned cpu, unsigned n)
{
	drop_if(cpu, any, &n);
}

void mmu_reset(void)
{
	host_flush_hook = on_flush;
	for (unsigned cpu = 0; cpu < CPUS; cpu++)
		mmu_evict(cpu, 1);
}

static bool allowed(uint64_t entry, enum mmu_access access, bool user)
{
	static const uint64_t right[] = { [MMU_LOAD] = 0x02, [MMU_STORE] = 0x04, [MMU_FETCH] = 0x08 };
	if (((entry & 0x10) != 0) != user)
		return false;
	if (!(entry & 0x40) || (access == MMU_STORE && !(entry & 0x80))) // A and D: a machine may fault instead of setting them
		return false;
	return entry & right[access];
}

static bool is_reserved(uint64_t entry, unsigned level)
{
	uint64_t ppn = entry >> 10 & 0xfffffffffff;
	return (entry & 0x06) == 0x04 || entry >> 54 || (level && (entry & 0x0e) && ppn & (((uint64_t)1 << 9 * level) - 1));
}

static uint64_t physical(uint64_t entry, uint64_t va, unsigned level)
{
	return (entry >> 10 & 0xfffffffffff) << 12 | (va & (((uint64_t)1 << shift(level)) - 1));
}

bool mmu_translate(struct table *table, unsigned cpu, uint64_t va, enum mmu_access access, bool user, uint64_t *pa)
{
	table->cpus |= 1u << cpu;
	if ((int64_t)(va << 25) >> 25 != (int64_t)va)
		return false;
	uint64_t at = table->root.raw;
	unsigned level = 2;
	for (unsigned l = 3; l-- > 0;) {
		const struct cached *leaf = lookup(cpu, va, l, table->asid, false);
		if (leaf) {
			*pa = physical(leaf->entry, va, l);
			return allowed(leaf->entry, access, user);
		}
		const struct cached *pointer = l ? lookup(cpu, va, l, table->asid, true) : NULL;
		if (pointer) {
			at = physical(pointer->entry, 0, 0);
			level = l - 1;
		}
	}
	for (;; level--) {
		uint64_t entry = ((const uint64_t *)pa_pointer(PA(at)))[va >> shift(level) & 511];
		if (!(entry & 1) || is_reserved(entry, level))
			return false;
		bool pointer = !(entry & 0x0e);
		if (pointer && level == 0)
			return false;
		remember(cpu, va, level, table->asid, pointer, entry);
		if (!pointer) {
			*pa = physical(entry, va, level);
			return allowed(entry, access, user);
		}
		at = physical(entry, 0, 0);
	}
}

bool mmu_remembers(const struct table *table, uint64_t pa)
{
	for (unsigned cpu = 0; cpu < CPUS; cpu++)
		for (unsigned i = 0; i < BUCKETS; i++)
			for (const struct cached *c = tlb[cpu][i]; c; c = c->next)
				if (c->asid == table->asid && physical(c->entry, 0, 0) == pa)
					return true;
	return false;
}
