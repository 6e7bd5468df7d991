// uart.h: the 16550 serial port.
#pragma once

#include <stdbool.h>
#include <stddef.h>

// received(c): a character came; space(): there is room in the output ring again. Both are called from the interrupt handler.
// False when the machine has no such port: output stays with the firmware, input is lost.
bool uart_init(void (*received)(char c), void (*space)(void)) __attribute__((warn_unused_result));
bool uart_is_ready(void);

// Puts up to `bytes` characters into the output ring; returns how many fit.
size_t uart_write(const char *text, size_t bytes) __attribute__((warn_unused_result));
// One character at once, after what the ring still holds, without interrupts: for kprintf and panic.
void uart_put_now(char c);
