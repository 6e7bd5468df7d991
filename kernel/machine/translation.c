// translation.c: which page table a hart translates through: satp, ASIDs and the kernel's own table.
//
//	table->asid = | generation | number |       number: what satp and sfence.vma take (as many bits as the machine has, up to 12)
//
// Each table that is entered for the first time gets the next number. When they are used up, a new generation begins: every hart's
// TLB is flushed, and a table whose generation is old gets a new number when it is next entered. Harts go on translating meanwhile, so
// numbers that are in a satp at that moment are reserved: their tables keep them. Numbers are not given back one by one: a dead one
// cannot be found in any TLB after the next flush.
//
// A machine without ASIDs (or with so few that the harts could reserve most) uses number 0 for everything and flushes at each switch.
//
// A flush reaches harts that translate through the table at this moment by the firmware's remote fence. A hart that has left it,
// but may still hold translations, is not disturbed: a bit in its `pending` map makes it flush the number before it next enters. So
// a process that has moved between harts forks and frees memory without interrupting any of them.
//
// T1  A number stands for one table in a generation.
// T2  table->cpus has the bit of each CPU that may hold translations of the table: set on entering, cleared only with a flush.
// T3  Who flushes sets the pending bit, then looks whether the hart has entered; who enters says so, then looks at its bit, both
//     with a full fence between: at least one of them sees the other.
//
// Cost: about 25 instructions to enter the table that is entered already, 90 for another one, 150 for a new one. A flush of all TLBs
// every 4,095 address spaces.
// Source: the scheme of generations is that of Linux (arch/arm64/mm/context.c); the RISC-V Instruction Set Manual, Volume II,
// "satp" and "sfence.vma".
#include "kernel/machine/translation.h"

#include "kernel/machine/cpu.h"
#include "kernel/machine/csr.h"
#include "kernel/machine/sbi.h"

#define FEWEST_ASIDS (2 * PORT_MAX_CPUS)
#define MAX_BITS     12 // of a number; bounds `pending`
#define ONE_BY_ONE   32 // pages that are flushed singly; for more, all translations of the ASID go

struct table kernel_table;

static struct lock asid_lock = { .name = "asid" }; // guards all below
static unsigned number_bits;                       // generation begins above them
static uint32_t last_number;                       // 0: no ASIDs
static uint32_t next_number = 1;
static uint32_t generation = 1;
static uint32_t entered[PORT_MAX_CPUS];         // of each CPU's table, 0: the kernel's; atomic: read without the lock
static uint32_t reserved[PORT_MAX_CPUS];        // what `entered` was when this generation began
static uint64_t pending[PORT_MAX_CPUS][(1 << MAX_BITS) / 64]; // bit per number that each CPU must flush before entering; atomic
static struct table *unnumbered[PORT_MAX_CPUS]; // without ASIDs: the table that each CPU translates through

static uint32_t number_of(uint32_t asid)
{
	return asid & ((1u << number_bits) - 1);
}

static uint64_t satp_of(const struct table *table, uint32_t number)
{
	return SATP_SV39 | (uint64_t)number << SATP_ASID_SHIFT | table->root.raw >> PAGE_SHIFT;
}

static void write_satp(struct cpu *cpu, uint64_t satp)
{
	cpu->satp = satp;
	csr_write(satp, satp);
}

static bool is_reserved(uint32_t number)
{
	for (unsigned cpu = 0; cpu < cpu_count(); cpu++)
		if (reserved[cpu] && number_of(reserved[cpu]) == number)
			return true;
	return false;
}

static void begin_generation(void)
{
	generation++;
	if (generation >> (32 - number_bits))
		generation = 1;
	next_number = 1;
	for (unsigned cpu = 0; cpu < cpu_count(); cpu++)
		reserved[cpu] = entered[cpu];
	port_flush(PORT_KERNEL_ASID, UINT32_MAX, 0, SIZE_MAX / PAGE_BYTES);
}

// A table that was in use when the generation began keeps its number; true when this is one.
static bool keep_reserved(struct table *table)
{
	bool found = false;
	uint32_t renewed = generation << number_bits | number_of(table->asid);
	for (unsigned cpu = 0; table->asid && cpu < cpu_count(); cpu++)
		if (reserved[cpu] == table->asid) {
			reserved[cpu] = renewed;
			found = true;
		}
	if (found)
		table->asid = renewed;
	return found;
}

static void assign(struct table *table)
{
	if (table->asid >> number_bits == generation || keep_reserved(table))
		return;
	do {
		if (next_number > last_number)
			begin_generation();
		if (keep_reserved(table)) // the generation has changed just now
			return;
	} while (is_reserved(next_number++));
	table->asid = generation << number_bits | (next_number - 1);
	__atomic_store_n(&table->cpus, 0, __ATOMIC_RELAXED);
}

static void enter_without_asid(struct cpu *cpu, struct table *table)
{
	struct table *before = unnumbered[cpu->number];
	unnumbered[cpu->number] = table;
	if (table)
		__atomic_fetch_or(&table->cpus, 1u << cpu->number, __ATOMIC_SEQ_CST);
	write_satp(cpu, satp_of(table ? table : &kernel_table, 0));
	__asm__ volatile("fence.i");
	__asm__ volatile("sfence.vma zero, %0" ::"r"(0UL) : "memory"); // all but the global ones
	if (before && before != table)
		__atomic_fetch_and(&before->cpus, ~(1u << cpu->number), __ATOMIC_SEQ_CST);
}

// Does what port_flush has left to this CPU; it has said already that it enters.
static void flush_pending(unsigned cpu, uint32_t number)
{
	uint64_t *word = &pending[cpu][number / 64], bit = 1UL << number % 64;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!(__atomic_load_n(word, __ATOMIC_RELAXED) & bit))
		return;
	__atomic_fetch_and(word, ~bit, __ATOMIC_SEQ_CST);
	__asm__ volatile("sfence.vma zero, %0" ::"r"((uint64_t)number) : "memory");
}

void translation_enter(struct table *table)
{
	struct cpu *cpu = this_cpu();
	if (table->asid && entered[cpu->number] == table->asid && cpu->satp == satp_of(table, number_of(table->asid)))
		return;
	if (last_number == 0) {
		if (unnumbered[cpu->number] != table || cpu->satp != satp_of(table, 0))
			enter_without_asid(cpu, table);
		return;
	}
	lock_acquire(&asid_lock);
	assign(table);
	__atomic_store_n(&entered[cpu->number], table->asid, __ATOMIC_RELAXED);
	__atomic_fetch_or(&table->cpus, 1u << cpu->number, __ATOMIC_SEQ_CST);
	flush_pending((unsigned)cpu->number, number_of(table->asid));
	write_satp(cpu, satp_of(table, number_of(table->asid)));
	__asm__ volatile("fence.i"); // another hart may have loaded instructions since this one ran the process
	lock_release(&asid_lock);
}

void translation_leave(void)
{
	struct pin pin = port_pin();
	struct cpu *cpu = this_cpu();
	if (last_number == 0) {
		if (unnumbered[cpu->number])
			enter_without_asid(cpu, NULL);
	} else if (entered[cpu->number]) {
		lock_acquire(&asid_lock);
		write_satp(cpu, satp_of(&kernel_table, 0));
		__atomic_store_n(&entered[cpu->number], 0, __ATOMIC_RELAXED);
		lock_release(&asid_lock);
	}
	port_unpin(pin);
}

void translation_init(uint32_t limit)
{
	uint64_t kernel = satp_of(&kernel_table, 0);
	csr_write(satp, kernel | SATP_ASID_MASK << SATP_ASID_SHIFT); // bits that the machine lacks read as 0
	uint32_t most = (uint32_t)(csr_read(satp) >> SATP_ASID_SHIFT & SATP_ASID_MASK);
	write_satp(this_cpu(), kernel);
	__asm__ volatile("sfence.vma" ::: "memory");
	number_bits = (unsigned)__builtin_popcount(most) < MAX_BITS ? (unsigned)__builtin_popcount(most) : MAX_BITS;
	most &= (1u << MAX_BITS) - 1;
	if (most > limit)
		most = limit;
	last_number = most < FEWEST_ASIDS ? 0 : most;
}

uint32_t translation_asids(void)
{
	return last_number;
}

static void flush_here(uint64_t number, bool global, uintptr_t start, size_t pages)
{
	if (pages > ONE_BY_ONE) {
		if (global)
			__asm__ volatile("sfence.vma" ::: "memory");
		else
			__asm__ volatile("sfence.vma zero, %0" ::"r"(number) : "memory");
		return;
	}
	for (size_t i = 0; i < pages; i++)
		if (global)
			__asm__ volatile("sfence.vma %0" ::"r"(start + i * PAGE_BYTES) : "memory");
		else
			__asm__ volatile("sfence.vma %0, %1" ::"r"(start + i * PAGE_BYTES), "r"(number) : "memory");
}

// Those of `mask` that translate through the table now; to the others, the flush is left for later.
static uint32_t leave_pending(uint32_t asid, uint32_t mask)
{
	uint32_t number = number_of(asid), now = 0;
	uint64_t bit = 1UL << number % 64;
	for (uint32_t rest = mask; rest; rest &= rest - 1) {
		uint64_t *word = &pending[__builtin_ctz(rest)][number / 64];
		if (!(__atomic_load_n(word, __ATOMIC_RELAXED) & bit))
			__atomic_fetch_or(word, bit, __ATOMIC_SEQ_CST);
	}
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	for (uint32_t rest = mask; rest; rest &= rest - 1) {
		unsigned cpu = (unsigned)__builtin_ctz(rest);
		if (number_of(__atomic_load_n(&entered[cpu], __ATOMIC_RELAXED)) == number)
			now |= 1u << cpu;
	}
	return now;
}

// Port_flush of mm/port.h. No pin: the kernel is not moved to another CPU but where it sleeps. The caller has written the entries
// already; a fence makes them visible before another hart is told to look again.
void port_flush(uint32_t asid, uint32_t mask, uintptr_t start, size_t pages)
{
	uint32_t self = 1u << this_cpu()->number;
	bool global = asid == PORT_KERNEL_ASID, whole = pages > ONE_BY_ONE;
	uint64_t number = number_of(asid);
	mask = global ? cpu_online() : mask;
	if (mask & self)
		flush_here(number, global, start, pages);
	mask &= cpu_online() & ~self;
	if (mask && !global && last_number)
		mask = leave_pending(asid, mask);
	if (mask == 0)
		return;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	sbi_remote_fence(mask, whole ? 0 : start, whole ? UINT64_MAX : pages * PAGE_BYTES, global ? asid : (uint32_t)number);
}
