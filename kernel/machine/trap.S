// trap.S: every trap's way in and out.
//
//   user mode:    sscratch = this hart's struct cpu     ->  frame at kernel_sp - FRAME_BYTES, sscratch = 0, tp = struct cpu
//   kernel mode:  sscratch = 0                          ->  frame below sp, after a look whether sp still lies in a kernel stack
//
//        user:   trap_entry -> syscall_enter | trap_user -> process_leave -> trap_return -> sret
//        kernel: trap_entry -> trap_kernel -> sret
//
// A system call costs 49 instructions on the way in and 32 on the way out. satp stays as it is: the kernel is mapped in every space.
// When sp has run out of its stack (into the guard page, most likely), nothing can be saved there: the frame goes to the hart's emergency
// stack, and trap_kernel is told, which panics.

#include "kernel/machine/csr.h"
#include "kernel/machine/offsets.h"

	.macro preserved op // by every function, s0 aside
	.irp n, 9, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27
	\op x\n, (8 * \n)(sp)
	.endr
	.endm

	.macro others op // the rest, but for sp and tp
	.irp n, 1, 3, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17, 28, 29, 30, 31
	\op x\n, (8 * \n)(sp)
	.endr
	.endm

	.macro each_register op
	preserved \op
	others \op
	.endm

	.text
	.globl trap_entry
	.balign 4
trap_entry:
	csrrw tp, sscratch, tp
	beqz tp, from_kernel
	sd sp, CPU_SCRATCH(tp)
	ld sp, CPU_KERNEL_SP(tp)
	addi sp, sp, -FRAME_BYTES
	each_register sd
	ld t0, CPU_SCRATCH(tp)
	csrrw t1, sscratch, zero
	csrr t2, sepc
	csrr t3, sstatus
	csrr t4, scause
	sd t0, 16(sp)
	sd t1, 32(sp)
	sd t3, FRAME_STATUS(sp)
	sd t4, FRAME_CAUSE(sp)
	li s0, 0 // backtraces end here
	mv a0, sp
	li t5, CAUSE_ECALL_USER
	bne t4, t5, other_cause
	addi t2, t2, 4
	sd t2, FRAME_PC(sp)
	csrsi sstatus, SSTATUS_SIE
	call syscall_enter
	csrci sstatus, SSTATUS_SIE
	mv a0, sp
	call process_leave
	j to_user_preserved

other_cause:
	sd t2, FRAME_PC(sp)
	csrr t5, stval
	sd t5, FRAME_VALUE(sp)
	call trap_user
	csrci sstatus, SSTATUS_SIE
	mv a0, sp
	call process_leave
	j to_user

	.globl trap_return
trap_return: // a0: frame
	csrci sstatus, SSTATUS_SIE
	mv sp, a0
to_user:
	preserved ld
to_user_preserved: // after a system call they are what they were: C code keeps them
	ld t0, FRAME_PC(sp)
	ld t1, FRAME_STATUS(sp)
	csrw sepc, t0
	csrw sstatus, t1
	csrw sscratch, tp
	others ld
	ld tp, 32(sp)
	ld sp, 16(sp)
	sret

from_kernel: // tp was in sscratch, which came back as 0
	csrrw tp, sscratch, zero
	sd t0, CPU_SCRATCH(tp)
	sd t1, CPU_SCRATCH+8(tp)
	addi sp, sp, -FRAME_BYTES
	li t1, STACK_BYTES
	ld t0, CPU_KERNEL_SP(tp)
	sub t0, t0, sp
	bleu t0, t1, 1f
	ld t0, CPU_IDLE_SP(tp)
	sub t0, t0, sp
	bleu t0, t1, 1f
	mv t1, sp
	ld sp, CPU_EMERGENCY_SP(tp)
	addi sp, sp, -FRAME_BYTES
	addi t1, t1, FRAME_BYTES
	sd t1, 16(sp)
	ld t1, CPU_SCRATCH+8(tp)
	ld t0, CPU_SCRATCH(tp)
	each_register sd
	li a1, 1
	j 2f
1:	addi t1, sp, FRAME_BYTES
	sd t1, 16(sp)
	ld t1, CPU_SCRATCH+8(tp)
	ld t0, CPU_SCRATCH(tp)
	each_register sd
	li a1, 0
2:	csrr t0, sepc
	csrr t1, sstatus
	csrr t2, scause
	csrr t3, stval
	sd tp, 32(sp)
	sd t0, FRAME_PC(sp)
	sd t1, FRAME_STATUS(sp)
	sd t2, FRAME_CAUSE(sp)
	sd t3, FRAME_VALUE(sp)
	mv a0, sp
	call trap_kernel
	ld t0, FRAME_PC(sp)
	ld t1, FRAME_STATUS(sp)
	csrw sepc, t0
	csrw sstatus, t1
	each_register ld
	ld sp, 16(sp)
	sret
