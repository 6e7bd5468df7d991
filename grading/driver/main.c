// main.c: the judge's driver: boots as kernel/boot/main.c does until memblock is filled, then makes the calls that the judge plans.
//
//     boot_main -> device tree, memblock -> park -> batch (page_init) -> park -> batch (start harts) -> park -> batch -> ...
//     hart_run  ----------------------------------------------------------------------------------> batch -> park -> ...
//
// It is linked in place of kernel/boot/main.c, so the kernel knows nothing of it. It judges nothing: it makes calls and writes down
// what came back. While it is parked the judge reads the results and all of memory, writes into pages, and plans the next batch.
// All harts begin a batch together. A hart waits with interrupts off, asleep but for a look at the mailbox every 100 µs.
#include "kernel/boot/machine.h"
#include "kernel/boot/map.h"
#include "kernel/machine/csr.h"
#include "kernel/machine/offsets.h"
#include "kernel/machine/panic.h"
#include "kernel/machine/sbi.h"
#include "kernel/machine/timer.h"
#include "kernel/machine/translation.h"
#include "mm/page.h"
#include "mm/vmalloc.h"

#include "grading/driver/subject.h"

static const struct subject own_calls;
static const struct subject *const SUBJECTS[] = {
	[0] = &own_calls,
	[CALL_PAGES / CALL_GROUP] = &subject_pages,
	[CALL_HEAPS / CALL_GROUP] = &subject_heaps,
	[CALL_TABLES / CALL_GROUP] = &subject_tables,
	[CALL_BOOT / CALL_GROUP] = &subject_boot,
};

static struct memblock memblock;
static struct mailbox *mailbox;
static uint64_t now; // the batch that is being made
static char stacks[PORT_MAX_CPUS][STACK_BYTES] __attribute__((aligned(16)));
extern const char entry_other[];

_Noreturn void boot_main(uint64_t hartid, uint64_t tree);
_Noreturn void hart_run(void);

static uint64_t load(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static void store(uint64_t *word, uint64_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
}

// ---- waiting

static void wait_for_batch(uint64_t last)
{
	csr_write(sie, SIE_TIMER | SIE_SOFTWARE);
	for (unsigned spins = 0; load(&mailbox->go) == last; spins++) {
		if (panic_begun)
			panic_stop_here();
		spin_hint();
		if (spins < 100)
			continue;
		timer_set(timer_now() + timer_hz / 10000);
		wait_for_interrupt();
	}
	csr_write(sie, SIE_SOFTWARE);
}

static void wait_for_harts(void)
{
	__atomic_fetch_add(&mailbox->arrived, 1, __ATOMIC_ACQ_REL);
	while (load(&mailbox->arrived) < mailbox->arrivals) {
		if (panic_begun)
			panic_stop_here();
		spin_hint();
	}
}

// ---- the driver's own calls

static uint64_t start_pages(void)
{
	struct page_config config = { .engine = mailbox->engine, .cpus = (unsigned)mailbox->harts };
	config.dma_limit = PA(mailbox->dma_limit);
	config.reserve = mailbox->reserve;
	return page_init(&memblock, &config);
}

// As kernel/boot/main.c goes on: the kernel's own page table, through which harts that start later translate, too, and vmalloc in it.
// satp is the answer.
static uint64_t start_tables(void)
{
	if (kernel_map_init(&memblock.memory))
		return 0;
	translation_init(UINT32_MAX);
	return vmalloc_init(&kernel_table, VA(MAP_VMALLOC_START), MAP_VMALLOC_BYTES) ? csr_read(satp) : 0;
}

static uint64_t start_harts(void)
{
	for (unsigned i = 1; i < mailbox->harts; i++) {
		cpus[i].idle_sp = cpus[i].kernel_sp = (uint64_t)(stacks[i] + STACK_BYTES);
		cpus[i].satp = csr_read(satp);
		if (sbi_hart_start(cpus[i].hartid, (uint64_t)entry_other - port_linear, (uint64_t)&cpus[i] - port_linear))
			panic("judge: hart %lu does not start", cpus[i].hartid);
	}
	return 0;
}

static uint64_t perform_own(const struct call *call, const uint64_t *slot)
{
	(void)slot;
	switch (call->op) {
	case CALL_PAGE_INIT:
		return start_pages();
	case CALL_START_HARTS:
		return start_harts();
	case CALL_TABLE_INIT:
		return start_tables();
	case CALL_INTERRUPT:
		cpu_interrupt((uint32_t)call->argument);
		return 0;
	default:
		return 0;
	}
}

static const struct subject own_calls = { .perform = perform_own };

// ---- batches

static void make(struct call *call)
{
	uint64_t *slot = (uint64_t *)((char *)mailbox + MAILBOX_SLOTS_AT) + call->slot;
	const struct subject *subject = SUBJECTS[call->op / CALL_GROUP];
	uint32_t odd = subject->before ? subject->before(call, slot) : 0;
	call->begin = (uint32_t)__atomic_fetch_add(&mailbox->ticket, 1, __ATOMIC_SEQ_CST);
	uint64_t before = csr_read(instret);
	uint64_t value = subject->perform(call, slot);
	call->cost = (uint32_t)(csr_read(instret) - before);
	call->end = (uint32_t)__atomic_fetch_add(&mailbox->ticket, 1, __ATOMIC_SEQ_CST);
	if (!interrupts_are_on())
		odd |= ODD_INTERRUPTS;
	if (this_cpu()->lock_depth)
		odd |= ODD_LOCK;
	interrupts_on();
	if (subject->after)
		subject->after(call, slot, value);
	call->value = value;
	call->odd = odd;
}

static _Noreturn void serve(uint64_t batch)
{
	for (uint64_t me = this_cpu()->number;; batch++) {
		wait_for_batch(batch - 1);
		wait_for_harts();
		if (me == 0)
			now = batch;
		struct call *calls = (struct call *)((char *)mailbox + mailbox->calls) + mailbox->share[me].first;
		interrupts_on();
		for (uint32_t i = 0; i < mailbox->share[me].count; i++) {
			store(&mailbox->progress[me], mailbox->progress[me] + 1);
			make(&calls[i]);
		}
		interrupts_off();
		store(&mailbox->done[me], batch);
	}
}

// ---- from power-on to the first batch

static uint64_t hexadecimal(const char *text)
{
	uint64_t value = 0;
	for (; (*text >= '0' && *text <= '9') || (*text >= 'a' && *text <= 'f'); text++)
		value = value * 16 + (uint64_t)(*text <= '9' ? *text - '0' : *text - 'a' + 10);
	return value;
}

static void must(bool done, const char *what)
{
	if (!done)
		panic("judge: %s", what);
}

// The boot argument is the mailbox's physical address in hexadecimal digits.
static void find_mailbox(void)
{
	mailbox = pa_pointer(PA(hexadecimal(machine.bootargs)));
	must(mailbox->magic == MAILBOX_MAGIC, "there is no mailbox where the boot argument says");
}

// Memory as the judge wants it: all that the device tree tells of, or these regions only; and with holes.
static void shape_memory(void)
{
	if (mailbox->regions)
		memblock.memory.count = 0;
	for (unsigned i = 0; i < mailbox->regions; i++)
		must(memblock_add(&memblock, PA(mailbox->region[i].start), mailbox->region[i].bytes), "a region cannot be added");
	must(memblock_reserve(&memblock, pa_of(kernel_start), (uint64_t)(kernel_end - kernel_start)), "the kernel cannot be reserved");
	must(memblock_reserve(&memblock, pa_of(mailbox), mailbox->bytes), "the mailbox cannot be reserved");
	for (unsigned i = 0; i < mailbox->holes; i++)
		must(memblock_reserve(&memblock, PA(mailbox->hole[i].start), mailbox->hole[i].bytes), "a hole cannot be reserved");
}

void boot_main(uint64_t hartid, uint64_t tree)
{
	cpu_number_first(hartid);
	trap_init();
	const char *error = machine_read(&machine, &memblock, pa_pointer(PA(tree)), 16u << 20);
	if (error)
		panic("judge: %s", error);
	timer_hz = machine.timebase;
	cpu_number_others();
	find_mailbox();
	shape_memory();
	mailbox->tree = tree;
	store(&mailbox->stage, 1);
	serve(1);
}

void hart_run(void)
{
	trap_init();
	cpu_set_online((unsigned)this_cpu()->number);
	serve(now + 1);
}
