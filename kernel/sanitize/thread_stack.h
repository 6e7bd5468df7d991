// thread_stack.h: the callers of an access, as a number that fits into a shadow cell.
#pragma once

#include <stdint.h>

#define STACK_DEPTH 6

struct stack {
	uint64_t hash; // of the places; 0: free
	uint32_t place[STACK_DEPTH]; // innermost first, bytes from kernel_start; 0: no more
};

void stack_init(struct stack *stacks); // zeroed room for ACCESS_STACKS
// The callers from `pc` on, which called the sanitizer; `frame`: of a function of the sanitizer that keeps its return address, that is, one
// that calls others. 0: no room for another stack.
unsigned stack_number(uint64_t pc, const void *frame);
void stack_print(unsigned number);
