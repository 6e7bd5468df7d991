// riscv.h: pages, page-table entries and a few registers, for programs, under xv6's names.
//
// The kernel's own words for these are in mm/addr.h and kernel/machine/csr.h. The two sets do not mix in one file: pte_t is a struct there.
#pragma once

#include "kernel/types.h"

#define PGSIZE  4096
#define PGSHIFT 12

#define PGROUNDUP(bytes)     (((bytes) + PGSIZE - 1) & ~(PGSIZE - 1))
#define PGROUNDDOWN(address) ((address) & ~(PGSIZE - 1))

// First address beyond a program's reach: half of what Sv39 can name.
#define MAXVA (1L << (9 + 9 + 9 + 12 - 1))

typedef uint64 pte_t;
typedef uint64 *pagetable_t;

#define PTE_V (1L << 0)
#define PTE_R (1L << 1)
#define PTE_W (1L << 2)
#define PTE_X (1L << 3)
#define PTE_U (1L << 4)
#define PTE_G (1L << 5)
#define PTE_A (1L << 6)
#define PTE_D (1L << 7)

#define PA2PTE(pa)     (((uint64)(pa) >> PGSHIFT) << 10)
#define PTE2PA(pte)    (((pte) >> 10) << PGSHIFT)
#define PTE_FLAGS(pte) ((pte) & 0x3FF)

#define PXMASK         0x1FF
#define PXSHIFT(level) (PGSHIFT + 9 * (level))
#define PX(level, va)  (((uint64)(va) >> PXSHIFT(level)) & PXMASK)

static inline uint64 r_sp(void)
{
	uint64 value;
	__asm__ volatile("mv %0, sp" : "=r"(value));
	return value;
}

static inline uint64 r_fp(void)
{
	uint64 value;
	__asm__ volatile("mv %0, s0" : "=r"(value));
	return value;
}

static inline uint64 r_ra(void)
{
	uint64 value;
	__asm__ volatile("mv %0, ra" : "=r"(value));
	return value;
}

static inline uint64 r_tp(void)
{
	uint64 value;
	__asm__ volatile("mv %0, tp" : "=r"(value));
	return value;
}

// Counters: time runs at the machine's timebase on all harts alike, the other two belong to one hart.
static inline uint64 r_time(void)
{
	uint64 value;
	__asm__ volatile("csrr %0, time" : "=r"(value));
	return value;
}

static inline uint64 r_cycle(void)
{
	uint64 value;
	__asm__ volatile("csrr %0, cycle" : "=r"(value));
	return value;
}

static inline uint64 r_instret(void)
{
	uint64 value;
	__asm__ volatile("csrr %0, instret" : "=r"(value));
	return value;
}
