// stat.h: what fstat() and stat() tell about a file.
#pragma once

#include "kernel/types.h"

#define T_DIR    1 // directory
#define T_FILE   2 // bytes on the disk
#define T_DEVICE 3 // a driver answers: see mknod

struct stat {
	int dev;     // number of the disk that holds it
	uint ino;    // inode number on that disk
	short type;  // T_...
	short nlink; // names that lead to it
	uint64 size; // bytes
};
