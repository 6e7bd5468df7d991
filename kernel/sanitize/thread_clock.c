// thread_clock.c: what happens before what, from the order that locks, atomics and fences make.
//
//	hart 0   now = (7, 2)   release(lock): bucket |= now; now = (8, 2) .
//	                                          |                         what hart 0 did up to moment 7 is before all that hart 1
//	hart 1   now = (5, 4)                     `--> acquire(lock): now |= bucket = (7, 4)               does from here on
//
// `|=` is the greater of each two entries. An address's clock lies in the bucket that it hashes to, and is never reset.
//
// C1  An entry for a hart is never beyond that hart's own: nobody knows the future.
// C2  Order that is there is always seen, so what is reported as unordered is. Order may be seen that is not there: addresses that share
//     a bucket, or memory that is used again, hand on each other's clocks, and a load is taken to see the newest store.
//
// No locks and no pins: an entry is raised by one atomic instruction, so that an interrupt, or another hart, between two of them can only
// raise it further.
//
// Cost: a release and an acquire look at an entry for each hart, and write those that rise.
// Source: L. Lamport, Time, Clocks, and the Ordering of Events in a Distributed System, CACM 1978; F. Mattern, Virtual Time and Global
// States of Distributed Systems, 1989. Fences as in C11, section 7.17.4.
#include "kernel/sanitize/thread_clock.h"

struct hart_clock hart_clocks[PORT_MAX_CPUS];
static struct clock *bucket;

void clock_init(struct clock *buckets)
{
	for (unsigned cpu = 0; cpu < PORT_MAX_CPUS; cpu++)
		hart_clocks[cpu].now.of[cpu] = 1;
	bucket = buckets;
}

static struct clock *bucket_of(uint64_t address)
{
	return &bucket[address / 4 * 0x9e3779b97f4a7c15 >> 48 & (CLOCK_BUCKETS - 1)];
}

static void raise(uint64_t *entry, uint64_t to)
{
	if (__atomic_load_n(entry, __ATOMIC_RELAXED) < to)
		__asm__ volatile("amomaxu.d zero, %1, (%0)" ::"r"(entry), "r"(to) : "memory");
}

static void join(struct clock *to, const struct clock *from)
{
	for (unsigned cpu = 0; cpu < cpu_count(); cpu++)
		raise(&to->of[cpu], __atomic_load_n(&from->of[cpu], __ATOMIC_RELAXED));
}

static void next_moment(struct hart_clock *mine)
{
	__atomic_fetch_add(&mine->now.of[this_cpu()->number], 1, __ATOMIC_RELAXED);
}

void clock_release(uint64_t address)
{
	struct hart_clock *mine = my_clock();
	if (!bucket)
		return;
	join(bucket_of(address), &mine->now);
	next_moment(mine);
}

void clock_acquire(uint64_t address)
{
	if (bucket)
		join(&my_clock()->now, bucket_of(address));
}

void clock_relaxed_store(uint64_t address)
{
	if (bucket)
		join(bucket_of(address), &my_clock()->fenced);
}

void clock_relaxed_load(uint64_t address)
{
	if (bucket)
		join(&my_clock()->read, bucket_of(address));
}

void clock_fence(bool release, bool acquire)
{
	struct hart_clock *mine = my_clock();
	if (!bucket)
		return;
	if (acquire)
		join(&mine->now, &mine->read);
	if (release) {
		join(&mine->fenced, &mine->now);
		next_moment(mine);
	}
}
