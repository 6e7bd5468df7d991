// preload_pin.h: port_pin for libquire.so: a "CPU" is a thread, so a pin is a look at its number. preload_threads.c gives numbers out.
#pragma once

// Before the other header, which includes this one.
#define PORT_STOCKS(pin) (*((void)(pin), &preload_stocks))

#include "../port.h"

extern _Thread_local unsigned preload_cpu __attribute__((tls_model("initial-exec")));
extern _Thread_local struct stock *preload_stocks __attribute__((tls_model("initial-exec")));

static inline struct pin port_pin(void)
{
	return (struct pin){ preload_cpu, 0 };
}

static inline void port_unpin(struct pin pin)
{
	(void)pin;
}
