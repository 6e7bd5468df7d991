// entry.S: the first instructions of every hart: from the firmware's physical world into the kernel's upper half.
//
//   firmware -> entry (the hart that boots)            -> boot_main     on boot_stack
//            -> entry_other (started by cpu_start_others) -> hart_run   on a stack of its own
//
// Both run at physical addresses with translation off until satp is written. The next instruction then has no translation and faults; stvec
// already holds the virtual address of the place to go on from. So the lower half is never mapped, not even for the jump.
//
// The early table maps the first 256 GiB of physical memory at LINEAR_OFFSET by 1 GiB leaves: they are constants, hence no code
// builds them.
// It lives until kernel_map_init has built the real table with its permissions.
//
// A hart may come to `entry` late: OpenSBI (1.1, sbi_hsm_hart_start) says that a hart shall start before it has written down
// where, so one that is just then on its way goes to the old address. Whoever finds the kernel entered looks up its own record and
// goes the others' way.

#include "kernel/machine/csr.h"
#include "kernel/machine/offsets.h"

	.section .text.entry, "ax"
	.globl entry
entry: // a0: hart id, a1: physical address of the device tree
	csrw sie, zero
	la t0, entered
	li t1, 1
	amoswap.d.aqrl t1, t1, (t0)
	bnez t1, entry_late
	la t0, early_table
	srli t0, t0, 12
	li t1, SATP_SV39
	or t0, t0, t1
	la t1, 1f
	li t2, LINEAR_OFFSET
	add t1, t1, t2
	csrw stvec, t1
	sfence.vma
	csrw satp, t0
	.balign 4
1:	la t0, trap_entry
	csrw stvec, t0
	csrw sscratch, zero
	la t0, kernel_bss
	la t1, kernel_end
2:	sd zero, (t0)
	addi t0, t0, 8
	bltu t0, t1, 2b
	la tp, cpus
	la sp, boot_stack_top
	sd sp, CPU_IDLE_SP(tp)
	sd sp, CPU_KERNEL_SP(tp)
	li s0, 0
	call boot_main
3:	wfi
	j 3b

	.balign 4
entry_late: // a0: hart id
	la a1, cpus
	li t1, PORT_MAX_CPUS
4:	ld t0, CPU_HARTID(a1)
	ld t2, CPU_SATP(a1)
	bne t0, a0, 5f
	bnez t2, entry_other // cpu_start_others has made it ready
5:	addi a1, a1, CPU_BYTES
	addi t1, t1, -1
	bnez t1, 4b
6:	wfi // nobody asked for this hart
	j 6b

	.globl entry_other
	.balign 4
entry_other: // a0: hart id, a1: physical address of its struct cpu
	csrw sie, zero
	ld t0, CPU_SATP(a1)
	la t1, 1f
	li t2, LINEAR_OFFSET
	add t1, t1, t2
	add tp, a1, t2
	csrw stvec, t1
	sfence.vma
	csrw satp, t0
	.balign 4
1:	la t0, trap_entry
	csrw stvec, t0
	csrw sscratch, zero
	ld sp, CPU_IDLE_SP(tp)
	li s0, 0
	call hart_run

	.data
	.balign 8
entered: // 1 from the first hart's entry on; not in bss, which that hart clears
	.quad 0
	.balign 4096
early_table:
	.fill 256, 8, 0
	.set gib, 0
	.rept 256
	.quad (gib << 28) | 0xcf // D A X W R V
	.set gib, gib + 1
	.endr

	.section .bss.pages, "aw", @nobits
	.balign 4096
	.globl boot_stack_guard
boot_stack_guard: // unmapped by kernel_map_init
	.space 4096
	.space STACK_BYTES
boot_stack_top:
