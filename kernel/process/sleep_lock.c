// sleep_lock.c: a lock whose waiters sleep, for what is held across disk I/O.
//
// Unlike a spinlock it leaves interrupts on, may be held while sleeping, and belongs to a process, not to a hart. A kill does not end the
// wait: whoever holds such a lock gives it back soon. Taking it twice and releasing another's panic.
#include "kernel/process/process.h"

#include "kernel/machine/panic.h"

void sleep_lock_acquire(struct sleep_lock *lock)
{
	struct process *self = process_current();

	lock_acquire(&lock->guard);
	if (lock->holder == self)
		panic("sleep_lock: %s[%d] takes a lock that it holds", self->name, self->pid);
	while (lock->holder)
		sched_sleep_steadily(&lock->waiting, &lock->guard);
	lock->holder = self;
	lock_release(&lock->guard);
}

void sleep_lock_release(struct sleep_lock *lock)
{
	lock_acquire(&lock->guard);
	if (lock->holder != process_current())
		panic("sleep_lock: released by a process that does not hold it");
	lock->holder = NULL;
	sched_wakeup(&lock->waiting);
	lock_release(&lock->guard);
}

bool sleep_lock_held(const struct sleep_lock *lock)
{
	return __atomic_load_n(&lock->holder, __ATOMIC_RELAXED) == process_current();
}
