// preload_pin.h: port_pin for libquire.so: a "CPU" is a thread, so a pin is a look at its number. preload_threads.c gives numbers out.
#pragma once

#include "../port.h"

#define SHARED_CPU 0u // of threads that have no number of their own; whoever uses it holds its lock

extern _Thread_local unsigned preload_cpu __attribute__((tls_model("initial-exec")));

struct pin preload_pin_shared(void);
void preload_unpin_shared(void);

static inline struct pin port_pin(void)
{
	unsigned cpu = preload_cpu;

	return __builtin_expect(cpu != SHARED_CPU, 1) ? (struct pin){ cpu, 0 } : preload_pin_shared();
}

static inline void port_unpin(struct pin pin)
{
	if (__builtin_expect(pin.cpu == SHARED_CPU, 0))
		preload_unpin_shared();
}
