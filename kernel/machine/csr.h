// csr.h: the control and status registers that the kernel uses, and the bits in them.
//
// Source: The RISC-V Instruction Set Manual, Volume II: Privileged Architecture, chapter "Supervisor-Level ISA".
#pragma once

#define SSTATUS_SIE  0x2   // interrupts on
#define SSTATUS_SPIE 0x20  // interrupts on after sret
#define SSTATUS_SPP  0x100 // the trap came from supervisor mode

#define SIE_SOFTWARE 0x2   // interrupts between harts
#define SIE_TIMER    0x20
#define SIE_EXTERNAL 0x200 // devices, through the PLIC

#define SATP_SV39       (8UL << 60)
#define SATP_ASID_SHIFT 44
#define SATP_ASID_MASK  0xffffUL

#define CAUSE_INTERRUPT (1UL << 63)
#define CAUSE_ECALL_USER     8
#define CAUSE_FETCH_FAULT   12 // page faults
#define CAUSE_LOAD_FAULT    13
#define CAUSE_STORE_FAULT   15
#define CAUSE_SOFTWARE 1 // with CAUSE_INTERRUPT
#define CAUSE_TIMER    5
#define CAUSE_EXTERNAL 9

#ifndef __ASSEMBLER__
#include <stdbool.h>
#include <stdint.h>

#define csr_read(name)                                                      \
	({                                                                  \
		uint64_t value_;                                            \
		__asm__ volatile("csrr %0, " #name : "=r"(value_)::"memory"); \
		value_;                                                     \
	})
#define csr_write(name, value) __asm__ volatile("csrw " #name ", %0" ::"rK"((uint64_t)(value)) : "memory")
#define csr_set(name, bits)    __asm__ volatile("csrs " #name ", %0" ::"rK"((uint64_t)(bits)) : "memory")
#define csr_clear(name, bits)  __asm__ volatile("csrc " #name ", %0" ::"rK"((uint64_t)(bits)) : "memory")

static inline void interrupts_on(void)
{
	csr_set(sstatus, SSTATUS_SIE);
}

static inline void interrupts_off(void)
{
	csr_clear(sstatus, SSTATUS_SIE);
}

static inline bool interrupts_are_on(void)
{
	return csr_read(sstatus) & SSTATUS_SIE;
}

// Returns at the next interrupt that is enabled in sie, even while interrupts are off: it is taken when they come on again.
static inline void wait_for_interrupt(void)
{
	__asm__ volatile("wfi" ::: "memory");
}

// Inside a loop that waits for another hart: lets the emulator run that hart (the Zihintpause hint; a no-op elsewhere).
static inline void spin_hint(void)
{
	__asm__ volatile(".4byte 0x0100000f" ::: "memory");
}
#endif
