// syscall.h: the numbers of the system calls, in register a7. 1 to 21 are xv6's.
//
// tools and user/lib read this file: one `#define SYS_name number` a line.
#pragma once

#define SYS_fork   1
#define SYS_exit   2
#define SYS_wait   3
#define SYS_pipe   4
#define SYS_read   5
#define SYS_kill   6
#define SYS_exec   7
#define SYS_fstat  8
#define SYS_chdir  9
#define SYS_dup    10
#define SYS_getpid 11
#define SYS_sbrk   12
#define SYS_sleep  13 // called pause since the 2025 edition
#define SYS_pause  13
#define SYS_uptime 14
#define SYS_open   15
#define SYS_write  16
#define SYS_mknod  17
#define SYS_unlink 18
#define SYS_link   19
#define SYS_mkdir  20
#define SYS_close  21

#define SYS_mmap     32
#define SYS_munmap   33
#define SYS_mprotect 34
#define SYS_meminfo  35
#define SYS_ps       36
#define SYS_shutdown 37
#define SYS_sync     38
#define SYS_ttymode  39
#define SYS_heapinfo  40
#define SYS_heaptrace 41
