// trap.h: the way into the kernel and back: the saved registers and the handlers that the entry code reaches.
#pragma once

#include "kernel/machine/cpu.h"

// User (or interrupted kernel) registers, at the top of the kernel stack; x[0] is unused. Offsets are known to trap.S.
struct trapframe {
	uint64_t x[32]; // ra = x[1], sp = x[2], tp = x[4], a0..a7 = x[10]..x[17]
	uint64_t pc, status, cause, value; // sepc, sstatus, scause, stval
};

void trap_init(void);                       // on each hart: stvec, counters for user mode, sie
_Noreturn void trap_return(struct trapframe *frame); // to user mode (or the interrupted kernel code) with these registers

// Called by trap.c; defined in process/: must be quick to find, they are the kernel's main road.
void syscall_enter(struct trapframe *frame);             // ecall from user mode: number in a7, result to a0
void process_fault(struct trapframe *frame);             // page fault or any other exception from user mode
void sched_tick(void);                                   // timer interrupt on this hart, interrupts off
void process_leave(struct trapframe *frame);             // before each return to user mode: killed? preempted?
