// quire.h: what Quire's programs can call beyond user.h.
#pragma once

#include <stdarg.h>

#include "kernel/meminfo.h"
#include "user/user.h"

#define MAP_FAILED ((void *)-1) // of mmap; not in kernel/fcntl.h, since xv6's programs define it themselves

// System calls; 0, or -1 on failure, where nothing else is said.
int mprotect(void *address, uint64 bytes, int rights);
int meminfo(struct meminfo *to, int flags);
int ps(struct psinfo *to, int max);              // how many it filled in
int heapinfo(struct heapinfo *to, struct heapplace *places, int max); // how many places
int heaptrace(struct heapevent *to, int max, uint64 from);            // how many events; -1 when nothing is traced
int shutdown(int how);                           // SHUTDOWN_...; returns only on failure
int sync(void);                                  // back when all that was written is on the disk
int ttymode(int mode);                           // TTY_...; the mode before, -1 when descriptor 0 is not the console

#define SHUTDOWN_OFF    0
#define SHUTDOWN_REBOOT 1
#define TTY_LINE        0 // the kernel edits lines
#define TTY_RAW         1 // each byte comes at once, without echo

// Memory: with contents kept, with zeroes; NULL when there is none.
void *realloc(void *block, uint bytes);
void *calloc(uint count, uint bytes);

// Into a buffer of `size` bytes, always ended by NUL when size > 0; returns the length that the whole text has.
int snprintf(char *to, uint size, const char *format, ...) __attribute__((format(printf, 3, 4)));
int vsnprintf(char *to, uint size, const char *format, va_list arguments) __attribute__((format(printf, 3, 0)));
void vfprintf(int file, const char *format, va_list arguments) __attribute__((format(printf, 2, 0)));

int strncmp(const char *a, const char *b, uint max);
char *strrchr(const char *string, char c);

// A number of bytes as a person would say it: "512 B", "12.3 KiB", "1.5 GiB". `to` has room for 16 characters.
char *human(char *to, uint64 bytes);

// Prints the message and a newline on descriptor 2 and ends the program with status 1.
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));
