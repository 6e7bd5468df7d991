// fcntl.h: flags of open() and mmap(): part of the binary interface between programs and the kernel.
#pragma once

// open: one of the first three, or'ed with any of the others.
#define O_RDONLY 0x000
#define O_WRONLY 0x001
#define O_RDWR   0x002
#define O_CREATE 0x200  // make the file if there is none
#define O_TRUNC  0x400  // drop what it holds
#define O_APPEND 0x1000 // each write goes to the end of the file

// mmap, mprotect: what may be done with the pages.
#define PROT_NONE  0x0
#define PROT_READ  0x1
#define PROT_WRITE 0x2
#define PROT_EXEC  0x4

// mmap: exactly one of the first two, or'ed with any of the others.
#define MAP_SHARED    0x01 // writes go to the file and to everyone who maps it
#define MAP_PRIVATE   0x02 // writes stay with this process
#define MAP_FIXED     0x10 // at this address or not at all
#define MAP_ANONYMOUS 0x20 // zeroes, no file
