// random.c: /random: reading it gives as many pseudo-random bytes as asked for.
//
//	boot argument seed=, else the firmware's rng-seed --> state --(+ golden ratio, mixed)--> 8 bytes, 8 bytes, ...
//
// All readers share one stream. With seed= the same reads in the same order give the same bytes in each boot: a program that prints what it
// drew can be run again just so. Writing is refused.
//
// Cost: about 15 instructions for 8 bytes. Weakness: good for tests and games; whoever sees some bytes can compute the rest.
// Source: G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014 (SplitMix64).
#include "kernel/device/random.h"

#include "kernel/boot/bootargs.h"
#include "kernel/fs/file.h"
#include "mm/port.h"

#define MAJOR 2

static struct lock random_lock = { .name = "random" };
static uint64_t state; // random_lock

static uint64_t next(void)
{
	lock_acquire(&random_lock);
	uint64_t z = state += 0x9e3779b97f4a7c15;
	lock_release(&random_lock);
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static int random_read(struct memory to, int bytes)
{
	for (int done = 0; done < bytes;) {
		uint64_t word = next();
		int count = bytes - done < 8 ? bytes - done : 8;
		if (!memory_put((struct memory){ to.user, to.address + (uint64_t)done }, &word, (size_t)count))
			return -1;
		done += count;
	}
	return bytes;
}

static int random_write(struct memory from, int bytes)
{
	(void)from, (void)bytes;
	return -1;
}

void random_init(void)
{
	state = random_seed();
	devices[MAJOR] = (struct device){ random_read, random_write };
}
