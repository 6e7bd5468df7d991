// thread.c: the race detector of a kernel built with SAN=thread: finds two accesses that nothing orders, whether or not it did harm.
//
//	memory   | eight bytes                                     | next eight
//	shadow   | write by 0 at 7 | read by 1 at 4 |  none | none  |  ...         the latest accesses: struct cells
//	                  |
//	                  `-- hart 1 writes here, and its clock knows of hart 0 only up to moment 5: a race
//
// Two accesses race when they touch the same byte, come from two harts, one of them writes, one of them is plain (neither atomic nor
// volatile), and neither happens before the other. Clocks say what does (thread_clock.c). So a race is found when both places have been
// passed, in whichever order and however far apart in time.
//
// The thread of execution is the hart: the kernel is never preempted in favour of another process, and one that goes on elsewhere has
// passed sched_lock.
//
// T1  Who touches memory leaves its cell before it looks at the others: of two harts that come at once, at least one sees the other.
// T2  A cell is only replaced by one that races with all that the old one would race with; when there is none such, by chance.
//
// Cost: four bytes of shadow a byte of RAM; about 600 instructions an access to what this hart has not just touched. The kernel's own work
// takes 20 to 170 times the instructions, usertests -q on the whole eight times the time.
// Weakness: not seen are races between a process and an interrupt handler on the same hart, or hidden by order that came about by
// chance (both took some lock in between); what assembly, the page-table walker, devices and user programs do; the fifth reader of the
// same eight bytes, now and then.
// Sources: C. Flanagan, S. Freund, FastTrack: Efficient and Precise Dynamic Race Detection, PLDI 2009; K. Serebryany, T. Iskhodzhanov,
// ThreadSanitizer: Data Race Detection in Practice, WBIA 2009, for cells that hold several accesses.
#include "kernel/sanitize/thread.h"

#include "kernel/boot/map.h"
#include "kernel/machine/panic.h"
#include "kernel/machine/print.h"
#include "kernel/machine/translation.h"
#include "kernel/sanitize/thread_clock.h"
#include "kernel/sanitize/thread_shadow.h"
#include "kernel/sanitize/thread_stack.h"

enum { GRAIN = 8, CELLS = 4 };

struct cells { // of one grain of memory
	uint64_t of[CELLS];
};

static uint64_t ram_start, ram_bytes; // what is watched, in the linear map; nothing while ram_bytes is 0
static struct cells *shadow;
static uint64_t chance; // which cell goes when none is free; any number will do

static void *take_cleared(struct memblock *mb, uint64_t bytes)
{
	pa_t start = memblock_alloc_high(mb, bytes, PAGE_BYTES);
	uint64_t *at = pa_pointer(start);
	for (uint64_t i = 0; !pa_is_none(start) && i < bytes / sizeof *at; i++)
		at[i] = 0;
	return pa_is_none(start) ? NULL : at;
}

bool thread_sanitizer_init(struct memblock *mb)
{
	uint64_t low = mb->memory.range[0].start, high = mb->memory.range[mb->memory.count - 1].end;
	uint64_t part = round_down((high - low) / (CELLS + 1), PAGE_BYTES);
	struct clock *buckets = take_cleared(mb, sizeof(struct clock) * CLOCK_BUCKETS);
	struct stack *stacks = take_cleared(mb, sizeof(struct stack) * ACCESS_STACKS);
	shadow = take_cleared(mb, part * CELLS);
	if (!buckets || !stacks || !shadow)
		return false;
	stack_init(stacks);
	clock_init(buckets);
	ram_start = low + port_linear;
	ram_bytes = part;
	return true;
}

void thread_sanitizer_release(const void *token)
{
	clock_release((uint64_t)token);
}

void thread_sanitizer_acquire(const void *token)
{
	clock_acquire((uint64_t)token);
}

// --- where the cells of an address are

// Where the linear map shows a byte of the vmalloc area, by the kernel's own table; 0: nothing is mapped there.
static uint64_t linear(va_t va)
{
	const pte_t *table = pa_pointer(kernel_table.root);
	for (unsigned level = TABLE_LEVELS; level-- > 0;) {
		pte_t entry = table[va_index(va, level)];
		if (pte_is_leaf(entry))
			return pte_pa(entry).raw + (va.raw & (level_bytes(level) - 1)) + port_linear;
		if (!pte_is_valid(entry))
			break;
		table = pa_pointer(pte_pa(entry));
	}
	return 0;
}

static inline struct cells *cells_of(uint64_t grain) // NULL: not watched
{
	if (grain - MAP_VMALLOC_START < MAP_VMALLOC_BYTES && ram_bytes)
		grain = linear(VA(grain));
	return grain - ram_start < ram_bytes ? &shadow[(grain - ram_start) / GRAIN] : NULL;
}

// --- comparing

static unsigned hart_of(uint64_t cell)
{
	return cell >> ACCESS_HART_SHIFT & (PORT_MAX_CPUS - 1);
}

static bool comes_before_us(uint64_t cell)
{
	return cell >> ACCESS_MOMENT_SHIFT <= my_clock()->now.of[hart_of(cell)];
}

static bool races(uint64_t cell, uint64_t mine)
{
	return cell & mine & ACCESS_BYTES && (cell | mine) & ACCESS_WRITE && (cell | mine) & ACCESS_PLAIN &&
	       hart_of(cell) != hart_of(mine) && !comes_before_us(cell);
}

// Whether `strong` races with whatever `weak` would, as far as bytes and kinds go.
static inline bool covers(uint64_t strong, uint64_t weak)
{
	return (weak & ~strong & (ACCESS_BYTES | ACCESS_WRITE | ACCESS_PLAIN)) == 0;
}

static void describe(uint64_t grain, uint64_t cell)
{
	unsigned bytes = (unsigned)__builtin_popcountl(cell & ACCESS_BYTES);
	kprintf("%s%s of %u byte%s at %p by CPU %u", cell & ACCESS_PLAIN ? "" : "atomic ", cell & ACCESS_WRITE ? "write" : "read", bytes,
		bytes == 1 ? "" : "s", (void *)(grain + (uint64_t)__builtin_ctzl(cell)), hart_of(cell));
}

static void report(uint64_t grain, uint64_t cell, uint64_t mine)
{
	static uint32_t reporting;
	if (panic_begun || __atomic_exchange_n(&reporting, 1, __ATOMIC_SEQ_CST))
		return;
	ram_bytes = 0; // the report's own accesses, and those of harts that are still to stop
	kprintf("thread sanitizer: a ");
	describe(grain, mine);
	kprintf(",\nwhich nothing orders after a ");
	describe(grain, cell);
	kprintf(", called from:\n");
	stack_print((unsigned)(cell >> ACCESS_STACK_SHIFT & (ACCESS_STACKS - 1)));
	panic("thread sanitizer: a race on %p", (void *)(grain + (uint64_t)__builtin_ctzl(cell & mine)));
}

// The cell that the new access takes: an empty one, or one that nobody will miss. CELLS: there is none.
static unsigned choose(const struct cells *cells, uint64_t mine)
{
	unsigned i = 0;
	for (; i < CELLS; i++) {
		uint64_t cell = __atomic_load_n(&cells->of[i], __ATOMIC_RELAXED);
		if (cell == 0 || (covers(mine, cell) && comes_before_us(cell)))
			break;
	}
	return i;
}

static __attribute__((noinline)) void note(struct cells *cells, uint64_t grain, uint64_t mine, uint64_t pc)
{
	if (my_clock()->now.of[this_cpu()->number] >> (64 - ACCESS_MOMENT_SHIFT))
		panic("thread sanitizer: its clocks have run out: boot again");
	mine |= (uint64_t)stack_number(pc, __builtin_frame_address(0)) << ACCESS_STACK_SHIFT;
	unsigned place = choose(cells, mine);
	if (place == CELLS)
		place = (unsigned)(chance++ % CELLS);
	uint64_t old = __atomic_exchange_n(&cells->of[place], mine, __ATOMIC_SEQ_CST);
	if (races(old, mine))
		report(grain, old, mine);
	for (unsigned i = 0; i < CELLS; i++) {
		uint64_t cell = __atomic_load_n(&cells->of[i], __ATOMIC_SEQ_CST);
		if (races(cell, mine))
			report(grain, cell, mine);
	}
}

static inline bool is_noted(const struct cells *cells, uint64_t mine)
{
	const uint64_t who = ~0UL << ACCESS_MOMENT_SHIFT | (uint64_t)(PORT_MAX_CPUS - 1) << ACCESS_HART_SHIFT;
	for (unsigned i = 0; i < CELLS; i++) {
		uint64_t cell = __atomic_load_n(&cells->of[i], __ATOMIC_RELAXED);
		if (((cell ^ mine) & who) == 0 && covers(cell, mine))
			return true;
	}
	return false;
}

void shadow_touch(uint64_t address, size_t bytes, uint64_t kind, uint64_t pc)
{
	uint64_t end = address + bytes, self = this_cpu()->number;
	uint64_t mine = my_clock()->now.of[self] << ACCESS_MOMENT_SHIFT | self << ACCESS_HART_SHIFT | kind;
	for (uint64_t grain = round_down(address, GRAIN); grain < end; grain += GRAIN) {
		uint64_t from = address > grain ? address - grain : 0, to = end - grain < GRAIN ? end - grain : GRAIN;
		uint64_t access = mine | ((1UL << to) - (1UL << from));
		struct cells *cells = cells_of(grain);
		if (cells && !is_noted(cells, access))
			note(cells, grain, access, pc);
	}
}
