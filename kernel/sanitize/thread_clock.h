// thread_clock.h: what happens before what: a vector clock for each hart, and one for what each atomic variable hands on.
#pragma once

#include "kernel/machine/cpu.h"

#define CLOCK_BUCKETS (1u << 16)

struct clock { // of each hart, the last moment of it that is known here; entries only grow
	uint64_t of[PORT_MAX_CPUS];
};

struct hart_clock {
	struct clock now;    // own entry: the moment that runs
	struct clock fenced; // what the last release fence covers: later relaxed stores hand it on
	struct clock read;   // what relaxed loads have seen: an acquire fence takes it over
} __attribute__((aligned(64)));

extern struct hart_clock hart_clocks[PORT_MAX_CPUS];

static inline struct hart_clock *my_clock(void)
{
	return &hart_clocks[this_cpu()->number];
}

// `buckets`: zeroed room for CLOCK_BUCKETS clocks. Before, nothing is counted.
void clock_init(struct clock *buckets);

void clock_release(uint64_t address);       // with a release store to the address, before it
void clock_acquire(uint64_t address);       // with an acquire load from it, after it
void clock_relaxed_store(uint64_t address); // before
void clock_relaxed_load(uint64_t address);  // after
void clock_fence(bool release, bool acquire);
