// memlayout.h: addresses that programs written for xv6 mention.
//
// The kernel uses none of them: it learns the machine from the device tree, and lives in the upper half of every address space. What counts
// for a program is that nothing is mapped at these addresses, unless it put it there itself.
#pragma once

#include "kernel/riscv.h"

// Devices of QEMU's `virt` machine, physical.
#define CLINT       0x2000000L
#define PLIC        0x0c000000L
#define UART0       0x10000000L
#define UART0_IRQ   10
#define VIRTIO0     0x10001000L
#define VIRTIO0_IRQ 1

// RAM, physical, with xv6's 128 MiB.
#define KERNBASE 0x80000000L
#define PHYSTOP  (KERNBASE + 128 * 1024 * 1024)

// The last page below MAXVA, a guard in Quire; and the first one that the heap cannot reach: the guard below the stack's 8 MiB.
#define TRAMPOLINE (MAXVA - PGSIZE)
#define TRAPFRAME  (MAXVA - (16 + 2048 + 1) * PGSIZE)
#define KSTACK(p)  (TRAMPOLINE - ((p) + 1) * 2 * PGSIZE)
