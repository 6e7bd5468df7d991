// fault.c: exceptions in user mode: what can be put right is, everything else ends the process with one line that says what it did.
//
//    page fault -> space_fault -> SPACE_OK -> back to the instruction, which now succeeds
//                       `- else -> why() finds words -> "name[pid]: write to 0x10 at pc 0x1a2c: null pointer; killed"
//    any other exception --------> causes[] ---------->
//
// Cost of a fault that is put right: that of space_fault. Weakness: the words guess at the programmer's mistake from the address alone.
// Source: The RISC-V Instruction Set Manual, Volume II, table of scause values.
#include "kernel/process/process.h"

#include "kernel/machine/csr.h"
#include "kernel/machine/print.h"

#define NULL_BYTES     PAGE_BYTES            // an access so low was meant for a null pointer's target
#define OVERFLOW_BYTES ((uint64_t)1 << 20)   // an access so far below the stack was meant for the stack

static const char *const causes[] = {
	[0] = "jump to an address that no instruction can have",
	[1] = "instructions fetched from where there is no memory",
	[2] = "illegal instruction",
	[3] = "breakpoint",
	[4] = "misaligned load",
	[5] = "load from where there is no memory",
	[6] = "misaligned store",
	[7] = "store to where there is no memory",
};

static const uint8_t access_of[] = { // page faults: what was tried
	[CAUSE_FETCH_FAULT] = ACCESS_EXECUTE,
	[CAUSE_LOAD_FAULT] = ACCESS_READ,
	[CAUSE_STORE_FAULT] = ACCESS_WRITE,
};

static const struct area *area_at(const struct space *space, uint64_t va)
{
	for (const struct area *area = space->areas; area; area = area->next)
		if (va >= area->start && va < area->end)
			return area;
	return NULL;
}

// Why an access that no area allows was wrong, in words.
static const char *why(const struct space *space, uint64_t va, enum access access)
{
	const struct area *area = area_at(space, va);
	uint64_t stack_end = SPACE_STACK_TOP - SPACE_STACK_MAX;

	if (area && access == ACCESS_WRITE)
		return area->kind == AREA_TEXT ? "instructions are read-only" : "that memory is read-only";
	if (area && access == ACCESS_EXECUTE)
		return "that memory holds data, not instructions";
	if (area)
		return "that memory may not be read";
	if (va < NULL_BYTES)
		return "null pointer";
	if (!va_is_canonical(VA(va)))
		return "there are no such addresses";
	if (va >= SPACE_END)
		return "the upper half belongs to the kernel";
	if (va < stack_end && va >= stack_end - OVERFLOW_BYTES)
		return "stack overflow: it has grown to its limit of 8 MiB";
	return "nothing is mapped there";
}

static const char *explain(const struct space *space, enum space_result result, uint64_t va, enum access access)
{
	if (result == SPACE_NO_MEMORY)
		return "out of memory";
	if (result == SPACE_IO)
		return "the file behind it could not be read";
	return why(space, va, access);
}

static __attribute__((noinline)) _Noreturn void bad_page(const struct trapframe *frame, enum access access, enum space_result result)
{
	struct process *self = process_current();

	kprintf("%s[%d]: %s 0x%lx at pc 0x%lx: %s; killed\n", self->name, self->pid,
		access == ACCESS_WRITE ? "write to" : access == ACCESS_READ ? "read of" : "execute", frame->value, frame->pc,
		explain(&self->space, result, frame->value, access));
	process_exit(-1);
}

static __attribute__((noinline)) _Noreturn void bad_instruction(const struct trapframe *frame)
{
	struct process *self = process_current();
	const char *what = frame->cause < sizeof(causes) / sizeof(causes[0]) ? causes[frame->cause] : "unknown exception";

	kprintf("%s[%d]: %s (0x%lx) at pc 0x%lx; killed\n", self->name, self->pid, what, frame->value, frame->pc);
	process_exit(-1);
}

void process_fault(struct trapframe *frame)
{
	enum access access = frame->cause < sizeof(access_of) ? access_of[frame->cause] : 0;

	if (!access)
		bad_instruction(frame);
	enum space_result result = space_fault(&process_current()->space, frame->value, access);
	if (result == SPACE_NO_MEMORY) {
		memory_reclaim();
		result = space_fault(&process_current()->space, frame->value, access);
	}
	if (result != SPACE_OK)
		bad_page(frame, access, result);
	if (access == ACCESS_EXECUTE)
		__asm__ volatile("fence.i"); // the page's bytes were written as data
}
