// cpu.h: stands in for kernel/machine/cpu.h where the file system runs on the host: just what other headers need of it.
#pragma once

#include "mm/port.h"

struct process;

struct context {
	uint64_t unused;
};

struct cpu {
	struct process *current;
};

struct cpu *this_cpu(void); // one for each thread
