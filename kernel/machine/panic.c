// panic.c: the end: says why, where and how it came to that, stops all harts.
//
//	panic: <why>                                the rule that was broken, or the trap's cause in words
//	CPU 1 (hart 2), in process sh[3]
//	  registers of the trap frame, if a trap led here
//	  backtrace, innermost call first
//
// The first hart that panics prints; the others stop: those with interrupts on at once, by an interrupt between harts; those that
// wait for a lock, too. One that spins elsewhere with interrupts off runs on until it turns them on: nothing but a non-maskable
// interrupt could stop it.
#include "kernel/machine/panic.h"

#include "kernel/machine/csr.h"
#include "kernel/machine/print.h"
#include "kernel/machine/sbi.h"
#include "kernel/machine/symbols.h"
#include "kernel/process/process.h"

volatile uint32_t panic_begun;
bool panic_off;

void panic_stop_here(void)
{
	interrupts_off();
	csr_write(sie, 0);
	for (;;)
		wait_for_interrupt();
}

static _Noreturn void end(void)
{
	if (panic_off)
		machine_fail();
	kprintf("halted; restart the machine (in QEMU: ctrl-a x ends it)\n");
	panic_stop_here();
}

static void begin(const char *format, va_list arguments)
{
	interrupts_off();
	struct cpu *cpu = this_cpu();
	if (cpu->panicking) {
		kprintf("panic: another one while printing the first: giving up\n");
		end();
	}
	if (__atomic_exchange_n(&panic_begun, 1, __ATOMIC_SEQ_CST))
		panic_stop_here();
	cpu->panicking = true;
	cpu_interrupt(cpu_online());
	print_without_lock();
	kprintf("\npanic: ");
	kvprintf(format, arguments);
	kprintf("\nCPU %lu (hart %lu)", cpu->number, cpu->hartid);
	if (cpu->current)
		kprintf(", in process %.16s[%d]", cpu->current->name, cpu->current->pid);
	kprintf("\n");
}

static void print_registers(const struct trapframe *frame)
{
	static const char names[32][4] = {
		"",   "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", "a0",  "a1",  "a2", "a3", "a4", "a5",
		"a6", "a7", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6",
	};
	kprintf("  pc %016lx  status %lx  cause %lx  value %lx", frame->pc, frame->status, frame->cause, frame->value);
	for (unsigned i = 1; i < 32; i++)
		kprintf("%s%3s %016lx", i % 4 == 1 ? "\n  " : "  ", names[i], frame->x[i]);
	kprintf("\n");
}

void panic(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	begin(format, arguments);
	va_end(arguments);
	const uint64_t *mine = __builtin_frame_address(0);
	kprintf("called from:\n");
	backtrace_print((uint64_t)__builtin_return_address(0) - 1, mine[-2], 0);
	end();
}

void panic_at(const struct trapframe *frame, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	begin(format, arguments);
	va_end(arguments);
	print_registers(frame);
	kprintf("called from:\n");
	backtrace_print(frame->pc, frame->x[8], frame->x[1]);
	end();
}
