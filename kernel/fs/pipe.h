// pipe.h: a queue of bytes between processes, behind two open files.
#pragma once

#include "kernel/fs/file.h"

struct pipe;

bool pipe_init(void) __attribute__((warn_unused_result));
struct pipe *pipe_create(void) __attribute__((warn_unused_result)); // both ends open; NULL: no memory
void pipe_close(struct pipe *pipe, bool write_end);                 // the second call frees it
// Bytes read, waiting for the first one; 0: no writer is left; -1: bad memory, or killed.
int pipe_read(struct pipe *pipe, struct memory to, int bytes);
// All of them, waiting for room; -1: no reader is left, bad memory, or killed.
int pipe_write(struct pipe *pipe, struct memory from, int bytes);
