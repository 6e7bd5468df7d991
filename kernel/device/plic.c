// plic.c: the platform-level interrupt controller: which device interrupts, and who handles it.
//
//	device --source n--> PLIC --context c--> supervisor-external interrupt of one hart
//
// The device tree lists for each context the hart (by its interrupt controller's phandle) and the input that it drives: 9 is
// supervisor-external.
// All sources go to CPU 0: claiming on several harts only makes them race for it; what an interrupt wakes runs on any hart.
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

static struct {
	bool present;
	unsigned context; // CPU 0's
	struct {
		plic_handler *handle;
		void *context;
	} source[MAX_SOURCES];
} plic;

static volatile uint32_t *reg(uint64_t offset)
{
	return (volatile uint32_t *)((volatile char *)device_pointer(machine.plic.start) + offset);
}

// The PLIC context that interrupts CPU 0 in supervisor mode; false when there is none.
static bool find_context(void)
{
	for (unsigned hart = 0; hart < machine.harts; hart++) {
		if (machine.hart[hart].hartid != cpus[0].hartid)
			continue;
		for (plic.context = 0; plic.context < machine.contexts; plic.context++)
			if (machine.context[plic.context].intc == machine.hart[hart].intc &&
			    machine.context[plic.context].cause == SUPERVISOR_EXTERNAL)
				return CLAIM(plic.context) < machine.plic.bytes;
	}
	return false;
}

void plic_init(void)
{
	plic.present = machine.plic.bytes && find_context();
	if (plic.present)
		*reg(THRESHOLD(plic.context)) = 0;
	else
		kprintf("no interrupt controller for hart %lu: devices stay off\n", cpus[0].hartid);
}

bool plic_connect(uint32_t irq, plic_handler *handler, void *context)
{
	if (!plic.present || irq == 0 || irq >= MAX_SOURCES || irq > machine.plic_sources || plic.source[irq].handle)
		return false;
	plic.source[irq].context = context;
	plic.source[irq].handle = handler;
	*reg(PRIORITY(irq)) = 1;
	*reg(ENABLE(plic.context) + irq / 32 * 4) |= 1u << irq % 32;
	return true;
}

void plic_interrupt(void)
{
	uint32_t irq;
	while ((irq = *reg(CLAIM(plic.context))) != 0) {
		if (irq < MAX_SOURCES && plic.source[irq].handle)
			plic.source[irq].handle(plic.source[irq].context);
		*reg(CLAIM(plic.context)) = irq; // complete
	}
}
