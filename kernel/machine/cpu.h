// cpu.h: what the kernel keeps for each hart. `tp` holds the address of the running hart's record while in the kernel.
#pragma once

#include "mm/port.h"

struct process;

struct context { // callee-saved registers of code that gave up the hart: see context_switch in switch.S
	uint64_t ra, sp, s[12];
};

struct cpu {
	uint64_t number;         // 0 .. cpu_count() - 1; entry code reads the first members by offset
	uint64_t hartid;         // the machine's name for it
	uint64_t kernel_sp;      // top of the current process's kernel stack: where a trap from user mode lands
	uint64_t scratch[2];     // for the trap entry
	struct process *current; // the process that runs here, NULL while idle
	struct context idle;     // of this hart's scheduler loop
	unsigned lock_depth;     // spinlocks held and port_pins open: interrupts are off while it is not 0
	bool interrupts_before;  // whether they were on at depth 0
	bool reschedule;         // a timer tick or a wakeup asks the running process to yield
} __attribute__((aligned(64)));

extern struct cpu cpus[PORT_MAX_CPUS];

static inline struct cpu *this_cpu(void) // stable only while interrupts are off
{
	register struct cpu *tp __asm__("tp");
	return tp;
}

unsigned cpu_count(void);
uint32_t cpu_online(void); // bit per CPU that runs

void context_switch(struct context *from, const struct context *to);
