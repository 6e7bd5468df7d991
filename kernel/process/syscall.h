// syscall.h: what the files that implement system calls share. (kernel/syscall.h holds the numbers.)
//
// Each call gets its arguments, the caller's a0 to a5, as they came: nothing in them is trusted. It returns what the caller finds in a0.
#pragma once

#include "kernel/process/process.h"

struct file *file_of(uint64_t descriptor);                // of the current process, NULL: not open
bool path_from_user(char path[MAXPATH], uint64_t address); // false: bad address, or no NUL within MAXPATH bytes
int64_t result_of(enum space_result result);               // 0 or -1

// syscall.c
int64_t call_fork(const uint64_t *a);
int64_t call_exit(const uint64_t *a);
int64_t call_wait(const uint64_t *a);
int64_t call_kill(const uint64_t *a);
int64_t call_getpid(const uint64_t *a);
int64_t call_sleep(const uint64_t *a);
int64_t call_uptime(const uint64_t *a);
int64_t call_exec(const uint64_t *a);
int64_t call_shutdown(const uint64_t *a);
int64_t call_sync(const uint64_t *a);
int64_t call_ttymode(const uint64_t *a);

// syscall_file.c
int64_t call_read(const uint64_t *a);
int64_t call_write(const uint64_t *a);
int64_t call_open(const uint64_t *a);
int64_t call_close(const uint64_t *a);
int64_t call_dup(const uint64_t *a);
int64_t call_pipe(const uint64_t *a);
int64_t call_fstat(const uint64_t *a);
int64_t call_chdir(const uint64_t *a);
int64_t call_mkdir(const uint64_t *a);
int64_t call_mknod(const uint64_t *a);
int64_t call_link(const uint64_t *a);
int64_t call_unlink(const uint64_t *a);

// syscall_memory.c
int64_t call_sbrk(const uint64_t *a);
int64_t call_mmap(const uint64_t *a);
int64_t call_munmap(const uint64_t *a);
int64_t call_mprotect(const uint64_t *a);

// heapinfo.c
int64_t call_heapinfo(const uint64_t *a);
int64_t call_heaptrace(const uint64_t *a);

// meminfo.c
int64_t call_meminfo(const uint64_t *a);
int64_t call_ps(const uint64_t *a);
