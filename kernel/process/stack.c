// stack.c: kernel stacks, kept for reuse because mapping and unmapping one costs more than all the rest of a fork.
//
//      vmalloc --> in use by a process --its end--> unused --> in use by the next ...
//                                                     `--stack_trim--> vfree
//
// An unused stack holds the link to the next one in its lowest word. The list belongs to sched_lock, which a process that ends holds until
// the next one runs: so it can give back the stack that it still stands on, and nobody can take it too early.
//
// Weakness: after many processes lived at once (at most NPROC), their stacks stay until memory is short. To give one back each time would
// flush all harts' TLBs each time, and the harts would wait for one another.
#include "kernel/process/sched.h"

#include "mm/vmalloc.h"

static void **unused;       // sched_lock

static void *take_unused(void)
{
	void **stack = NULL;

	lock_acquire(&sched_lock);
	if (unused) {
		stack = unused;
		unused = *stack;
	}
	lock_release(&sched_lock);
	return stack;
}

void *stack_take(void)
{
	void *stack = take_unused();

	return stack ? stack : vmalloc(KERNEL_STACK_BYTES);
}

void stack_put_locked(void *stack)
{
	*(void **)stack = unused;
	unused = stack;
}

void stack_put(void *stack)
{
	lock_acquire(&sched_lock);
	stack_put_locked(stack);
	lock_release(&sched_lock);
}

void stack_trim(void)
{
	void *stack;

	while ((stack = take_unused()))
		vfree(stack);
}
