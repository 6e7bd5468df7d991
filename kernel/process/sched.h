// sched.h: who runs where: one run queue, wait queues, and the switch from one process to the next.
//
// One lock, sched_lock, guards every process's state and all queues. It is held across context_switch and released on the other side.
#pragma once

#include "kernel/machine/cpu.h"

struct process;

struct wait_queue { // processes asleep until wakeup; zero it to make it ready
	struct process *first, *last;
};

// Sleeps until wakeup(queue) or a kill; `lock` (may be NULL) is released while asleep and held again on return.
// The caller checks its condition in a loop. False when this process has been killed: give up and return an error soon.
bool sched_sleep(struct wait_queue *queue, struct lock *lock);
// The same, but a kill does not wake it: for waits that end by themselves soon, such as disk I/O.
void sched_sleep_steadily(struct wait_queue *queue, struct lock *lock);
// Makes all of them ready; from interrupts, too. What they wait for changes under the lock that they gave to sched_sleep.
void sched_wakeup(struct wait_queue *queue);
void sched_yield(void);                           // to the end of the run queue
_Noreturn void sched_run(void);                   // a hart's idle loop; wfi when there is nothing to do
// Sleeps until `ticks` timer ticks (10 a second as xv6's users expect) have passed; false when killed.
bool sched_sleep_ticks(uint64_t ticks);
uint64_t sched_ticks(void);

// A lock that sleeps, held across disk I/O. Zero it to make it ready.
struct sleep_lock {
	struct lock guard; // guards the members below
	struct process *holder;
	struct wait_queue waiting;
};
void sleep_lock_acquire(struct sleep_lock *lock);
void sleep_lock_release(struct sleep_lock *lock);
bool sleep_lock_held(const struct sleep_lock *lock); // by this process

// A kernel thread (e.g. the journal's); false when there is no memory.
bool kernel_thread(const char *name, void (*run)(void *argument), void *argument) __attribute__((warn_unused_result));

// The rest is for kernel/process only.
extern struct lock sched_lock;
void sched_start(struct process *process);        // a new process's first entry into the run queue
void sched_kill(struct process *process);         // marks it and wakes it, unless it sleeps steadily
// The running process's end: it becomes a zombie, `parent_queue` is woken, `lock` released, its stack goes to the cache.
_Noreturn void sched_end(struct wait_queue *parent_queue, struct lock *lock);
void sched_arrive(void);                          // first thing that a new process does: releases sched_lock
void sched_wait_until_off(void);                  // returns when every zombie seen before the call is off its stack

// Kernel stacks: KERNEL_STACK_BYTES with guard pages, kept for reuse. NULL when there is no memory.
void *stack_take(void);
void stack_put(void *stack);
void stack_put_locked(void *stack); // sched_lock held; the stack may be in use until that is released
void stack_trim(void);              // gives back all unused stacks
