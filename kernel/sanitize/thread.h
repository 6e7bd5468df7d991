// thread.h: the race detector's side of the kernel: where its shadow comes from, and order that no atomic of the kernel's makes.
#pragma once

#include "mm/memblock.h"

#ifdef SANITIZE_THREAD
// Takes shadow memory (four fifths of RAM) from memblock, before page_init. False: no room; nothing is watched.
bool thread_sanitizer_init(struct memblock *mb) __attribute__((warn_unused_result));

// What this hart did before its release of `token` happens before what another does after its acquire of it: for order that the
// firmware keeps, such as between the start of a hart and its first instruction.
void thread_sanitizer_release(const void *token);
void thread_sanitizer_acquire(const void *token);
#else
static inline bool thread_sanitizer_init(struct memblock *mb)
{
	(void)mb;
	return true;
}
static inline void thread_sanitizer_release(const void *token)
{
	(void)token;
}
static inline void thread_sanitizer_acquire(const void *token)
{
	(void)token;
}
#endif
