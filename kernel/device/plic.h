// plic.h: the platform-level interrupt controller: which device interrupts, and who handles it.
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef void plic_handler(void *context);

void plic_init(void);  // finds the controllers and the harts that they reach; and what plic_start does
void plic_start(void); // on each hart that starts later: opens what has been connected to it
// Calls handler(context) at each interrupt with this number (struct device_registers.irq), with interrupts off. False when there is
// no such source, it is taken, or no hart hears its PLIC.
bool plic_connect(uint32_t irq, plic_handler *handler, void *context) __attribute__((warn_unused_result));
void plic_interrupt(void); // from the trap handler
