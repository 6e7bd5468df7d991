// timer.c: the clock and one timer interrupt per hart.
//
// With the Sstc extension the hart compares time with its own stimecmp register; without, the firmware is asked, which costs about
// four times as much.
#include "kernel/machine/timer.h"

#include "kernel/boot/machine.h"
#include "kernel/machine/csr.h"
#include "kernel/machine/sbi.h"
#include "kernel/machine/trap.h"

uint64_t timer_hz;

uint64_t timer_slice(void)
{
	return timer_hz / (1000 / TIMER_SLICE_MS);
}

void timer_set(uint64_t when)
{
	if (machine.sstc)
		__asm__ volatile("csrw 0x14d, %0" ::"r"(when)); // stimecmp
	else
		sbi_set_timer(when);
}

void timer_set_slice(void)
{
	timer_set(timer_now() + timer_slice());
}

void timer_interrupt(void)
{
	timer_set_slice();
	sched_tick();
}
