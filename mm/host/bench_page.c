// bench_page.c: what physical pages cost on the host: each engine, several sizes of memory, one to four threads.
//
//     cc -O2 -pthread mm/host/bench_page.c mm/host/port.c mm/memblock.c mm/page*.c -o bench_page && ./bench_page
//
// Times are only comparable as ratios within one run: the host's locks and pins are slower than a kernel's. What to look for: the
// same cost at any amount of memory for the buddy system, a cost per thread that does not rise with threads (but for lack of CPUs),
// and few locks.
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "../page_engine.h"
#include "test.h"

#define ROUNDS 200000u
#define HELD   16u

_Noreturn void test_fail(const char *file, int line, const char *format, ...)
{
	fprintf(stderr, "%s:%d: %s\n", file, line, format);
	abort();
}

static double seconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void boot(const char *engine, uint64_t bytes)
{
	static struct memblock mb;
	mb = (struct memblock){ 0 };
	host_reset();
	host_ram(0x80000000, bytes, &mb);
	struct page_config config = { .engine = engine, .dma_limit = PA(0x80000000 + bytes / 8), .cpus = PORT_MAX_CPUS, .reserve = 64 };
	if (!page_init(&mb, &config))
		test_fail(__FILE__, __LINE__, "page_init");
}

// A few pages up and down: all within this CPU's cache.
static void *few(void *argument)
{
	pa_t held[HELD];
	host_cpu((unsigned)(uintptr_t)argument);
	for (unsigned round = 0; round < ROUNDS / HELD; round++) {
		for (unsigned i = 0; i < HELD; i++)
			held[i] = page_alloc(0, 0);
		for (unsigned i = 0; i < HELD; i++)
			page_free(held[i]);
	}
	return NULL;
}

// A quarter of memory in blocks of one order, then all of it back.
static size_t many(unsigned order)
{
	static pa_t held[1 << 20];
	size_t count = page_total_count() / 4 >> order;
	for (size_t i = 0; i < count; i++)
		held[i] = page_alloc(order, 0);
	for (size_t i = 0; i < count; i++)
		page_free(held[i]);
	return count;
}

static void threads(unsigned count)
{
	pthread_t thread[4];
	uint64_t locks = page_lock_acquisitions();
	double start = seconds();
	for (uintptr_t i = 0; i < count; i++)
		pthread_create(&thread[i], NULL, few, (void *)i);
	for (unsigned i = 0; i < count; i++)
		pthread_join(thread[i], NULL);
	printf("  %u threads: %.1f ns a pair and thread, %llu locks\n", count, (seconds() - start) * 1e9 / ROUNDS,
	       (unsigned long long)(page_lock_acquisitions() - locks));
}

int main(void)
{
	for (unsigned e = 0; PAGE_ENGINES[e]; e++) {
		const struct page_engine *engine = PAGE_ENGINES[e];
		for (uint64_t mib = 64; mib <= 4096; mib *= 8) {
			double start = seconds();
			boot(engine->name, mib << 20);
			printf("%s, %4llu MiB: page_init %.2f ms, %.2f bytes a page", engine->name, (unsigned long long)mib,
			       (seconds() - start) * 1e3, (double)page_metadata_bytes() / (double)page_total_count());
			start = seconds();
			few(0);
			printf("; few %.1f ns a pair", (seconds() - start) * 1e9 / ROUNDS);
			unsigned most = engine == &page_stack ? 0 : 3; // a stack takes very long to find blocks
			for (unsigned order = 0; order <= most; order += 3) {
				start = seconds();
				size_t count = many(order);
				printf(", many of order %u %.1f ns", order, (seconds() - start) * 1e9 / (double)count);
			}
			printf("\n");
		}
	}
	boot("buddy", 512 << 20);
	for (unsigned count = 1; count <= 4; count *= 2)
		threads(count);
	return 0;
}
