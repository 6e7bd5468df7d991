// pin.h: port_pin and port_unpin of mm/port.h, inline: the fast paths of the memory manager open a pin for each page and object. mm/port.h
// includes this under the name PORT_PIN (see the Makefile). lock.c tells how pins nest with locks.
//
// The whole of sstatus is put back by setting its bits: those that were set are set still, but for the one that the pin cleared.
#pragma once

// See mm/port.h; both headers include each other, and this must be there first.
#define PORT_STOCKS(pin) (*((void)(pin), pin_stocks()))

#include "../../mm/port.h"

static inline struct pin port_pin(void)
{
	register const uint64_t *cpu __asm__("tp"); // struct cpu: its number comes first
	struct pin pin;
	__asm__ volatile("csrrci %0, sstatus, 2" : "=r"(pin.saved)::"memory"); // SSTATUS_SIE
	pin.cpu = *cpu;
	return pin;
}

static inline void port_unpin(struct pin pin)
{
	__asm__ volatile("csrs sstatus, %0" ::"r"(pin.saved) : "memory");
}

#define PIN_STOCKS 8 // where struct cpu has them, in words

static inline struct stock **pin_stocks(void)
{
	register uint64_t *cpu __asm__("tp");
	return (struct stock **)(cpu + PIN_STOCKS);
}
