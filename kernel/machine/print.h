// print.h: formatted text on the console, from anywhere in the kernel.
//
// Conversions: %d %i %u %x %c %s %p %%, with -, 0, width, .precision (strings), l, ll, z. No floating point.
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

void kprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));
void kvprintf(const char *format, va_list arguments);

// As kprintf, but silent when the boot argument `quiet` was given: what the kernel tells while it starts.
void boot_print(const char *format, ...) __attribute__((format(printf, 1, 2)));
extern bool print_quiet;

// Writes at most `bytes` bytes with the final NUL; returns the length that the whole text has.
int ksnprintf(char *out, size_t bytes, const char *format, ...) __attribute__((format(printf, 3, 4)));

// Text goes through here, character by character, without a lock, once panic has begun.
void print_without_lock(void);
