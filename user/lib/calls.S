# calls.S: one function a system call: the number goes to a7, the arguments are in a0 to a5 already, the result comes back in a0.
#
# The symbols are weak: a program may have a function of its own with such a name.

#include "kernel/syscall.h"

#define CALL(name) NAMED(name, SYS_##name)
#define NAMED(name, number)                             \
	.section .text.name, "ax", @progbits;           \
	.weak name;                                     \
	.type name, @function;                          \
	name: li a7, number;                            \
	ecall;                                          \
	ret;                                            \
	.size name, . - name

CALL(fork)
CALL(exit)
CALL(wait)
CALL(pipe)
CALL(read)
CALL(kill)
CALL(exec)
CALL(fstat)
CALL(chdir)
CALL(dup)
CALL(getpid)
NAMED(sys_sbrk, SYS_sbrk)
CALL(sleep)
CALL(pause)
CALL(uptime)
CALL(open)
CALL(write)
CALL(mknod)
CALL(unlink)
CALL(link)
CALL(mkdir)
CALL(close)

CALL(mmap)
CALL(munmap)
CALL(mprotect)
CALL(meminfo)
CALL(ps)
CALL(shutdown)
CALL(sync)
CALL(ttymode)
CALL(heapinfo)
CALL(heaptrace)
