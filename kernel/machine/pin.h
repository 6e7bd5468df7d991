// pin.h: port_pin and port_unpin of mm/port.h, inline: the fast paths of the memory manager open a pin for each page and object. mm/port.h
// includes this under the name PORT_PIN (see the Makefile). lock.c tells how pins nest with locks.
#pragma once

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
	__asm__ volatile("csrs sstatus, %0" ::"r"(pin.saved & 2) : "memory");
}
