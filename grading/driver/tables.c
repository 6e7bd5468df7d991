// tables.c: the subject "tables": calls of page tables, and what a hart can reach through them at each moment.
//
// A hart that has entered a table translates through it, so its TLB remembers what it has used. While a call is made, each flush and each
// released leaf is written into tables_log; at once, in the middle of the call, the hart uses the watched addresses again: who flushes
// before the entry is changed lets the TLB learn the old translation a second time, and whoever releases before the flush is seen to
// leave it there. port_flush is wrapped by the linker: __real_port_flush is the kernel's own.
#include "kernel/boot/map.h"
#include "kernel/machine/cpu.h"
#include "kernel/machine/csr.h"
#include "kernel/machine/translation.h"
#include "mm/page.h"

#include "grading/driver/subject.h"

enum {
	TABLES_CREATE = CALL_TABLES, // table `order` below the kernel's; 1: made
	TABLES_ENTER,                // this hart translates through it from now on
	TABLES_LEAVE,                // through the kernel's again
	TABLES_MAP,                  // argument: va, second: pa, third: bits, flags: level
	TABLES_MAP_RANGE,            // argument: va, second: pa, third: bits and, from bit 16 on, pages
	TABLES_UNMAP,                // argument: va, second: bytes
	TABLES_PROTECT,              // argument: va, second: bytes, third: bits
	TABLES_DESTROY,
	TABLES_PROBE, // what this hart can do at va `argument`: CAN_LOAD, CAN_STORE
	TABLES_WATCH, // one address more to use during calls; 0: none any more
	TABLES_EAT,   // takes every free page but `argument`
	TABLES_SPIT,  // gives them back
	TABLES_ROOT,  // the root's physical address
	TABLES_PAGES, // table->pages
	TABLES_DATA,  // page_alloc(flags)
	TABLES_ASID,  // table->asid
};

#define TABLES      4
#define WATCHED     16
#define CAN_LOAD    1
#define CAN_STORE   2
#define LOG_FLUSH   1
#define LOG_LEAF    2
#define SSTATUS_SUM (1UL << 18) // loads and stores of the kernel reach pages with PTE_U

struct tables_log {
	uint64_t count; // entries written since the start; the judge reads what is new
	struct {
		uint64_t kind, first, second, third;
	} entry[4096];
} tables_log; // grading/guest/tables_model.py reads it by its name

void __real_port_flush(uint32_t asid, uint32_t mask, uintptr_t start, size_t pages);
void __wrap_port_flush(uint32_t asid, uint32_t mask, uintptr_t start, size_t pages);

static struct table tables[TABLES];
static uint64_t watched[WATCHED];
static unsigned watch_count;
static bool recording;
static pa_t eaten;

// ---- what the hart can reach: a page fault jumps to the end of the access

static uint64_t probe(uint64_t va)
{
	uint64_t vector, can = 0;
	bool on = interrupts_are_on();
	interrupts_off();
	__asm__ volatile("	la t0, 1f\n"
			 "	csrrw %0, stvec, t0\n"
			 "	li %1, 0\n"
			 "	ld t1, 0(%2)\n"
			 "	li %1, 1\n"
			 "	.balign 4\n"
			 "1:	la t0, 2f\n"
			 "	csrw stvec, t0\n"
			 "	sd zero, 8(%2)\n"
			 "	ori %1, %1, 2\n"
			 "	.balign 4\n"
			 "2:	csrw stvec, %0\n"
			 : "=&r"(vector), "=&r"(can)
			 : "r"(va)
			 : "t0", "t1", "memory");
	if (on)
		interrupts_on();
	return can;
}

static uint64_t probe_watched(void)
{
	uint64_t can = 0;
	for (unsigned i = 0; i < watch_count; i++)
		can |= probe(watched[i]) << 2 * i;
	return can;
}

static void record(uint64_t kind, uint64_t first, uint64_t second, uint64_t third)
{
	uint64_t at = tables_log.count % (sizeof tables_log.entry / sizeof *tables_log.entry);
	tables_log.entry[at].kind = kind;
	tables_log.entry[at].first = first;
	tables_log.entry[at].second = second;
	tables_log.entry[at].third = third;
	__atomic_store_n(&tables_log.count, tables_log.count + 1, __ATOMIC_RELEASE);
}

void __wrap_port_flush(uint32_t asid, uint32_t mask, uintptr_t start, size_t pages)
{
	if (recording)
		record(LOG_FLUSH | (uint64_t)mask << 8 | page_free_count() << 40, start, pages, asid);
	__real_port_flush(asid, mask, start, pages);
	if (recording)
		(void)probe_watched();
}

static void released(void *context, pte_t leaf, va_t va, unsigned level)
{
	(void)context;
	record(LOG_LEAF | level << 8 | probe(va.raw) << 16, va.raw, leaf.raw, 0);
}

// ---- memory that runs out

static uint64_t eat(uint64_t leave)
{
	uint64_t count = 0;
	for (pa_t page = page_alloc(0, PAGE_ATOMIC); !pa_is_none(page); page = page_alloc(0, PAGE_ATOMIC)) {
		*(pa_t *)pa_pointer(page) = eaten;
		eaten = page;
		count++;
	}
	for (; leave > 0 && !pa_is_none(eaten); leave--, count--) {
		pa_t page = eaten;
		eaten = *(pa_t *)pa_pointer(page);
		page_free(page);
	}
	return count;
}

static uint64_t spit(void)
{
	uint64_t count = 0;
	for (; !pa_is_none(eaten); count++) {
		pa_t page = eaten;
		eaten = *(pa_t *)pa_pointer(page);
		page_free(page);
	}
	return count;
}

// ---- one call

static uint64_t enter(struct table *table)
{
	bool on = interrupts_are_on();
	interrupts_off();
	csr_set(sstatus, SSTATUS_SUM); // for good: to switch it would flush some machines' TLB
	if (table)
		translation_enter(table);
	else
		translation_leave();
	if (on)
		interrupts_on();
	return 1;
}

static uint64_t change(const struct call *call, struct table *table)
{
	va_t va = VA(call->argument);
	uint64_t bits = call->third & 0xffff;
	switch (call->op) {
	case TABLES_MAP:
		return table_map(table, va, PA(call->second), call->flags, bits);
	case TABLES_MAP_RANGE:
		return table_map_range(table, va, PA(call->second), (call->third >> 16) * PAGE_BYTES, bits);
	case TABLES_UNMAP:
		return table_unmap(table, va, call->second, call->touch ? released : NULL, NULL);
	case TABLES_PROTECT:
		return table_protect(table, va, call->second, bits);
	default:
		table_destroy(table, released, NULL);
		return 0;
	}
}

static uint64_t perform(const struct call *call, const uint64_t *slot)
{
	struct table *table = &tables[call->order % TABLES];
	(void)slot;
	switch (call->op) {
	case TABLES_CREATE:
		return table_create(table, &kernel_table);
	case TABLES_ENTER:
		return enter(table);
	case TABLES_LEAVE:
		return enter(NULL);
	case TABLES_PROBE:
		return probe(call->argument);
	case TABLES_WATCH:
		if (!call->argument || watch_count == WATCHED)
			watch_count = 0;
		if (call->argument)
			watched[watch_count++] = call->argument;
		return 0;
	case TABLES_EAT:
		return eat(call->argument);
	case TABLES_SPIT:
		return spit();
	case TABLES_ROOT:
		return table->root.raw;
	case TABLES_PAGES:
		return table->pages;
	case TABLES_ASID:
		return table->asid;
	case TABLES_DATA:
		return page_alloc(call->flags, PAGE_ZERO).raw;
	default:
		break;
	}
	recording = call->touch;
	uint64_t result = change(call, table);
	recording = false;
	return result;
}

const struct subject subject_tables = { .perform = perform };
