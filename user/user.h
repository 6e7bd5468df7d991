// user.h: what every program can call: xv6's interface, plus mmap and munmap as its mmap lab declares them.
//
// A C file written for xv6 (2022 to 2025) finds the same names, types and results here. What Quire adds beyond that is in user/quire.h, so
// that it cannot collide with a program's own names.
#pragma once

#include "kernel/types.h"

struct stat;

#define SBRK_ERROR ((char *)-1)

// System calls. -1 (or SBRK_ERROR, MAP_FAILED) on failure.
int fork(void);                                  // 0 in the child, the child's pid in the parent
int exit(int status) __attribute__((noreturn));
int wait(int *status);                           // pid of a child that ended; status may be 0. A killed child's status is -1
int pipe(int *ends);                             // ends[0] to read, ends[1] to write
int write(int file, const void *bytes, int count);
int read(int file, void *bytes, int count);      // fewer than count at the end of what there is; 0: the end
int close(int file);
int kill(int pid);
int exec(const char *path, char **arguments);    // returns only on failure
int open(const char *path, int flags);           // kernel/fcntl.h; the lowest free descriptor
int mknod(const char *path, short major, short minor);
int unlink(const char *path);                    // directories, too, when empty
int fstat(int file, struct stat *to);
int link(const char *old, const char *new);
int mkdir(const char *path);
int chdir(const char *path);
int dup(int file);
int getpid(void);
char *sys_sbrk(int bytes, int how);              // kernel/vm.h
int sleep(int ticks);                            // 10 ticks a second
int pause(int ticks);                            // the same, as it is called since 2025
int uptime(void);                                // ticks since boot
void *mmap(void *address, uint64 bytes, int rights, int flags, int file, uint64 offset); // kernel/fcntl.h
int munmap(void *address, uint64 bytes);

// Moves the end of the heap and returns the old one; pages come at first touch. sbrk refuses more than the machine has.
char *sbrk(int bytes);
char *sbrklazy(int bytes);

// Strings and memory.
int stat(const char *path, struct stat *to);
char *strcpy(char *to, const char *from);
void *memmove(void *to, const void *from, int bytes);
char *strchr(const char *string, char c);
int strcmp(const char *a, const char *b);
char *gets(char *line, int max);                 // from descriptor 0, the newline included; empty at the end of input
uint strlen(const char *string);
void *memset(void *to, int byte, uint bytes);
int atoi(const char *digits);
int memcmp(const void *a, const void *b, uint bytes);
void *memcpy(void *to, const void *from, uint bytes);

// %d %i %u %x %p %s %c %%, with l or ll before the letter, and a width, 0 or - before those.
void fprintf(int file, const char *format, ...) __attribute__((format(printf, 2, 3)));
void printf(const char *format, ...) __attribute__((format(printf, 1, 2)));

// NULL when there is no memory.
void *malloc(uint bytes);
void free(void *block);
