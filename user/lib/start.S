# start.S: where a program begins: the kernel enters with argc in a0, argv in a1 and the stack ready.

	.section .text._start, "ax", @progbits
	.globl _start
_start:
	li fp, 0		# the outermost frame, for backtraces
	call main
	call exit		# main's result is the exit status
