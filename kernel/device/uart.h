// uart.h: the 16550 serial port.
#pragma once

#include <stdbool.h>
#include <stddef.h>

bool uart_init(void (*received)(char c)); // false when the machine has none: output stays with the firmware
// Puts up to `bytes` characters into the output ring; returns how many fit. `written` of uart_on_space is called when there is room again.
size_t uart_write(const char *text, size_t bytes);
void uart_on_space(void (*space)(void));
// At once and without interrupts, after what the ring still holds: for kprintf and panic.
void uart_put_now(char c);
bool uart_is_ready(void);
