// main.c: the judge's driver: boots as kernel/boot/main.c does up to page_init, then makes the calls that the judge plans.
//
//     boot_main -> device tree, memblock -> park (1) -> page_init -> park (2) -> batch -> park -> batch -> ...
//     hart_run  ------------------------------------------------------------> batch -> park -> ...
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
#include "mm/page.h"

#include "grading/driver/mailbox.h"

static struct memblock memblock;
static struct mailbox *mailbox;
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

static void wait_for_harts(uint64_t batch)
{
	__atomic_fetch_add(&mailbox->arrived, 1, __ATOMIC_ACQ_REL);
	while (load(&mailbox->arrived) < batch * mailbox->harts) {
		if (panic_begun)
			panic_stop_here();
		spin_hint();
	}
}

// ---- many calls in one, for several harts at once: nothing slows them down but the allocator

static void share_storm(pa_t block, uint64_t times)
{
	for (; times > 0; times--) {
		page_share(block);
		page_free(block);
	}
}

// A block's first and last word say who owns it. The number of blocks that somebody else wrote to.
static uint64_t churn_once(unsigned count, unsigned order, unsigned flags, uint64_t mine)
{
	uint64_t *held[CHURN_MOST], broken = 0;
	size_t last = (PAGE_BYTES << order) / sizeof(uint64_t) - 1;
	unsigned got = 0;
	for (unsigned i = 0; i < count; i++) {
		pa_t block = page_alloc(order, flags);
		if (pa_is_none(block))
			break;
		if (!is_aligned(block.raw, PAGE_BYTES << order) || block.raw < pa_of(kernel_end).raw || block.raw >= MAP_LINEAR_BYTES)
			return 1;
		held[got] = pa_pointer(block);
		held[got][0] = held[got][last] = block.raw ^ mine;
		got++;
	}
	while (got-- > 0) {
		uint64_t block = pa_of(held[got]).raw;
		broken += held[got][0] != (block ^ mine) || held[got][last] != (block ^ mine);
		page_free(PA(block));
	}
	return broken;
}

static uint64_t churn(const struct call *call)
{
	uint64_t broken = 0, random = this_cpu()->number * 0x9e3779b97f4a7c15 + call->slot + 1;
	for (uint64_t times = call->argument; times > 0; times--) {
		random = random * 6364136223846793005 + 1442695040888963407;
		unsigned count = 1 + (unsigned)(random >> 33) % CHURN_MOST;
		broken += churn_once(count, (unsigned)(random >> 60) % (call->order + 1u), call->flags, random | 1);
	}
	return broken;
}

// ---- one call

static uint64_t on_slot(const struct call *call, pa_t block)
{
	switch (call->op) {
	case CALL_FREE:
		page_free(block);
		return 0;
	case CALL_SHARE:
		page_share(block);
		return 0;
	case CALL_SHARE_STORM:
		share_storm(block, call->argument);
		return 0;
	case CALL_REFS:
		return page_refs(block);
	default:
		return page_order(block);
	}
}

static uint64_t perform(const struct call *call, pa_t block)
{
	switch (call->op) {
	case CALL_NOTHING:
		return 0;
	case CALL_ALLOC:
		return page_alloc(call->order, call->flags).raw;
	case CALL_IS_ALLOCATED:
		return page_is_allocated(PA(call->argument));
	case CALL_FREE_COUNT:
		return page_free_count();
	case CALL_TOTAL_COUNT:
		return page_total_count();
	case CALL_DRAIN:
		page_drain();
		return 0;
	case CALL_FREE_AT:
		page_free(PA(call->argument));
		return 0;
	case CALL_CHURN:
		return churn(call);
	case CALL_INTERRUPT:
		cpu_interrupt((uint32_t)call->argument);
		return 0;
	default:
		return pa_is_none(block) ? CALL_SKIPPED : on_slot(call, block);
	}
}

// A block's marks: in each page its first and last word, made of the page's address and the slot that owns it.
static uint64_t *mark(pa_t block, unsigned i)
{
	return (uint64_t *)pa_pointer(PA(block.raw + i / 2 * PAGE_BYTES + (i % 2 ? PAGE_BYTES - 8 : 0)));
}

static bool can_stamp(pa_t block, unsigned order) // the judge says what is wrong with other addresses
{
	return order <= PAGE_MAX_ORDER && is_aligned(block.raw, PAGE_BYTES << order) && block.raw >= pa_of(kernel_end).raw &&
	       block.raw < MAP_LINEAR_BYTES;
}

static void stamp(pa_t block, const struct call *call)
{
	for (unsigned i = 0; can_stamp(block, call->order) && i < 2u << call->order; i++)
		*mark(block, i) = block.raw ^ (uint64_t)call->slot << 40 ^ i;
}

static bool is_stamped(pa_t block, const struct call *call)
{
	for (unsigned i = 0; can_stamp(block, call->order) && i < 2u << call->order; i++)
		if (*mark(block, i) != (block.raw ^ (uint64_t)call->slot << 40 ^ i))
			return false;
	return true;
}

static void make(struct call *call)
{
	uint64_t *slot = (uint64_t *)((char *)mailbox + MAILBOX_SLOTS_AT) + call->slot;
	pa_t block = PA(*slot);
	uint32_t odd = 0;
	if (call->touch & CALL_STAMP && call->op == CALL_FREE && !pa_is_none(block) && !is_stamped(block, call))
		odd |= ODD_STAMP;
	call->begin = (uint32_t)__atomic_fetch_add(&mailbox->ticket, 1, __ATOMIC_SEQ_CST);
	uint64_t before = csr_read(instret);
	uint64_t value = perform(call, block);
	call->cost = (uint32_t)(csr_read(instret) - before);
	call->end = (uint32_t)__atomic_fetch_add(&mailbox->ticket, 1, __ATOMIC_SEQ_CST);
	if (!interrupts_are_on())
		odd |= ODD_INTERRUPTS;
	if (this_cpu()->lock_depth)
		odd |= ODD_LOCK;
	interrupts_on();
	if (call->op == CALL_ALLOC)
		*slot = value;
	if (call->op == CALL_ALLOC && call->touch & CALL_STAMP && value)
		stamp(PA(value), call);
	call->value = value;
	call->odd = odd;
}

static _Noreturn void serve(void)
{
	uint64_t me = this_cpu()->number;
	for (uint64_t batch = 1;; batch++) {
		wait_for_batch(batch - 1);
		wait_for_harts(batch);
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

// The boot argument is the mailbox's physical address in hexadecimal digits.
static void find_mailbox(void)
{
	mailbox = pa_pointer(PA(hexadecimal(machine.bootargs)));
	if (mailbox->magic != MAILBOX_MAGIC)
		panic("judge: there is no mailbox at \"%s\"", machine.bootargs);
	if (!memblock_reserve(&memblock, pa_of(mailbox), mailbox->bytes))
		panic("judge: the mailbox cannot be reserved");
	for (unsigned i = 0; i < mailbox->holes; i++)
		if (!memblock_reserve(&memblock, PA(mailbox->hole[i].start), mailbox->hole[i].bytes))
			panic("judge: a hole cannot be reserved");
}

static uint64_t report(const struct memblock_list *list, struct mailbox_range *to)
{
	for (unsigned i = 0; i < list->count; i++)
		to[i] = (struct mailbox_range){ list->range[i].start, list->range[i].end - list->range[i].start };
	return list->count;
}

static void park_before_pages(uint64_t tree)
{
	mailbox->tree = tree;
	mailbox->memories = report(&memblock.memory, mailbox->memory);
	mailbox->reservations = report(&memblock.reserved, mailbox->reserved);
	store(&mailbox->stage, 1);
	wait_for_batch(0);
}

static void start_harts(void)
{
	for (unsigned i = 1; i < mailbox->harts; i++) {
		cpus[i].idle_sp = cpus[i].kernel_sp = (uint64_t)(stacks[i] + STACK_BYTES);
		cpus[i].satp = csr_read(satp);
		if (sbi_hart_start(cpus[i].hartid, (uint64_t)entry_other - port_linear, (uint64_t)&cpus[i] - port_linear))
			panic("judge: hart %lu does not start", cpus[i].hartid);
	}
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
	if (!memblock_reserve(&memblock, pa_of(kernel_start), (uint64_t)(kernel_end - kernel_start)))
		panic("judge: the kernel's own memory cannot be reserved");
	find_mailbox();
	park_before_pages(tree);
	struct page_config config = { .engine = mailbox->engine, .cpus = (unsigned)mailbox->harts };
	config.dma_limit = PA(mailbox->dma_limit);
	config.reserve = mailbox->reserve;
	mailbox->go = 0;
	mailbox->started = page_init(&memblock, &config) ? 2 : 1;
	store(&mailbox->stage, 2);
	start_harts();
	serve();
}

void hart_run(void)
{
	trap_init();
	cpu_set_online((unsigned)this_cpu()->number);
	serve();
}
