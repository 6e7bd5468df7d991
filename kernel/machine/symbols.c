// symbols.c: names of the kernel's functions, and the way that led here.
//
//	frame pointer (s0) -> | ... |
//	              s0 - 8  | ra  |   where this function returns to
//	              s0 - 16 | s0  |   the caller's frame pointer, which is higher up the stack
//
// The table is made from the first link's text symbols (symbols.awk) and lies in rodata, sorted by address.
// A leaf function keeps only its caller's s0, at s0 - 8, and no ra: after a trap in one, its caller is found in the trap frame's ra.
//
// Bounded: at most 32 steps, each upwards within the same stack, so that a damaged chain ends the backtrace and nothing else.
#include "kernel/machine/symbols.h"

#include <stddef.h>

#include "kernel/machine/cpu.h"
#include "kernel/machine/print.h"

#define MAX_STEPS 32

struct symbol {
	uint64_t address;
	const char *name;
};
extern const struct symbol symbol_table[];
extern const uint64_t symbol_count;
extern const char kernel_start[], kernel_text_end[];

static bool is_code(uint64_t address)
{
	return address >= (uint64_t)kernel_start && address < (uint64_t)kernel_text_end;
}

const char *symbol_name(uint64_t address, uint64_t *offset)
{
	size_t low = 0, high = symbol_count;
	if (!is_code(address))
		return NULL;
	while (low < high) { // the first symbol beyond the address
		size_t middle = low + (high - low) / 2;
		if (symbol_table[middle].address <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0)
		return NULL;
	*offset = address - symbol_table[low - 1].address;
	return symbol_table[low - 1].name;
}

static void print_place(uint64_t address)
{
	uint64_t offset;
	const char *name = symbol_name(address, &offset);
	if (name)
		kprintf("  %016lx %s+0x%lx\n", address, name, offset);
	else
		kprintf("  %016lx (not kernel code)\n", address);
}

// Whether a function's frame can end at `pointer`, `floor` being the lowest address that it may reach down to.
static bool is_frame(uint64_t pointer, uint64_t floor, uint64_t ceiling)
{
	return pointer % 16 == 0 && pointer >= floor + 16 && pointer <= ceiling;
}

// Whether ra at `pc` names a caller that the frames do not: `pc` is in a function that has not set up its own frame yet. Once a function
// has called another, ra points into the function itself.
static bool is_unframed(uint64_t pc, uint64_t return_address, uint64_t framed)
{
	uint64_t here = 0, there = 0;
	return is_code(return_address) && return_address != framed &&
	       (!symbol_name(pc, &here) || (symbol_name(return_address - 1, &there) && pc - here != return_address - 1 - there));
}

void backtrace_print(uint64_t pc, uint64_t frame_pointer, uint64_t return_address)
{
	const uint64_t tops[] = { this_cpu()->kernel_sp, this_cpu()->idle_sp, this_cpu()->emergency_sp };
	uint64_t floor = 0, ceiling = 0;
	for (size_t i = 0; i < 3; i++) // the stack that the frames lie in
		if (frame_pointer <= tops[i] && frame_pointer + KERNEL_STACK_BYTES >= tops[i]) {
			ceiling = tops[i];
			floor = ceiling - KERNEL_STACK_BYTES;
		}
	print_place(pc);
	for (unsigned step = 0; step < MAX_STEPS && is_frame(frame_pointer, floor, ceiling); step++) {
		const uint64_t *frame = (const uint64_t *)frame_pointer;
		uint64_t back = frame[-1], next = frame[-2];
		if (step == 0 && !is_code(back)) { // a leaf function keeps only its caller's frame pointer
			next = back;
			back = return_address;
		} else if (step == 0 && is_unframed(pc, return_address, back)) {
			print_place(return_address - 1);
		}
		if (!is_code(back))
			break;
		print_place(back - 1);
		floor = frame_pointer;
		frame_pointer = next;
	}
}
