// test_heap_threads.c: every heap on several CPUs at once: blocks go from thread to thread, are looked through, resized and freed.
//
//	thread --alloc, write--> block --exchange--> [ 32 places ] --exchange--> another --look through--> free, or resize and pass on
//
// Under ThreadSanitizer (mm-tests-tsan) this also says whether each heap orders what one owner of a block did before what the next does.
#include <pthread.h>

#include "../page.h"
#include "heap_model.h"
#include "random.h"
#include "test.h"

#define THREADS 4u
#define PLACES  32u
#define STEPS   (MM_CHECK > 1 ? 150u : 2500u) // of each thread

struct block { // the head of each
	uint32_t bytes;
	uint8_t pattern;
	unsigned char rest[];
};

static struct block *places[PLACES]; // atomic
static uint64_t seeds[THREADS];

static uint64_t next(uint64_t *state, uint64_t limit) // the test's own stream is not for threads
{
	return random_step(state) % limit;
}

static struct block *paint(struct block *block, uint32_t bytes, uint64_t *state)
{
	block->bytes = bytes;
	block->pattern = (uint8_t)next(state, 256);
	memset(block->rest, block->pattern, bytes - sizeof *block);
	return block;
}

static void look_through(const struct block *block, uint32_t bytes)
{
	heap_model_expect_bytes(block->rest, bytes - sizeof *block, block->pattern);
}

static uint32_t size(uint64_t *state)
{
	return (uint32_t)(sizeof(struct block) + next(state, next(state, 50) ? 600 : 9000));
}

static struct block *make(uint64_t *state)
{
	uint32_t bytes = size(state);
	struct heap *heap = kmalloc_heap();
	struct block *block;

	switch (next(state, 8)) {
	case 0:
		block = heap_alloc_aligned(heap, bytes, (size_t)HEAP_ALIGN << next(state, 6));
		break;
	case 1:
		block = kzalloc(bytes);
		if (block)
			heap_model_expect_bytes((unsigned char *)block, bytes, 0);
		break;
	default:
		block = kmalloc(bytes);
	}
	return block ? paint(block, bytes, state) : NULL;
}

// What another thread has put there is this one's now. Freed, or, NULL not returned, to be passed on.
static struct block *receive(struct block *block, uint64_t *state)
{
	uint32_t old = block->bytes, bytes = size(state);

	look_through(block, old);
	if (next(state, 4)) {
		kfree(block);
		return NULL;
	}
	struct block *moved = krealloc(block, bytes);
	if (!moved)
		return block;
	look_through(moved, old < bytes ? old : bytes);
	return paint(moved, bytes, state);
}

static void *work(void *argument)
{
	unsigned cpu = (unsigned)(uintptr_t)argument;
	uint64_t state = seeds[cpu];
	struct block *mine = NULL;

	host_cpu(cpu);
	for (unsigned step = 0; step < STEPS; step++) {
		if (!mine)
			mine = make(&state);
		mine = __atomic_exchange_n(&places[next(&state, PLACES)], mine, __ATOMIC_ACQ_REL);
		if (mine)
			mine = receive(mine, &state);
		if (next(&state, 200) == 0)
			heap_trim(kmalloc_heap());
	}
	kfree(mine);
	return NULL;
}

static void run(const struct heap_ops *ops)
{
	pthread_t thread[THREADS];

	heap_model_machine(64);
	EXPECT(kmalloc_init(ops->name));
	for (uintptr_t i = 0; i < THREADS; i++)
		seeds[i] = random_next() | 1;
	for (uintptr_t i = 0; i < THREADS; i++)
		EXPECT(pthread_create(&thread[i], NULL, work, (void *)i) == 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	EXPECT_VERDICT(heap_check(kmalloc_heap()), NULL);
	for (unsigned i = 0; i < PLACES; i++) {
		if (places[i])
			look_through(places[i], places[i]->bytes);
		kfree(places[i]);
		places[i] = NULL;
	}
	EXPECT_VERDICT(heap_check(kmalloc_heap()), NULL);
	EXPECT_EQ(heap_model_live_blocks(kmalloc_heap()), 0);
}

TEST(heap_threads)
{
	for (const struct heap_ops *const *ops = HEAPS; *ops; ops++)
		run(*ops);
}
