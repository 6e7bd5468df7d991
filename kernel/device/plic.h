// plic.h: the platform-level interrupt controller: which device interrupts, and who handles it.
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef void plic_handler(void *context);

void plic_init(void);
// Calls handler(context) at each interrupt of this source, with interrupts off. False when the number is out of range or taken.
bool plic_connect(uint32_t irq, plic_handler *handler, void *context) __attribute__((warn_unused_result));
void plic_interrupt(void); // from the trap handler
