// timer.h: the clock and one timer interrupt per hart.
#pragma once

#include <stdint.h>

#define TIMER_SLICE_MS 10 // what a process runs before others get their turn

extern uint64_t timer_hz; // of timer_now, from the device tree

static inline uint64_t timer_now(void)
{
	uint64_t now;
	__asm__ volatile("rdtime %0" : "=r"(now));
	return now;
}

// Sets this hart's timer interrupt, which calls sched_tick() once at `when`; UINT64_MAX: never. The interrupt itself sets the next
// one a slice later before it calls sched_tick, which may set another.
void timer_set(uint64_t when);
void timer_set_slice(void); // one slice from now
uint64_t timer_slice(void); // in units of timer_now
void timer_interrupt(void);
