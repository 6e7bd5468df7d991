// syscall.h: what the files that implement system calls share. (kernel/syscall.h holds the numbers.)
//
// Each call gets its arguments, the caller's a0 to a5, as they came: nothing in them is trusted. It returns what the caller finds in a0.
#pragma once

#include "kernel/process/process.h"

#define EACH_SYSCALL(DO)                                                                                                           \
	DO(fork) DO(exit) DO(wait) DO(pipe) DO(read) DO(kill) DO(exec) DO(fstat) DO(chdir) DO(dup) DO(getpid) DO(sbrk) DO(sleep)    \
	DO(uptime) DO(open) DO(write) DO(mknod) DO(unlink) DO(link) DO(mkdir) DO(close) DO(mmap) DO(munmap) DO(mprotect)            \
	DO(meminfo) DO(ps) DO(shutdown) DO(sync) DO(ttymode)

#define DECLARE(name) int64_t call_##name(const uint64_t *a);
EACH_SYSCALL(DECLARE)
#undef DECLARE

struct file *file_of(uint64_t descriptor);                // of the current process, NULL: not open
bool path_from_user(char path[MAXPATH], uint64_t address); // false: bad address, or no NUL within MAXPATH bytes
int64_t result_of(enum space_result result);               // 0 or -1
