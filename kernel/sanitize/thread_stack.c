// thread_stack.c: the callers of an access, as a number that fits into a shadow cell: equal ones are kept once, in a hash table.
//
//	frame pointer -> | caller's frame pointer | return address |  ... as symbols.c tells
//
// An entry is never taken out. Its hash is entered first, by one atomic instruction, so two harts cannot take the same one; who prints a
// stack that another hart is just writing down sees its beginning.
//
// Weakness: the innermost STACK_DEPTH callers only; two stacks of equal hash (64 bits) are taken for one.
#include "kernel/sanitize/thread_stack.h"

#include "kernel/boot/map.h"
#include "kernel/machine/cpu.h"
#include "kernel/machine/print.h"
#include "kernel/machine/symbols.h"
#include "kernel/sanitize/thread_shadow.h"

#define PROBES 16

static struct stack *table;

void stack_init(struct stack *stacks)
{
	table = stacks;
}

static uint64_t top_above(uint64_t frame) // of the stack that it lies in; the frame itself when that is unknown
{
	const struct cpu *cpu = this_cpu();
	const uint64_t tops[] = { cpu->kernel_sp, cpu->idle_sp, cpu->emergency_sp };
	for (unsigned i = 0; i < 3; i++)
		if (frame < tops[i] && tops[i] - frame <= KERNEL_STACK_BYTES)
			return tops[i];
	return frame;
}

static inline bool is_code(uint64_t address)
{
	return address - (uint64_t)kernel_start < (uint64_t)(kernel_text_end - kernel_start);
}

// A function that a trap interrupted may have no frame of its own, so each step is looked at.
static void collect(uint64_t pc, uint64_t frame, uint32_t place[STACK_DEPTH])
{
	uint64_t top = top_above(frame);
	unsigned count = 0;
	place[count++] = (uint32_t)(pc - (uint64_t)kernel_start);
	for (bool ours = true; count < STACK_DEPTH && frame % 16 == 0 && frame < top;) {
		const uint64_t *words = (const uint64_t *)frame;
		uint64_t back = words[-1], next = words[-2];
		if (!is_code(back))
			break;
		if (!ours)
			place[count++] = (uint32_t)(back - (uint64_t)kernel_start);
		if (back == pc)
			ours = false;
		if (next <= frame)
			break;
		frame = next;
	}
	while (count < STACK_DEPTH)
		place[count++] = 0;
}

// Makes a free entry that of `hash`; false when another hart was faster, whose hash is then in *there.
static bool take(struct stack *stack, uint64_t *there, uint64_t hash)
{
	return __atomic_compare_exchange_n(&stack->hash, there, hash, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

unsigned stack_number(uint64_t pc, const void *frame)
{
	uint32_t place[STACK_DEPTH];
	uint64_t hash = 1;
	collect(pc, (uint64_t)frame, place);
	for (unsigned i = 0; i < STACK_DEPTH; i++)
		hash = (hash ^ place[i]) * 0x9e3779b97f4a7c15, hash ^= hash >> 29;
	for (unsigned probe = 0; probe < PROBES; probe++) {
		unsigned number = (unsigned)(hash + probe) & (ACCESS_STACKS - 1);
		struct stack *stack = &table[number];
		uint64_t there = __atomic_load_n(&stack->hash, __ATOMIC_RELAXED);
		if (number == 0)
			continue;
		if (there == 0 && take(stack, &there, hash)) {
			for (unsigned i = 0; i < STACK_DEPTH; i++)
				__atomic_store_n(&stack->place[i], place[i], __ATOMIC_RELAXED);
			return number;
		}
		if (there == hash)
			return number;
	}
	return 0;
}

void stack_print(unsigned number)
{
	const struct stack *stack = &table[number];
	if (number == 0)
		kprintf("  (the table of callers is full)\n");
	for (unsigned i = 0; i < STACK_DEPTH && stack->place[i]; i++) {
		uint64_t address = stack->place[i] + (uint64_t)kernel_start - 1, offset = 0;
		const char *name = symbol_name(address, &offset);
		kprintf("  %016lx %s+0x%lx\n", address, name ? name : "?", offset);
	}
}
