// symbols.h: names of the kernel's functions, and the way that led here.
#pragma once

#include <stdint.h>

// The function that contains `address`, and how far into it; NULL when it is not kernel code.
const char *symbol_name(uint64_t address, uint64_t *offset);

// Prints the callers, one a line, innermost first: `pc` itself, then by frame pointers from `frame_pointer` (s0). `return_address`:
// ra at `pc`, for the case that the function there keeps none.
void backtrace_print(uint64_t pc, uint64_t frame_pointer, uint64_t return_address);
