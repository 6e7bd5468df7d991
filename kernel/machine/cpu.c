// cpu.c: the harts: numbering, starting, interrupting one another.
//
// CPU 0 is the hart that the firmware started first, whatever its id; the others follow in the device tree's order. Each of them
// gets a stack from vmalloc, with unmapped pages around it; the first one keeps boot_stack, with boot_stack_guard below it.
#include "kernel/machine/cpu.h"

#include "kernel/boot/machine.h"
#include "kernel/machine/print.h"
#include "kernel/machine/sbi.h"
#include "kernel/sanitize/thread.h"
#include "mm/slab.h"
#include "mm/vmalloc.h"

#define EMERGENCY_BYTES 4096

struct cpu cpus[PORT_MAX_CPUS];
_Static_assert(offsetof(struct cpu, stocks) == PIN_STOCKS * sizeof(uint64_t), "pin.h");
static unsigned count = 1;
static uint32_t online = 1;
static char emergency[PORT_MAX_CPUS][EMERGENCY_BYTES] __attribute__((aligned(16)));
extern const char entry_other[];

unsigned cpu_count(void)
{
	return count;
}

uint32_t cpu_online(void)
{
	return __atomic_load_n(&online, __ATOMIC_ACQUIRE);
}

void cpu_set_online(unsigned cpu)
{
	__atomic_fetch_or(&online, 1u << cpu, __ATOMIC_SEQ_CST);
}

void cpu_interrupt(uint32_t mask)
{
	mask &= cpu_online() & ~(1u << this_cpu()->number);
	if (mask)
		sbi_send_ipi(mask);
}

static void number(unsigned cpu, uint64_t hartid)
{
	cpus[cpu].number = cpu;
	cpus[cpu].hartid = hartid;
	cpus[cpu].stocks = kmem_no_stocks();
	cpus[cpu].emergency_sp = (uint64_t)(emergency[cpu] + EMERGENCY_BYTES);
}

void cpu_number_first(uint64_t hartid)
{
	number(0, hartid);
}

void cpu_number_others(void)
{
	for (unsigned i = 0; i < machine.harts && count < PORT_MAX_CPUS; i++)
		if (machine.hart[i].hartid != cpus[0].hartid)
			number(count++, machine.hart[i].hartid);
}

void cpu_start_others(void)
{
	for (unsigned i = 1; i < count; i++) {
		struct cpu *cpu = &cpus[i];
		char *stack = vmalloc(KERNEL_STACK_BYTES);
		if (stack == NULL) {
			kprintf("no memory for the stack of hart %lu: it stays off\n", cpu->hartid);
			continue;
		}
		cpu->idle_sp = cpu->kernel_sp = (uint64_t)stack + KERNEL_STACK_BYTES;
		cpu->satp = cpus[0].satp;
		thread_sanitizer_release(cpu);
		int64_t error = sbi_hart_start(cpu->hartid, (uint64_t)entry_other - port_linear, (uint64_t)cpu - port_linear);
		if (error) {
			kprintf("hart %lu did not start: firmware error %ld\n", cpu->hartid, error);
			vfree(stack);
		}
	}
}
