// preload_threads.c: port.h for libquire.so: threads as CPUs, locks, barriers, panics; and what makes fork safe.
//
//    thread ──first enter──► a free slot: its CPU number ──exit──► magazines to the slabs, slot free
//           `──(none free)──► PORT_SHARED_CPU: no magazines, and one such thread inside at a time
//
//    fork:   freeze magazines (all threads go to the slabs) ──► close the gate, wait for locks ──► fork ──► open, thaw
//
// The gate stands before every outermost lock and page call: a thread counts itself in, then looks whether the gate is closed; who closes
// it then waits for the counts. In the child the other threads are gone; their slots are free, and what they had taken but not yet handed
// out is lost.
//
// Cost: nothing on the fast path; a count and a look at the gate beside each lock.
// Weakness: threads beyond PORT_MAX_CPUS - 1 take turns.
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../slab_stock.h"
#include "preload.h"
#include "preload_pin.h"

#define SPINS 200 // looks at a held lock before others may run

#define OWN _Thread_local __attribute__((tls_model("initial-exec")))

struct slot {
	_Alignas(64) atomic_uint used; // a thread has this number
	atomic_uint inside;            // threads of this number between enter and leave
};

OWN unsigned preload_cpu;
OWN struct stock *preload_stocks = slab_no_stocks;
static OWN bool leaving;        // the thread ends: it gets no slot any more
static OWN bool forking;
static OWN unsigned depth;      // of preload_enter
static OWN struct slot *inside; // where this thread counted itself in

static struct slot slots[PORT_MAX_CPUS];
static atomic_bool gate_closed;
static atomic_bool somebody_forks;
static uint32_t shared_held; // 1 while a thread of PORT_SHARED_CPU is inside
static pthread_key_t exit_key;
static bool exit_key_ready;

_Noreturn void port_panic(const char *rule, uintptr_t where)
{
	char text[256];
	int length = snprintf(text, sizeof text, "libquire: %s (at %#lx)\n", rule, (unsigned long)where);

	(void)!write(2, text, length < 0 ? 0 : (size_t)length);
	abort();
}

// ---- slots

static bool slot_take(void)
{
	for (unsigned cpu = PORT_SHARED_CPU + 1; cpu < PORT_MAX_CPUS; cpu++) {
		unsigned free = 0;

		if (atomic_load_explicit(&slots[cpu].used, memory_order_relaxed) == 0 &&
		    atomic_compare_exchange_strong(&slots[cpu].used, &free, 1)) {
			preload_cpu = cpu;
			return true;
		}
	}
	return false;
}

static void thread_exit(void *slot)
{
	kmem_reap_cpu();
	leaving = true;
	preload_cpu = PORT_SHARED_CPU;
	preload_stocks = slab_no_stocks;
	atomic_store(&((struct slot *)slot)->used, 0);
}

// ---- the gate and locks

// A slot of its own is counted by plain stores: the barrier of who closes the gate stands for those that would be needed here.
static void count(int change)
{
	if (inside == &slots[PORT_SHARED_CPU])
		atomic_fetch_add(&inside->inside, (unsigned)change);
	else
		atomic_store_explicit(&inside->inside, atomic_load_explicit(&inside->inside, memory_order_relaxed) + (unsigned)change,
				      memory_order_release);
}

static void come_in(void)
{
	inside = &slots[preload_cpu];
	for (;;) {
		count(1);
		atomic_signal_fence(memory_order_seq_cst);
		if (__builtin_expect(!atomic_load_explicit(&gate_closed, memory_order_acquire), 1))
			return;
		count(-1);
		while (atomic_load(&gate_closed))
			sched_yield();
	}
}

static void wait_for(uint32_t *held)
{
	for (unsigned spins = 0; __atomic_exchange_n(held, 1, __ATOMIC_ACQUIRE); spins++) {
		while (__atomic_load_n(held, __ATOMIC_RELAXED) && spins++ < SPINS)
			;
		if (spins >= SPINS)
			sched_yield();
	}
}

void preload_enter(void)
{
	if (depth++ > 0 || forking)
		return;
	if (preload_cpu == PORT_SHARED_CPU && !leaving && exit_key_ready && slot_take())
		pthread_setspecific(exit_key, &slots[preload_cpu]); // may allocate: by now this thread has a number
	come_in();
	if (preload_cpu == PORT_SHARED_CPU)
		wait_for(&shared_held);
}

void preload_leave(void)
{
	if (--depth > 0 || forking)
		return;
	if (inside == &slots[PORT_SHARED_CPU])
		__atomic_store_n(&shared_held, 0, __ATOMIC_RELEASE);
	count(-1);
}

void lock_acquire(struct lock *lock)
{
	preload_enter();
	wait_for(&lock->held);
}

void lock_release(struct lock *lock)
{
	__atomic_store_n(&lock->held, 0, __ATOMIC_RELEASE);
	preload_leave();
}

// ---- fork

static void before_fork(void)
{
	while (atomic_exchange(&somebody_forks, true))
		sched_yield();
	kmem_freeze();
	forking = true;
	atomic_store(&gate_closed, true);
	port_barrier();
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
		atomic_store(&slots[cpu].used, cpu != PORT_SHARED_CPU && cpu == preload_cpu);
	after_fork();
}

void preload_threads_init(void)
{
	exit_key_ready = pthread_key_create(&exit_key, thread_exit) == 0;
	pthread_atfork(before_fork, after_fork, after_fork_in_child);
}
