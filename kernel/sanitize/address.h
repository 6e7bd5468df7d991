// address.h: the address sanitizer's side of the kernel: where its shadow comes from.
#pragma once

#include "mm/memblock.h"

#ifdef MM_SANITIZE
// Takes shadow memory (an eighth of RAM and a table of past events) from memblock, before page_init. False: no room; the checks stay off.
bool address_sanitizer_init(struct memblock *mb) __attribute__((warn_unused_result));
#else
static inline bool address_sanitizer_init(struct memblock *mb)
{
	(void)mb;
	return true;
}
#endif
