// preload_threads.c: port.h for libquire.so: threads as CPUs, locks, barriers, panics; and what makes fork safe.
//
//    thread ──first use──► a free slot: its CPU number ──exit──► magazines to the slabs, slot free       more threads than slots: SHARED_CPU
//
//    fork:   freeze the magazines (all threads go to the slabs) ──► close the gate, wait until no lock is held ──► fork ──► open, thaw
//
// The gate stands before every outermost lock_acquire: a thread counts itself in, then looks whether the gate is closed; who closes it
// then waits for the counts. In the child the other threads are gone; their slots are free, and what they had taken but not yet handed out
// is lost.
//
// Cost: nothing on the fast path; two atomic additions and a look at the gate beside each lock.
// Weakness: threads beyond PORT_MAX_CPUS - 1 share a slot and its lock.
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../slab.h"
#include "preload.h"
#include "preload_pin.h"

#define SPINS 200 // looks at a held lock before others may run

_Thread_local unsigned preload_cpu __attribute__((tls_model("initial-exec")));
static _Thread_local bool leaving __attribute__((tls_model("initial-exec"))); // the thread ends: it gets no slot any more
static _Thread_local unsigned shared_pins __attribute__((tls_model("initial-exec")));
static _Thread_local bool forking __attribute__((tls_model("initial-exec")));

static struct slot {
	_Alignas(64) atomic_uint used; // a thread has this number
	atomic_uint inside;            // enters without leave, of all its threads
} slots[PORT_MAX_CPUS];
static atomic_bool gate_closed;
static atomic_bool somebody_forks;
static struct lock shared_lock = { .name = "shared CPU" };
static pthread_key_t exit_key;
static bool exit_key_ready;

_Noreturn void port_panic(const char *rule, uintptr_t where)
{
	char text[256];
	int length = snprintf(text, sizeof text, "libquire: %s (at %#lx)\n", rule, (unsigned long)where);

	(void)!write(2, text, length < 0 ? 0 : (size_t)length);
	abort();
}

// ---- the gate and locks

static _Thread_local unsigned depth __attribute__((tls_model("initial-exec")));
static _Thread_local unsigned inside_slot __attribute__((tls_model("initial-exec"))); // where this thread counted itself in

void preload_enter(void)
{
	if (depth++ > 0 || forking)
		return;
	inside_slot = preload_cpu;
	for (;;) {
		atomic_fetch_add(&slots[inside_slot].inside, 1);
		if (__builtin_expect(!atomic_load(&gate_closed), 1))
			return;
		atomic_fetch_sub(&slots[inside_slot].inside, 1);
		while (atomic_load(&gate_closed))
			sched_yield();
	}
}

void preload_leave(void)
{
	if (--depth == 0 && !forking)
		atomic_fetch_sub(&slots[inside_slot].inside, 1);
}

void lock_acquire(struct lock *lock)
{
	preload_enter();
	for (unsigned spins = 0; __atomic_exchange_n(&lock->held, 1, __ATOMIC_ACQUIRE); spins++) {
		while (__atomic_load_n(&lock->held, __ATOMIC_RELAXED) && spins++ < SPINS)
			;
		if (spins >= SPINS)
			sched_yield();
	}
}

void lock_release(struct lock *lock)
{
	__atomic_store_n(&lock->held, 0, __ATOMIC_RELEASE);
	preload_leave();
}

// ---- slots

static bool slot_take(void)
{
	for (unsigned cpu = SHARED_CPU + 1; cpu < PORT_MAX_CPUS; cpu++) {
		unsigned free = 0;

		if (atomic_load_explicit(&slots[cpu].used, memory_order_relaxed) == 0 && atomic_compare_exchange_strong(&slots[cpu].used, &free, 1)) {
			preload_cpu = cpu;
			return true;
		}
	}
	return false;
}

struct pin preload_pin_shared(void)
{
	if (shared_pins == 0 && !leaving && exit_key_ready && slot_take()) {
		pthread_setspecific(exit_key, &slots[preload_cpu]); // may allocate: by now this thread has a number
		return (struct pin){ preload_cpu, 0 };
	}
	if (shared_pins++ == 0)
		lock_acquire(&shared_lock);
	return (struct pin){ SHARED_CPU, 0 };
}

void preload_unpin_shared(void)
{
	if (--shared_pins == 0)
		lock_release(&shared_lock);
}

static void thread_exit(void *slot)
{
	kmem_reap_cpu();
	leaving = true;
	preload_cpu = SHARED_CPU;
	atomic_store(&((struct slot *)slot)->used, 0);
}

// ---- fork

static void before_fork(void)
{
	while (atomic_exchange(&somebody_forks, true))
		sched_yield();
	kmem_freeze();
	forking = true;
	atomic_store(&gate_closed, true);
	for (unsigned cpu = 0; cpu < PORT_MAX_CPUS; cpu++)
		while (atomic_load(&slots[cpu].inside))
			sched_yield();
}

static void after_fork(void)
{
	forking = false;
	atomic_store(&gate_closed, false);
	kmem_thaw();
	atomic_store(&somebody_forks, false);
}

static void after_fork_in_child(void)
{
	for (unsigned cpu = 0; cpu < PORT_MAX_CPUS; cpu++)
		atomic_store(&slots[cpu].used, cpu != SHARED_CPU && cpu == preload_cpu);
	after_fork();
}

void preload_threads_init(void)
{
	exit_key_ready = pthread_key_create(&exit_key, thread_exit) == 0;
	pthread_atfork(before_fork, after_fork, after_fork_in_child);
}
