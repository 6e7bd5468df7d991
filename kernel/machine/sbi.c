// sbi.c: calls to the firmware below the kernel.
//
//	a7 = extension, a6 = function, a0..a4 = arguments, ecall  ->  a0 = error, a1 = value
//
// Harts are named to the firmware by 64-bit windows of hart ids: one call does for all whose ids are below 64, which is every
// machine so far; others get a call each.
//
// Source: RISC-V Supervisor Binary Interface Specification 1.0.
#include "kernel/machine/sbi.h"

#include "kernel/machine/cpu.h"
#include "kernel/machine/csr.h"

#define SBI_BASE           0x10
#define SBI_LEGACY_PUTCHAR 1
#define BASE_PROBE         3
#define RFENCE_I           0
#define RFENCE_VMA         1
#define RFENCE_VMA_ASID    2
#define SRST_SHUTDOWN      0
#define SRST_COLD_REBOOT   1
#define SRST_NO_REASON     0
#define SRST_FAILURE       1

struct sbi_result sbi_call(uint64_t extension, uint64_t function, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4)
{
	register uint64_t r0 __asm__("a0") = a0;
	register uint64_t r1 __asm__("a1") = a1;
	register uint64_t r2 __asm__("a2") = a2;
	register uint64_t r3 __asm__("a3") = a3;
	register uint64_t r4 __asm__("a4") = a4;
	register uint64_t r6 __asm__("a6") = function;
	register uint64_t r7 __asm__("a7") = extension;
	__asm__ volatile("ecall" : "+r"(r0), "+r"(r1) : "r"(r2), "r"(r3), "r"(r4), "r"(r6), "r"(r7) : "memory");
	return (struct sbi_result){ (int64_t)r0, r1 };
}

void sbi_putchar(char c)
{
	sbi_call(SBI_LEGACY_PUTCHAR, 0, (unsigned char)c, 0, 0, 0, 0);
}

bool sbi_has(uint64_t extension)
{
	return sbi_call(SBI_BASE, BASE_PROBE, extension, 0, 0, 0, 0).value != 0;
}

void sbi_set_timer(uint64_t when)
{
	sbi_call(SBI_TIME, 0, when, 0, 0, 0, 0);
}

int64_t sbi_hart_start(uint64_t hartid, uint64_t physical_entry, uint64_t opaque)
{
	return sbi_call(SBI_HSM, 0, hartid, physical_entry, opaque, 0, 0).error;
}

// The hart ids of those CPUs in *left that one window can name, as bits; takes them out of *left and gives the window's base.
static uint64_t next_window(uint32_t *left, uint64_t *base)
{
	uint64_t bits = 0;
	*base = cpus[__builtin_ctz(*left)].hartid & ~63UL;
	for (uint32_t rest = *left; rest; rest &= rest - 1) {
		unsigned cpu = (unsigned)__builtin_ctz(rest);
		uint64_t bit = cpus[cpu].hartid - *base;
		if (bit < 64) {
			bits |= 1UL << bit;
			*left &= ~(1u << cpu);
		}
	}
	return bits;
}

void sbi_send_ipi(uint32_t mask)
{
	while (mask) {
		uint64_t base, bits = next_window(&mask, &base);
		sbi_call(SBI_IPI, 0, bits, base, 0, 0, 0);
	}
}

void sbi_remote_barrier(uint32_t mask)
{
	while (mask) {
		uint64_t base, harts = next_window(&mask, &base);
		sbi_call(SBI_RFENCE, RFENCE_I, harts, base, 0, 0, 0);
	}
}

void sbi_remote_fence(uint32_t mask, uint64_t start, uint64_t bytes, uint32_t asid)
{
	while (mask) {
		uint64_t base, harts = next_window(&mask, &base);
		if (asid == PORT_KERNEL_ASID)
			sbi_call(SBI_RFENCE, RFENCE_VMA, harts, base, start, bytes, 0);
		else
			sbi_call(SBI_RFENCE, RFENCE_VMA_ASID, harts, base, start, bytes, asid);
	}
}

static _Noreturn void reset(uint64_t type, uint64_t reason)
{
	sbi_call(SBI_SRST, 0, type, reason, 0, 0, 0);
	interrupts_off();
	csr_write(sie, 0);
	for (;;) // the firmware has no such call: stay here
		wait_for_interrupt();
}

void machine_shutdown(bool reboot)
{
	reset(reboot ? SRST_COLD_REBOOT : SRST_SHUTDOWN, SRST_NO_REASON);
}

void machine_fail(void)
{
	reset(SRST_SHUTDOWN, SRST_FAILURE);
}
