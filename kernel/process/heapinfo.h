// heapinfo.h: what can be put around the kernel's heap at boot, and the console's view of it. (The calls are in syscall.h.)
#pragma once

#include <stdint.h>

// Before the first kmalloc: at most `quota` bytes of blocks at a time, and a trace of the last `events` calls; 0: without. What cannot be
// had is reported and left out.
void heapinfo_start(uint64_t quota, uint64_t events);
void heapinfo_print(void); // for ^T
