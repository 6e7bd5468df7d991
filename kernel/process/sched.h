// sched.h: who runs where: one run queue, wait queues, and the switch between a process and its hart's idle loop.
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
void sched_wakeup(struct wait_queue *queue);      // all of them; from interrupts, too
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
