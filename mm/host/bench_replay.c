// bench_replay.c: a recorded trace, asked again of every heap: how many calls were refused, what a call cost, and what memory it took.
//
//     cc -O2 -pthread mm/host/bench_replay.c mm/host/trace_file.c mm/host/port.c mm/*.c -o replay && ./replay TRACE [HEAP...]
//
// TRACE is what `heap trace` printed in a guest booted with trace=EVENTS; the rest of a console's text does not matter. Times are only
// comparable as ratios within one run.
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../page.h"
#include "../slab.h"
#include "test.h"
#include "trace_file.h"

#define ARENA ((size_t)64 << 10)
#define TIMES 20

_Noreturn void test_fail(const char *file, int line, const char *format, ...)
{
	fprintf(stderr, "%s:%d: %s\n", file, line, format);
	exit(1);
}

static double nanoseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static size_t machine(void)
{
	static struct memblock mb;
	struct page_config config = { .dma_limit = PA(0x80400000), .cpus = 1 };

	mb = (struct memblock){ 0 };
	slab_forget();
	host_reset();
	host_ram(0x80000000, (uint64_t)512 << 20, &mb);
	if (!page_init(&mb, &config))
		test_fail(__FILE__, __LINE__, "page_init");
	return page_free_count();
}

static void measure(const struct heap_ops *ops, const struct replay *replay)
{
	size_t pages = machine(), before = host_reserved();
	void *arena = port_reserve(ARENA);
	struct heap *heap = arena ? heap_create(ops, arena, ARENA) : NULL;

	if (!heap)
		test_fail(__FILE__, __LINE__, "heap_create");
	struct replay_result result = replay_run(replay, heap);
	size_t kept = host_reserved() - before + (pages - page_free_count()) * PAGE_BYTES;
	double start = nanoseconds();
	for (unsigned i = 0; i < TIMES; i++)
		result = replay_run(replay, heap);
	printf("%-14s %8zu refused %8.1f ns a call %10zu bytes live at most %10zu bytes kept\n", ops->name, result.refused,
	       (nanoseconds() - start) / TIMES / (double)(replay->steps ? replay->steps : 1), result.peak, kept);
	port_release(arena, ARENA);
}

static bool wanted(const char *name, int count, char **names)
{
	for (int i = 0; i < count; i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return count == 0;
}

int main(int argc, char **argv)
{
	FILE *file = argc > 1 ? fopen(argv[1], "r") : NULL;
	struct trace_event *events;

	if (!file) {
		fprintf(stderr, "usage: %s TRACE [HEAP...]\n", argv[0]);
		return 2;
	}
	size_t count = trace_scan(file, &events);
	struct replay replay = replay_make(events, count);
	printf("%zu events; %zu calls, %zu blocks; %zu events about blocks older than the trace\n", count, replay.steps, replay.slots,
	       replay.unknown);
	for (const struct heap_ops *const *ops = HEAPS; *ops; ops++)
		if (wanted((*ops)->name, argc - 2, argv + 2))
			measure(*ops, &replay);
	replay_drop(&replay);
	free(events);
	fclose(file);
	return count == 0;
}
