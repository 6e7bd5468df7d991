// test_page_threads.c: physical pages on several CPUs at once: no page has two owners, and none is lost or refused.
#include <pthread.h>

#include "../page_engine.h"
#include "page_model.h"
#include "random.h"

#define THREADS 4u
#define QUOTA   48u

static uint8_t thread_owner[4096]; // of each page of the machine's first 16 MiB from 2 GiB; atomic
static size_t thread_quota;

static uint64_t thread_random(uint64_t *state, uint64_t limit)
{
	return random_step(state) % limit;
}

// The pages of a block change hands: all of them belonged to `from`.
static void hand_over(pa_t block, unsigned order, unsigned from, unsigned to)
{
	EXPECT(block.raw >= 0x80000000 && block.raw < 0x81000000);
	for (uint64_t i = 0; i < 1u << order; i++)
		EXPECT_EQ(__atomic_exchange_n(&thread_owner[(block.raw - 0x80000000) / 4096 + i], (uint8_t)to, __ATOMIC_RELAXED), from);
}

// Holds at most its quota of pages; the quotas together are all there is, so a page is always to be had, be it from others' caches.
static void *hammer(void *argument)
{
	unsigned cpu = (unsigned)(uintptr_t)argument;
	uint64_t state = cpu * 0x9e3779b97f4a7c15 + 1;
	pa_t held[4096];
	size_t count = 0;
	host_cpu(cpu);
	for (unsigned step = 0; step < (MM_CHECK ? 5000u : 40000u); step++) {
		size_t target = thread_random(&state, 20) == 0 ? thread_random(&state, thread_quota + 1) : count;
		bool more = count < target || (count < thread_quota && thread_random(&state, 2));
		if (more) {
			pa_t page = page_alloc(0, thread_random(&state, 8) == 0 ? PAGE_ZERO : 0);
			EXPECT(!pa_is_none(page)); // refused though a page is free
			hand_over(page, 0, 0, cpu + 1);
			*(uint64_t *)pa_pointer(page) = cpu;
			held[count++] = page;
		} else if (count > 0) {
			size_t i = thread_random(&state, count);
			EXPECT_EQ(*(uint64_t *)pa_pointer(held[i]), cpu);
			hand_over(held[i], 0, cpu + 1, 0);
			page_free(held[i]);
			held[i] = held[--count];
		}
	}
	while (count > 0) {
		hand_over(held[--count], 0, cpu + 1, 0);
		page_free(held[count]);
	}
	return NULL;
}

static void run_threads(void *body(void *))
{
	pthread_t thread[THREADS];
	for (uintptr_t i = 0; i < THREADS; i++)
		EXPECT(pthread_create(&thread[i], NULL, body, (void *)i) == 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	EXPECT_EQ(page_free_count(), page_model.total);
	EXPECT_VERDICT(page_check(), NULL);
}

TEST(page_threads_find_the_last_page)
{
	static const struct machine machine = { "170 pages and a DMA zone", { { 0x80000000, 0x800aa000 } }, { { 0 } }, 0x80020000 };
	for (unsigned e = 0; PAGE_ENGINES[e]; e++) {
		page_model_start(PAGE_ENGINES[e]->name, &machine, THREADS, 0, random_below);
		memset(thread_owner, 0, sizeof thread_owner);
		thread_quota = page_model.total / THREADS;
		run_threads(hammer);
	}
}

static void *mix(void *argument) // all orders, shared blocks, refusals
{
	unsigned cpu = (unsigned)(uintptr_t)argument;
	uint64_t state = cpu * 0x9e3779b97f4a7c15 + 99;
	pa_t held[QUOTA] = { 0 };
	host_cpu(cpu);
	for (unsigned step = 0; step < (MM_CHECK ? 4000u : 30000u); step++) {
		pa_t *slot = &held[thread_random(&state, QUOTA)];
		unsigned order = pa_is_none(*slot) ? (unsigned)thread_random(&state, 6) % 5 : page_order(*slot);
		if (pa_is_none(*slot)) {
			*slot = page_alloc(order, (unsigned)thread_random(&state, 8));
			if (!pa_is_none(*slot))
				hand_over(*slot, order, 0, cpu + 1);
		} else if (thread_random(&state, 4) == 0) {
			page_share(*slot);
			page_free(*slot);
		} else {
			hand_over(*slot, order, cpu + 1, 0);
			page_free(*slot);
			*slot = PA_NONE;
		}
		if (thread_random(&state, 500) == 0)
			page_drain();
	}
	for (unsigned i = 0; i < QUOTA; i++) {
		if (!pa_is_none(held[i])) {
			hand_over(held[i], page_order(held[i]), cpu + 1, 0);
			page_free(held[i]);
		}
	}
	return NULL;
}

TEST(page_threads_mix_orders)
{
	static const struct machine machine = { "512 pages", { { 0x80000000, 0x80200000 } }, { { 0 } }, 0x80080000 };
	for (unsigned e = 0; PAGE_ENGINES[e]; e++) {
		page_model_start(PAGE_ENGINES[e]->name, &machine, THREADS, 4, random_below);
		memset(thread_owner, 0, sizeof thread_owner);
		run_threads(mix);
	}
}

static pa_t shared_page;

static void *take_and_drop(void *argument) // each thread has a reference of its own to one page
{
	host_cpu((unsigned)(uintptr_t)argument);
	for (unsigned i = 0; i < 20000; i++) {
		page_share(shared_page);
		page_free(shared_page);
	}
	page_free(shared_page);
	return NULL;
}

TEST(page_threads_share_one_page)
{
	for (unsigned round = 0; round < 10; round++) {
		page_model_start("buddy", &MODEL_MACHINES[0], THREADS, 0, random_below);
		shared_page = page_alloc(round % 2, 0);
		for (unsigned i = 1; i < THREADS; i++)
			page_share(shared_page);
		run_threads(take_and_drop);
	}
}

static pa_t common[256]; // pages that each thread has a reference to

// Whoever drops the last reference to a page gets that page from its cache for its own use: after all that the others did with it.
static void *look_and_drop(void *argument)
{
	host_cpu((unsigned)(uintptr_t)argument);
	for (unsigned i = 0; i < sizeof common / sizeof *common; i++) {
		EXPECT_EQ(*(uint64_t *)pa_pointer(common[i]), i);
		page_free(common[i]);
		pa_t own = page_alloc(0, 0);
		*(uint64_t *)pa_pointer(own) = UINT64_MAX;
		page_free(own);
	}
	return NULL;
}

TEST(page_threads_drop_the_last_reference)
{
	for (unsigned round = 0; round < 10; round++) {
		page_model_start("buddy", &MODEL_MACHINES[0], THREADS, 0, random_below);
		for (unsigned i = 0; i < sizeof common / sizeof *common; i++) {
			common[i] = page_alloc(0, 0);
			*(uint64_t *)pa_pointer(common[i]) = i;
			for (unsigned other = 1; other < THREADS; other++)
				page_share(common[i]);
		}
		run_threads(look_and_drop);
	}
}

static unsigned owners; // threads that still allocate; atomic

static void *own(void *argument) // a few pages up and down in its own cache
{
	unsigned cpu = (unsigned)(uintptr_t)argument;
	pa_t held[QUOTA];
	host_cpu(cpu);
	for (unsigned round = 0; round < 1000; round++) {
		for (unsigned i = 0; i < QUOTA; i++) {
			held[i] = page_alloc(0, 0);
			EXPECT(!pa_is_none(held[i]));
			hand_over(held[i], 0, 0, cpu + 1);
		}
		for (unsigned i = 0; i < QUOTA; i++) {
			hand_over(held[i], 0, cpu + 1, 0);
			page_free(held[i]);
		}
	}
	__atomic_fetch_sub(&owners, 1, __ATOMIC_RELAXED);
	return NULL;
}

static void *drain_or_own(void *argument) // CPU 0 empties the others' caches under their hands
{
	if ((uintptr_t)argument > 0)
		return own(argument);
	while (__atomic_load_n(&owners, __ATOMIC_RELAXED) > 0)
		page_drain();
	return NULL;
}

TEST(page_threads_drain_while_owners_work)
{
	for (unsigned e = 0; PAGE_ENGINES[e]; e++) {
		page_model_start(PAGE_ENGINES[e]->name, &MODEL_MACHINES[0], THREADS, 0, random_below);
		memset(thread_owner, 0, sizeof thread_owner);
		owners = THREADS - 1;
		run_threads(drain_or_own);
	}
}
