// sched.c: who runs where: one run queue for all harts, wait queues, and the switch from one process to the next.
//
//      READY --(a hart takes it)--> RUNNING --sched_sleep--> SLEEPING --sched_wakeup, kill--> READY
//        ^                            |  |
//        `-------sched_yield----------'  `--sched_end--> ZOMBIE: only its record is left
//
// The hand-over. A process that gives up its hart switches straight to the next ready one; only when there is none does it switch to the
// hart's idle loop. sched_lock is taken by the one that leaves and released by the one that arrives, on the same hart:
//
//      process A on hart 0                                   process B, now on hart 0
//        lock(sched_lock)
//        A.state = SLEEPING, A into its wait queue
//        next = B; load B's table, B's stack into the cpu
//        context_switch(A, B) ------------------------------> (returns from B's own context_switch)
//                                                             unlock(sched_lock)
//
// Until that unlock no other hart can see that A is asleep, let alone run it, so A's stack is never used by two harts, and the stack of a
// process that ended is not reused while it still stands on it. A process's very first arrival is sched_arrive.
//
// Invariants:
//  Q1  A process is in at most one queue: the run queue when READY, waiting_on when SLEEPING, none otherwise.
//  Q2  sched_lock is the last lock taken (only the console's and the heap's may come after it) and the only one held across a switch.
//  Q3  A hart sets its bit in `idle` and looks at the run queue under the same hold of sched_lock, with interrupts off until wfi. Who
//      makes a process ready clears a bit and interrupts that hart. wfi returns for a pending interrupt even when interrupts are off: no
//      wakeup is lost.
//  Q4  A hart translates through a process's table only while that process runs on it; the idle loop and kernel threads use the kernel's
//      own. So a process that leaves its table on its own hart may free it: no other hart can have it.
//  Q5  Kernel code is switched away from only where it asks (sleep, yield, end) and on its return to user mode.
//
// Cost: constant for wakeup and switch; a timed sleep and a kill search one queue. Weakness: one queue and one lock for all harts is simple
// and fair, but harts meet there; a woken process waits for its turn behind all that are ready.
// Source: the hand-over of a held lock is as in the UNIX Sixth Edition's descendants; see Lions' commentary on swtch.
#include "kernel/process/process.h"

#include "kernel/machine/csr.h"
#include "kernel/machine/panic.h"
#include "kernel/machine/timer.h"
#include "kernel/machine/translation.h"

#define TICKS_PER_SECOND 10

struct lock sched_lock = { .name = "sched" };
static struct wait_queue ready;    // sched_lock; the run queue
static struct wait_queue sleepers; // sched_lock; timed sleeps, soonest first
static uint64_t next_wake = UINT64_MAX; // tick at which the first of `sleepers` is due
static uint32_t idle;              // sched_lock; bit per hart that waits for work

// Whether a queue is empty, what a process does and whether it was killed, others ask without sched_lock.
static void set_first(struct wait_queue *queue, struct process *process)
{
	__atomic_store_n(&queue->first, process, __ATOMIC_RELAXED);
}

static void set_state(struct process *process, enum process_state state)
{
	__atomic_store_n(&process->state, state, __ATOMIC_RELAXED);
}

static void push(struct wait_queue *queue, struct process *process)
{
	process->next = NULL;
	if (queue->first)
		queue->last->next = process;
	else
		set_first(queue, process);
	queue->last = process;
}

static struct process *pop(struct wait_queue *queue)
{
	struct process *process = queue->first;

	if (process)
		set_first(queue, process->next);
	return process;
}

static void take_out(struct wait_queue *queue, struct process *process)
{
	struct process *before = NULL;

	for (struct process *p = queue->first; p != process; p = p->next)
		before = p;
	if (before)
		before->next = process->next;
	else
		set_first(queue, process->next);
	if (queue->last == process)
		queue->last = before;
}

// Finds a hart for one more ready process: this one if it idles (we are in its interrupt handler), else any idle one, woken by a poke.
static void call_a_hart(void)
{
	uint32_t self = 1u << this_cpu()->number;

	if (!idle)
		return;
	if (idle & self) {
		idle &= ~self;
		return;
	}
	unsigned cpu = (unsigned)__builtin_ctz(idle);
	idle &= ~(1u << cpu);
	cpu_interrupt(1u << cpu);
}

static void make_ready(struct process *process)
{
	set_state(process, PROCESS_READY);
	process->waiting_on = NULL;
	push(&ready, process);
	call_a_hart();
}

// How large the running process is, for ps on other harts, which may not look into its space while it changes.
static void note_size(struct process *self)
{
	if (!self->has_space)
		return;
	__atomic_store_n(&self->resident, self->space.resident, __ATOMIC_RELAXED);
	__atomic_store_n(&self->table_pages, self->space.table.pages, __ATOMIC_RELAXED);
}

// Makes `next` the process of this hart; NULL: none.
static void dispatch(struct cpu *cpu, struct process *next)
{
	uint64_t now = timer_now();

	if (cpu->current) {
		cpu->current->time += now - cpu->current->started;
		note_size(cpu->current);
	}
	cpu->current = next;
	cpu->reschedule = false;
	if (next && next->has_space)
		translation_enter(&next->space.table);
	else
		translation_leave();
	if (!next)
		return;
	set_state(next, PROCESS_RUNNING);
	next->started = now;
	next->hart = (int)cpu->number;
	cpu->kernel_sp = (uintptr_t)next->stack + KERNEL_STACK_BYTES;
}

// Leaves the hart to the next ready process or to the idle loop. The caller holds sched_lock and nothing else, and has put `self`, which is
// the running process, where it will be found; returns when that has happened, maybe on another hart.
static void give_up(struct process *self)
{
	struct cpu *cpu = this_cpu();
	bool interrupts = cpu->interrupts_before;

	if (cpu->lock_depth != 1)
		panic("sched: %s[%d] gives up its hart while it holds %d locks", self->name, self->pid, (int)cpu->lock_depth);
	struct process *next = pop(&ready);
	dispatch(cpu, next);
	if (next != self)
		context_switch(&self->context, next ? &next->context : &cpu->idle);
	this_cpu()->interrupts_before = interrupts;
}

static bool sleep_on(struct wait_queue *queue, struct lock *lock, bool steady)
{
	struct process *self = process_current();

	lock_acquire(&sched_lock);
	bool go = steady || !self->killed;
	if (go) {
		set_state(self, PROCESS_SLEEPING);
		self->steady = steady;
		self->waiting_on = queue;
		push(queue, self);
	}
	if (lock)
		lock_release(lock); // after the push: see sched_wakeup
	if (go)
		give_up(self);
	bool killed = self->killed;
	lock_release(&sched_lock);
	if (lock)
		lock_acquire(lock);
	return !killed;
}

bool sched_sleep(struct wait_queue *queue, struct lock *lock)
{
	return sleep_on(queue, lock, false);
}

void sched_sleep_steadily(struct wait_queue *queue, struct lock *lock)
{
	sleep_on(queue, lock, true);
}

static void wake_all(struct wait_queue *queue)
{
	struct process *process;

	while ((process = pop(queue)))
		make_ready(process);
}

void sched_wakeup(struct wait_queue *queue)
{
	// Who goes to sleep enters the queue before it releases the lock of its condition, so a waker that held that lock sees it here.
	if (!__atomic_load_n(&queue->first, __ATOMIC_RELAXED))
		return;
	lock_acquire(&sched_lock);
	wake_all(queue);
	lock_release(&sched_lock);
}

void sched_yield(void)
{
	struct process *self = process_current();

	lock_acquire(&sched_lock);
	this_cpu()->reschedule = false;
	if (ready.first) {
		set_state(self, PROCESS_READY);
		push(&ready, self);
		give_up(self);
	}
	lock_release(&sched_lock);
}

uint64_t sched_ticks(void)
{
	return timer_now() * TICKS_PER_SECOND / timer_hz;
}

static void set_next_wake(void) // a timer interrupt looks without sched_lock whether anything is due
{
	__atomic_store_n(&next_wake, sleepers.first ? sleepers.first->wake_tick : UINT64_MAX, __ATOMIC_RELAXED);
}

// Enters the running process into `sleepers`, behind those that are due no later.
static void enter_by_tick(struct process *self)
{
	struct process **link = &sleepers.first, *last = NULL;

	while (*link && (*link)->wake_tick <= self->wake_tick) {
		last = *link;
		link = &last->next;
	}
	self->next = *link;
	*link = self;
	if (!self->next)
		sleepers.last = self;
	set_next_wake();
}

bool sched_sleep_ticks(uint64_t ticks)
{
	struct process *self = process_current();
	uint64_t now = sched_ticks();
	uint64_t until = ticks > UINT64_MAX - now ? UINT64_MAX : now + ticks;

	lock_acquire(&sched_lock);
	while (!self->killed && sched_ticks() < until) {
		set_state(self, PROCESS_SLEEPING);
		self->steady = false;
		self->waiting_on = &sleepers;
		self->wake_tick = until;
		enter_by_tick(self);
		give_up(self);
	}
	bool killed = self->killed;
	lock_release(&sched_lock);
	return !killed;
}

void sched_tick(void)
{
	uint64_t now = sched_ticks();

	if (now >= __atomic_load_n(&next_wake, __ATOMIC_RELAXED)) {
		lock_acquire(&sched_lock);
		while (sleepers.first && sleepers.first->wake_tick <= now)
			make_ready(pop(&sleepers));
		set_next_wake();
		lock_release(&sched_lock);
	}
	if (__atomic_load_n(&ready.first, __ATOMIC_RELAXED))
		this_cpu()->reschedule = true;
	if (process_current())
		note_size(process_current());
}

void sched_start(struct process *process)
{
	lock_acquire(&sched_lock);
	make_ready(process);
	lock_release(&sched_lock);
}

void sched_kill(struct process *process)
{
	lock_acquire(&sched_lock);
	__atomic_store_n(&process->killed, true, __ATOMIC_RELAXED);
	if (process->state == PROCESS_SLEEPING && !process->steady) {
		take_out(process->waiting_on, process);
		make_ready(process);
	} else if (process->state == PROCESS_RUNNING && process != process_current()) {
		cpu_interrupt(1u << process->hart);
	}
	lock_release(&sched_lock);
}

_Noreturn void sched_end(struct wait_queue *parent_queue, struct lock *lock)
{
	struct process *self = process_current();

	lock_acquire(&sched_lock);
	set_state(self, PROCESS_ZOMBIE);
	stack_put_locked(self->stack);
	if (parent_queue)
		wake_all(parent_queue);
	lock_release(lock);
	give_up(self);
	panic("sched: %s[%d] ran after its end", self->name, self->pid);
}

void sched_arrive(void)
{
	this_cpu()->interrupts_before = true;
	lock_release(&sched_lock);
}

void sched_wait_until_off(void)
{
	lock_acquire(&sched_lock);
	lock_release(&sched_lock);
}

// When an idle hart looks around again, in units of the clock: at the next timed sleep's end, but within a second. (A clock that jumps to
// the next alarm whenever all harts are idle, as QEMU's does under -icount with sleep=off, must find one that is not years away.)
// sched_lock held.
static uint64_t next_alarm(void)
{
	uint64_t soon = timer_now() + timer_hz;

	if (!sleepers.first || sleepers.first->wake_tick > soon / timer_hz * TICKS_PER_SECOND + TICKS_PER_SECOND)
		return soon;
	return (sleepers.first->wake_tick * timer_hz + TICKS_PER_SECOND - 1) / TICKS_PER_SECOND;
}

// The idle loop runs on the hart's own stack, with interrupts off but for one moment in each round. An idle hart needs no slices: its timer
// is set for the end of the next timed sleep.
_Noreturn void sched_run(void)
{
	struct cpu *cpu = this_cpu();

	interrupts_off();
	for (;;) {
		lock_acquire(&sched_lock);
		struct process *next = pop(&ready);
		if (next) {
			idle &= ~(1u << cpu->number);
			timer_set_slice();
			dispatch(cpu, next);
			context_switch(&cpu->idle, &next->context);
			cpu->interrupts_before = false;
			lock_release(&sched_lock);
			continue;
		}
		idle |= 1u << cpu->number;
		timer_set(next_alarm());
		lock_release(&sched_lock);
		wait_for_interrupt();
		interrupts_on();
		interrupts_off();
	}
}
