// panic.h: the end: says why, where and how it came to that, stops all harts.
#pragma once

#include "kernel/machine/trap.h"

_Noreturn void panic(const char *format, ...) __attribute__((format(printf, 1, 2)));
// The same for a trap that the kernel cannot go on from: adds the registers and starts the backtrace from the frame.
_Noreturn void panic_at(const struct trapframe *frame, const char *format, ...) __attribute__((format(printf, 2, 3)));

_Noreturn void panic_stop_here(void);     // a hart that is interrupted by another's panic (or waits for a lock during one) ends here
extern volatile uint32_t panic_begun;
extern bool panic_off;           // boot argument panic=off: shut the machine down instead of halting
