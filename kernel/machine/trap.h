// trap.h: the way into the kernel and back: the saved registers and the handlers that the entry code reaches.
#pragma once

#include "kernel/machine/cpu.h"

// User (or interrupted kernel) registers; x[0] is unused. Offsets are known to trap.S. A trap from user mode puts it at
// cpu->kernel_sp - sizeof(struct trapframe).
struct trapframe {
	uint64_t x[32]; // ra = x[1], sp = x[2], tp = x[4], a0..a7 = x[10]..x[17]
	uint64_t pc, status, cause, value; // sepc, sstatus, scause, stval (value: not set for a system call)
};

// What sstatus must hold in a frame that goes to user mode: interrupts on, user mode.
#define TRAP_USER_STATUS 0x20

void trap_init(void);                       // on each hart: stvec, counters for user mode, sie
_Noreturn void trap_return(struct trapframe *frame); // to user mode with these registers; the frame is at kernel_sp - sizeof *frame

// Called by trap.S and trap.c; defined in process/: must be quick to find, they are the kernel's main road.
// A system call: number in a7, result to a0; pc is past the ecall already; interrupts on.
void syscall_enter(struct trapframe *frame);
void process_fault(struct trapframe *frame); // page fault or any other exception from user mode, interrupts on
void sched_tick(void);                       // timer interrupt on this hart, interrupts off
void process_leave(struct trapframe *frame); // before each return to user mode, interrupts off: killed? preempted?
