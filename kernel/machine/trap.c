// trap.c: what a trap means: an interrupt, a user program's fault, or a bug in the kernel.
//
//	trap.S -> trap_user    interrupt -> timer, device, other hart     exception -> process_fault
//	       -> trap_kernel  interrupt -> the same                      exception -> panic, with the cause in words
//
// System calls do not come through here: trap.S calls syscall_enter itself.
#include "kernel/machine/trap.h"

#include "kernel/boot/map.h"
#include "kernel/device/plic.h"
#include "kernel/machine/csr.h"
#include "kernel/machine/offsets.h"
#include "kernel/machine/panic.h"
#include "kernel/machine/print.h"
#include "kernel/machine/timer.h"
#include "mm/addr.h"

_Static_assert(offsetof(struct cpu, number) == 0, "pin.h");
_Static_assert(offsetof(struct cpu, hartid) == CPU_HARTID && sizeof(struct cpu) == CPU_BYTES, "offsets.h");
_Static_assert(offsetof(struct cpu, kernel_sp) == CPU_KERNEL_SP, "offsets.h");
_Static_assert(offsetof(struct cpu, scratch) == CPU_SCRATCH, "offsets.h");
_Static_assert(offsetof(struct cpu, idle_sp) == CPU_IDLE_SP, "offsets.h");
_Static_assert(offsetof(struct cpu, emergency_sp) == CPU_EMERGENCY_SP, "offsets.h");
_Static_assert(offsetof(struct cpu, satp) == CPU_SATP, "offsets.h");
_Static_assert(offsetof(struct trapframe, pc) == FRAME_PC, "offsets.h");
_Static_assert(offsetof(struct trapframe, status) == FRAME_STATUS, "offsets.h");
_Static_assert(offsetof(struct trapframe, cause) == FRAME_CAUSE, "offsets.h");
_Static_assert(offsetof(struct trapframe, value) == FRAME_VALUE, "offsets.h");
_Static_assert(sizeof(struct trapframe) == FRAME_BYTES, "offsets.h");
_Static_assert(KERNEL_STACK_BYTES == STACK_BYTES, "offsets.h");

#define SSTATUS_FS_SUM_MXR 0xc6000UL // floating point, user memory from the kernel, reading what is executable only: all off

extern const char trap_entry[];
void trap_user(struct trapframe *frame);
void trap_kernel(struct trapframe *frame, bool overflowed);

void trap_init(void)
{
	csr_write(stvec, trap_entry);
	csr_clear(sstatus, SSTATUS_FS_SUM_MXR);
	csr_write(scounteren, 7); // user mode reads cycle, time and instret
	csr_write(sie, SIE_SOFTWARE | SIE_TIMER | SIE_EXTERNAL);
}

static const char *cause_name(uint64_t cause)
{
	static const char *const names[] = {
		"jump to a misaligned address",
		"no memory to fetch an instruction from",
		"illegal instruction",
		"breakpoint",
		"misaligned load",
		"no memory to load from",
		"misaligned store",
		"no memory to store to",
		"system call from user mode",
		"system call from the kernel",
		"unknown exception",
		"unknown exception",
		"page fault fetching an instruction",
		"page fault on a load",
		"unknown exception",
		"page fault on a store",
	};
	return cause < sizeof names / sizeof *names ? names[cause] : "unknown trap";
}

static void interrupt(struct trapframe *frame)
{
	switch (frame->cause & ~CAUSE_INTERRUPT) {
	case CAUSE_TIMER:
		timer_interrupt();
		break;
	case CAUSE_EXTERNAL:
		plic_interrupt();
		break;
	case CAUSE_SOFTWARE: // another hart wants this one to look around: see cpu_interrupt
		csr_clear(sip, SIE_SOFTWARE);
		if (panic_begun)
			panic_stop_here();
		break;
	default:
		panic_at(frame, "interrupt %lu, which nobody switched on", frame->cause & ~CAUSE_INTERRUPT);
	}
}

void trap_user(struct trapframe *frame)
{
	if (frame->cause & CAUSE_INTERRUPT) {
		interrupt(frame);
		return;
	}
	interrupts_on();
	process_fault(frame);
}

// Whose address it is that the kernel must not have touched.
static const char *describe(uint64_t address)
{
	struct cpu *cpu = this_cpu();
	uint64_t stack = cpu->kernel_sp - KERNEL_STACK_BYTES, idle = cpu->idle_sp - KERNEL_STACK_BYTES;
	if (address < 16 * PAGE_BYTES)
		return "a null pointer, or a member of what one points to";
	if (address < MAP_USER_END)
		return "a user address: the kernel reaches user memory by space_copy_in and space_copy_out only";
	if (!va_is_canonical(VA(address)))
		return "no address at all: bits 63 to 39 differ from bit 38";
	if (address - (stack - PAGE_BYTES) < PAGE_BYTES || address - (idle - PAGE_BYTES) < PAGE_BYTES)
		return "the guard page under this kernel stack";
	if (address - MAP_VMALLOC_START < MAP_VMALLOC_BYTES)
		return "in the vmalloc area: a guard page, or a block that was freed";
	if (address - (uint64_t)kernel_start < (uint64_t)(kernel_text_end - kernel_start))
		return "in the kernel's text, which is never written";
	if (address - (uint64_t)kernel_text_end < (uint64_t)(kernel_rodata_end - kernel_text_end))
		return "in the kernel's read-only data, which is neither written nor executed";
	if (address - port_linear < MAP_LINEAR_BYTES)
		return "in the linear map: not RAM, the firmware's, or data that is not executable";
	return "in nobody's map";
}

void trap_kernel(struct trapframe *frame, bool overflowed)
{
	uint64_t cause = frame->cause;
	if (overflowed)
		panic_at(frame, "kernel stack overflow: sp is 0x%lx, which is outside this CPU's stacks (%s at 0x%lx)", frame->x[2],
			 cause_name(cause), frame->value);
	if (cause & CAUSE_INTERRUPT)
		interrupt(frame);
	else if (cause == CAUSE_FETCH_FAULT || cause == CAUSE_LOAD_FAULT || cause == CAUSE_STORE_FAULT)
		panic_at(frame, "%s in the kernel at 0x%lx: %s", cause_name(cause), frame->value, describe(frame->value));
	else
		panic_at(frame, "%s in the kernel (value 0x%lx)", cause_name(cause), frame->value);
}
