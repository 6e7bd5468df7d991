// cpu.h: what the kernel keeps for each hart. `tp` holds the address of the running hart's record while in the kernel.
#pragma once

#include "mm/port.h"

struct process;
struct stock;

// Every kernel stack, of a process, a kernel thread or a hart's idle loop, has this size and an unmapped page below it.
#define KERNEL_STACK_BYTES ((size_t)16384)

struct context { // callee-saved registers of code that gave up the hart: see context_switch in switch.S
	uint64_t ra, sp, s[12];
};

struct cpu {
	uint64_t number;         // 0 .. cpu_count() - 1; entry code reads the first members by offset
	uint64_t hartid;         // the machine's name for it
	uint64_t kernel_sp;      // top of the stack of what runs here, kernel threads too: where a trap from user mode lands.
	                         // The scheduler sets it at each switch; the trap entry tells a stack overflow by it.
	uint64_t scratch[2];     // for the trap entry
	uint64_t idle_sp;        // top of this hart's own stack, on which its idle loop runs
	uint64_t emergency_sp;   // top of the stack for reporting that a stack overflowed
	uint64_t satp;           // what the hart's satp holds
	struct stock *stocks;    // the slab heap's; pin.h knows the place
	struct process *current; // the process that runs here, NULL while idle
	struct context idle;     // of this hart's scheduler loop
	unsigned lock_depth;     // spinlocks held: interrupts are off while it is not 0
	bool interrupts_before;  // whether they were on at depth 0; code that switches contexts under a lock keeps it for its own return
	bool reschedule;         // a timer tick or a wakeup asks the running process to yield
	bool panicking;          // this hart is in panic()
} __attribute__((aligned(64)));

extern struct cpu cpus[PORT_MAX_CPUS];

// Global, so that the compiler reads it again after each call: what was called may have slept, and gone on on another hart.
register struct cpu *cpu_in_tp __asm__("tp");

static inline struct cpu *this_cpu(void) // stable only while interrupts are off
{
	return cpu_in_tp;
}

unsigned cpu_count(void);
uint32_t cpu_online(void); // bit per CPU that runs

// Interrupts each CPU whose bit is set (this one excepted); an idle one leaves wfi and looks at the run queue again, one in user mode
// passes through process_leave.
void cpu_interrupt(uint32_t mask);

// Numbering at boot: the hart that runs is CPU 0, those of the device tree follow.
void cpu_number_first(uint64_t hartid);
void cpu_number_others(void);
void cpu_set_online(unsigned cpu);

// Starts all other harts, each on a stack of its own in hart_run (main.c). Those that cannot be started are reported and left out.
void cpu_start_others(void);

void context_switch(struct context *from, const struct context *to);
