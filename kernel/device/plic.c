// plic.c: the platform-level interrupt controller: which device interrupts, and who handles it.
//
//	device --source n--> PLIC --context c--> supervisor-external interrupt of one hart
//
// The device tree lists for each context the hart (by its interrupt controller's phandle) and the input that it drives: 9 is
// supervisor-external. All sources of a PLIC go to one hart, CPU 0 if it can: claiming on several harts only makes them race for it;
// what an interrupt wakes runs on any hart. The firmware closes a hart's contexts when it starts the hart, so each opens its own. A
// machine of several NUMA nodes has a PLIC in each, which reaches that node's harts only.
//
// Source: RISC-V Platform-Level Interrupt Controller Specification 1.0.
#include "kernel/device/plic.h"

#include <stddef.h>

#include "kernel/boot/machine.h"
#include "kernel/machine/cpu.h"
#include "kernel/machine/print.h"

#define SUPERVISOR_EXTERNAL 9
#define PRIORITY(source)    ((source) * 4UL)
#define ENABLE(context)     (0x2000 + (context) * 0x80UL)
#define THRESHOLD(context)  (0x200000 + (context) * 0x1000UL)
#define CLAIM(context)      (THRESHOLD(context) + 4)
#define MAX_SOURCES         128

static struct lock plic_lock = { .name = "plic" }; // guards the connecting: handlers, and the enable registers
static struct {
	bool present;
	unsigned cpu, context; // who handles its interrupts, and the context that tells it
	struct {
		plic_handler *handle;
		void *context;
	} source[MAX_SOURCES];
} plics[MACHINE_PLICS];

static volatile uint32_t *reg(unsigned plic, uint64_t offset)
{
	return (volatile uint32_t *)((volatile char *)device_pointer(machine.plic[plic].registers.start) + offset);
}

// The interrupt controller of this CPU, as the device tree calls it.
static uint32_t intc_of(unsigned cpu)
{
	for (unsigned hart = 0; hart < machine.harts; hart++)
		if (machine.hart[hart].hartid == cpus[cpu].hartid)
			return machine.hart[hart].intc;
	return 0;
}

// Looks for the first CPU that this PLIC can interrupt in supervisor mode.
static bool find_cpu(unsigned plic)
{
	const struct machine_plic *tree = &machine.plic[plic];
	for (unsigned cpu = 0; cpu < cpu_count(); cpu++)
		for (unsigned context = 0; context < tree->contexts; context++)
			if (tree->context[context].intc == intc_of(cpu) && tree->context[context].cause == SUPERVISOR_EXTERNAL &&
			    CLAIM(context) < tree->registers.bytes) {
				plics[plic].cpu = cpu;
				plics[plic].context = context;
				return true;
			}
	return false;
}

void plic_init(void)
{
	for (unsigned plic = 0; plic < machine.plics; plic++) {
		plics[plic].present = find_cpu(plic);
		if (!plics[plic].present)
			kprintf("no hart hears the interrupt controller at 0x%lx\n", machine.plic[plic].registers.start);
	}
	plic_start();
}

static void enable(unsigned plic, uint32_t source)
{
	*reg(plic, PRIORITY(source)) = 1;
	*reg(plic, ENABLE(plics[plic].context) + source / 32 * 4) |= 1u << source % 32;
}

void plic_start(void)
{
	lock_acquire(&plic_lock);
	for (unsigned plic = 0; plic < machine.plics; plic++) {
		if (!plics[plic].present || plics[plic].cpu != this_cpu()->number)
			continue;
		*reg(plic, THRESHOLD(plics[plic].context)) = 0;
		for (uint32_t source = 1; source < MAX_SOURCES; source++)
			if (plics[plic].source[source].handle)
				enable(plic, source);
	}
	lock_release(&plic_lock);
}

bool plic_connect(uint32_t irq, plic_handler *handler, void *context)
{
	unsigned plic = irq >> MACHINE_PLIC_SHIFT, source = irq & ((1u << MACHINE_PLIC_SHIFT) - 1);
	if (source == 0 || source >= MAX_SOURCES || plic >= machine.plics || !plics[plic].present)
		return false;
	lock_acquire(&plic_lock);
	bool free = plics[plic].source[source].handle == NULL;
	if (free) {
		plics[plic].source[source].context = context;
		__atomic_store_n(&plics[plic].source[source].handle, handler, __ATOMIC_RELEASE); // serve takes no lock
		enable(plic, source);
	}
	lock_release(&plic_lock);
	return free;
}

static void serve(unsigned plic)
{
	uint32_t source;
	volatile uint32_t *claim = reg(plic, CLAIM(plics[plic].context));
	while ((source = *claim) != 0) {
		plic_handler *handle = NULL;
		if (source < MAX_SOURCES)
			handle = __atomic_load_n(&plics[plic].source[source].handle, __ATOMIC_ACQUIRE);
		if (handle)
			handle(plics[plic].source[source].context);
		*claim = source; // complete
	}
}

void plic_interrupt(void)
{
	for (unsigned plic = 0; plic < machine.plics; plic++)
		if (plics[plic].present && plics[plic].cpu == this_cpu()->number)
			serve(plic);
}
