// lock.c: spinlocks and pins: mutual exclusion between harts and from this hart's own interrupts.
//
//	lock_acquire ... lock_release      interrupts off from the first lock to the last
//	port_pin     ... port_unpin        interrupts off, and back to what they were: a few instructions (pin.h)
//
// They nest in any order in which the last opened is the first closed: a pin puts back what it found, a lock counts (lock_depth)
// and puts back what the outermost one found. Hence interrupts come on again when the outermost of them all ends.
//
// L1  A lock is never taken twice by one CPU: it would wait for itself for ever.
// L2  Only the CPU that holds a lock releases it.
//
// Cost: about 20 instructions each way for a free lock; an atomic swap and a fence.
// Weakness: no queue; with many harts a waiting one may be unlucky for long.
#include "kernel/machine/cpu.h"
#include "kernel/machine/csr.h"
#include "kernel/machine/panic.h"
#include "kernel/machine/sbi.h"

// Others read the holder without the lock, to see whether it is they. (gcc 12 makes an atomic exchange of an atomic store on RISC-V.)
static inline void set_holder(struct lock *lock, uint32_t holder)
{
	*(volatile uint32_t *)&lock->holder = holder;
}

static uint32_t holder_of(const struct lock *lock)
{
	return __atomic_load_n(&lock->holder, __ATOMIC_RELAXED);
}

// The lock is this CPU's now; `before`: sstatus as it was.
static inline void settle(struct lock *lock, uint64_t before)
{
	struct cpu *cpu = this_cpu();
	set_holder(lock, (uint32_t)cpu->number + 1);
	if (cpu->lock_depth++ == 0)
		cpu->interrupts_before = before & SSTATUS_SIE;
}

static __attribute__((noinline)) void wait_for(struct lock *lock, uint64_t before)
{
	if (holder_of(lock) == (uint32_t)this_cpu()->number + 1)
		panic("lock \"%s\" is taken twice by CPU %lu (rule L1)", lock->name, this_cpu()->number);
	do {
		while (__atomic_load_n(&lock->held, __ATOMIC_RELAXED)) {
			if (panic_begun)
				panic_stop_here();
			spin_hint();
		}
	} while (__atomic_exchange_n(&lock->held, 1, __ATOMIC_ACQUIRE));
	settle(lock, before);
}

void lock_acquire(struct lock *lock)
{
	uint64_t before;
	__asm__ volatile("csrrci %0, sstatus, 2" : "=r"(before)::"memory");
	if (__builtin_expect(__atomic_exchange_n(&lock->held, 1, __ATOMIC_ACQUIRE), 0))
		wait_for(lock, before);
	else
		settle(lock, before);
}

void lock_release(struct lock *lock)
{
	struct cpu *cpu = this_cpu();
	if (__builtin_expect(holder_of(lock) != (uint32_t)cpu->number + 1, 0))
		panic("lock \"%s\" is released by CPU %lu, which does not hold it (rule L2); its holder is CPU %d", lock->name, cpu->number,
		      (int)holder_of(lock) - 1);
	set_holder(lock, 0);
	__atomic_store_n(&lock->held, 0, __ATOMIC_RELEASE);
	if (--cpu->lock_depth == 0 && cpu->interrupts_before)
		interrupts_on();
}

// Port_barrier of mm/port.h. The firmware interrupts the other harts even while their interrupts are off here, and returns when each has
// done its part: so this waits for no lock.
void port_barrier(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	struct pin pin = port_pin();
	uint32_t others = cpu_online() & ~(1u << pin.cpu);
	if (others)
		sbi_remote_barrier(others);
	port_unpin(pin);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}
