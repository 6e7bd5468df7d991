// pipe.c: a queue of bytes: one page, used as a ring, between two counters that only grow.
//
//	          taken            given
//	            v                v
//	[ ......... # # # # # # # # # ......... ]      bytes in it: given - taken; place of byte n: n % size
//
//  P1  given - taken <= RING at any time.
//
// Copies to and from user memory happen under the spinlock, which they may since the memory is touched first, without it; then no copy
// sleeps. Waiters are woken only when they can wait at all: readers when the ring was empty, writers when it was full.
//
// Cost: one or two copies per call. Weakness: interrupts are off for the copy of up to a page.
#include "kernel/fs/pipe.h"

#include "kernel/process/sched.h"
#include "mm/page.h"
#include "mm/slab.h"

#define RING ((uint32_t)PAGE_BYTES)

struct pipe {
	struct lock lock; // guards all below
	pa_t page;
	uint32_t taken, given;
	bool read_open, write_open;
	struct wait_queue readers, writers;
};

static struct kmem_cache *pipes;

bool pipe_init(void)
{
	pipes = kmem_cache_create("pipe", sizeof(struct pipe), 0, NULL);
	return pipes != NULL;
}

struct pipe *pipe_create(void)
{
	struct pipe *pipe = kmem_cache_alloc(pipes);
	pa_t page = pipe ? page_alloc(0, PAGE_KERNEL) : PA_NONE;

	if (pipe && pa_is_none(page)) {
		kmem_cache_free(pipes, pipe);
		return NULL;
	}
	if (pipe)
		*pipe = (struct pipe){ .lock = { .name = "pipe" }, .page = page, .read_open = true, .write_open = true };
	return pipe;
}

void pipe_close(struct pipe *pipe, bool write_end)
{
	lock_acquire(&pipe->lock);
	if (write_end)
		pipe->write_open = false;
	else
		pipe->read_open = false;
	sched_wakeup(write_end ? &pipe->readers : &pipe->writers);
	bool last = !pipe->read_open && !pipe->write_open;
	lock_release(&pipe->lock);
	if (last) {
		page_free(pipe->page);
		kmem_cache_free(pipes, pipe);
	}
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

typedef bool copy(struct memory memory, void *ring, size_t bytes);

static bool copy_out(struct memory to, void *ring, size_t bytes)
{
	return memory_put(to, ring, bytes);
}

static bool copy_in(struct memory from, void *ring, size_t bytes)
{
	return memory_get(ring, from, bytes);
}

// Copies `bytes` bytes between memory and the ring from its byte `at` on, in two pieces where it wraps.
static bool move(struct pipe *pipe, struct memory memory, uint32_t at, uint32_t bytes, copy *one)
{
	char *ring = pa_pointer(pipe->page);
	uint32_t start = at % RING, first = smaller(bytes, RING - start);

	if (!one(memory, ring + start, first))
		return false;
	memory.address += first;
	return first == bytes || one(memory, ring, bytes - first);
}

// Waits until the ring has something. Bytes in it; 0: no writer is left; -1: killed.
static int wait_for_bytes(struct pipe *pipe)
{
	int ready = 0;

	lock_acquire(&pipe->lock);
	while (ready == 0 && pipe->given == pipe->taken && pipe->write_open)
		if (!sched_sleep(&pipe->readers, &pipe->lock))
			ready = -1;
	if (ready == 0)
		ready = (int)(pipe->given - pipe->taken);
	lock_release(&pipe->lock);
	return ready;
}

// Takes up to `bytes` bytes: how many; 0 when another reader was faster; -1: bad memory.
static int take(struct pipe *pipe, struct memory to, uint32_t bytes)
{
	lock_acquire(&pipe->lock);
	uint32_t there = pipe->given - pipe->taken, part = smaller(there, bytes);
	bool good = part == 0 || move(pipe, to, pipe->taken, part, copy_out);
	if (good)
		pipe->taken += part;
	if (good && there == RING)
		sched_wakeup(&pipe->writers);
	lock_release(&pipe->lock);
	return good ? (int)part : -1;
}

int pipe_read(struct pipe *pipe, struct memory to, int bytes)
{
	int part = 0;

	while (part == 0 && bytes > 0) {
		int ready = wait_for_bytes(pipe);
		if (ready <= 0)
			return ready;
		uint32_t most = smaller((uint32_t)ready, (uint32_t)bytes);
		part = memory_touch(to, most, true) ? take(pipe, to, most) : -1;
	}
	return part;
}

// Waits until the ring has room. Bytes of room; -1: killed, or no reader is left. The lock is held.
static int wait_for_room(struct pipe *pipe)
{
	while (pipe->read_open && pipe->given - pipe->taken == RING)
		if (!sched_sleep(&pipe->writers, &pipe->lock))
			return -1;
	return pipe->read_open ? (int)(RING - (pipe->given - pipe->taken)) : -1;
}

int pipe_write(struct pipe *pipe, struct memory from, int bytes)
{
	int done = 0, room = 0;
	bool good = true;

	while (done < bytes && room >= 0 && good) {
		struct memory here = { from.user, from.address + (uint32_t)done };
		uint32_t part = smaller((uint32_t)(bytes - done), RING);
		good = memory_touch(here, part, false);
		lock_acquire(&pipe->lock);
		room = good ? wait_for_room(pipe) : 0;
		part = room > 0 ? smaller(part, (uint32_t)room) : 0;
		good = good && (part == 0 || move(pipe, here, pipe->given, part, copy_in));
		if (part > 0 && good) {
			bool was_empty = pipe->given == pipe->taken;
			pipe->given += part;
			done += (int)part;
			if (was_empty)
				sched_wakeup(&pipe->readers);
		}
		lock_release(&pipe->lock);
	}
	return room < 0 || !good ? -1 : done;
}
