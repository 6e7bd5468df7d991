// bootargs.h: the boot arguments (QEMU's -append), taken apart.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct bootargs {
	char heap[32];  // heap=: the kernel's heap; empty: the default
	char pages[32]; // pages=: the page engine; empty: the default
	char init[64];  // init=: path of the first program
	char crash[16]; // crash=: a kernel bug to show, see crash.c; empty: none
	uint64_t quota; // quota=: bytes that the kernel's heap gives out at most; 0: all it has
	uint64_t trace; // trace=: calls of the kernel's heap that are kept for `heap trace`; 0: none
	uint64_t seed;  // seed=: for random_seed(); 0: from the device tree
	uint32_t asids; // asids=: the most address-space numbers to use; for tests of their reuse and of machines without
};
extern struct bootargs bootargs;

// Takes `line` apart into bootargs, print_quiet and panic_off; reports what it does not know.
void bootargs_read(const char *line);

uint64_t random_seed(void); // a number that differs from boot to boot unless seed= says otherwise
