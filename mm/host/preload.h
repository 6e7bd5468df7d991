// preload.h: what the parts of libquire.so know of each other.
//
//    preload.c            malloc, free and so on
//    preload_threads.c    port.h: threads as CPUs, locks, barriers; fork
//    preload_memory.c     port.h: physical memory as a reserved range that grows; large blocks as mappings of their own
#pragma once

#include "../page.h"

void preload_memory_init(void);
void preload_threads_init(void); // once the heap works: it may allocate

// Around each use of what several threads share: while one thread forks, the others wait at the outermost enter. The first one gives the
// thread its number. A thread that has none excludes those like it.
void preload_enter(void);
void preload_leave(void);

// What the slab heap calls page_alloc and page_free.
pa_t preload_page_alloc(unsigned order, unsigned flags);
void preload_page_free(pa_t page);

// Unused memory goes back to the system.
void preload_purge(void);

// A mapping of its own, the block aligned to `align` (a power of two); NULL when there is no memory.
void *map_alloc(size_t bytes, size_t align);
// The same mapping with another size, perhaps elsewhere; NULL when that cannot be, and the old one stays.
void *map_resize(void *block, size_t bytes);
