// bench_malloc.c: five ways to use malloc, timed and weighed: run under LD_PRELOAD by tests/bench_malloc.py for each allocator to compare.
//
//    bench_malloc WORKLOAD OPERATIONS      one line:  ns an operation, resident KiB at the start, most resident KiB, most live KiB
//
// An operation is a malloc or a free. Blocks are written at their first and last byte, so that their pages are there. Nothing else here
// allocates: tables are static and touched before the start. The same random numbers for every allocator.
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SLOTS 200000u

static struct block {
	char *start;
	size_t bytes;
} slots[SLOTS];
static size_t live, live_most;
static long resident_first, resident_most; // KiB

struct random {
	uint64_t state;
};

static uint32_t draw(struct random *random, uint32_t below) // the cheapest that will do: its time counts
{
	random->state = random->state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)((random->state >> 33) * below >> 31);
}

// ---- memory

static long resident(void)
{
	static char text[8192];
	int file = open("/proc/self/status", O_RDONLY);
	ssize_t length = read(file, text, sizeof text - 1);

	close(file);
	text[length > 0 ? length : 0] = 0;
	char *line = strstr(text, "RssAnon:");
	return line ? strtol(line + 8, NULL, 10) : 0;
}

static void weigh(void)
{
	long now = resident();

	resident_most = now > resident_most ? now : resident_most;
}

static void count(size_t taken, size_t given)
{
	live += taken - given;
	live_most = live > live_most ? live : live_most;
}

// ---- blocks

static char *take(size_t bytes)
{
	char *block = malloc(bytes);

	if (!block) {
		fprintf(stderr, "bench_malloc: no memory for %zu bytes\n", bytes);
		exit(1);
	}
	block[0] = 1;
	block[bytes - 1] = 1;
	return block;
}

static void put(struct block *slot, size_t bytes)
{
	*slot = (struct block){ take(bytes), bytes };
	count(bytes, 0);
}

static void drop(struct block *slot)
{
	free(slot->start);
	count(0, slot->bytes);
	*slot = (struct block){ NULL, 0 };
}

// ---- the workloads

static void pairs(uint64_t operations)
{
	for (uint64_t i = 0; i < operations; i += 2) {
		char *volatile block = take(64);
		free(block);
	}
	live_most = 64;
	weigh();
}

// `blocks` live ones, each step replaces one at random; the sizes come from size().
static void replace(uint64_t operations, uint32_t blocks, size_t (*size)(struct random *random))
{
	struct random random = { 1 };

	for (uint32_t i = 0; i < blocks; i++)
		put(&slots[i], size(&random));
	for (uint64_t i = 0; i < operations; i += 2) {
		struct block *slot = &slots[draw(&random, blocks)];

		if (i % (operations / 16) == 0)
			weigh();
		drop(slot);
		put(slot, size(&random));
	}
	weigh();
}

static size_t size_random(struct random *random)
{
	return 16 + draw(random, 1009);
}

// Objects as a kernel has them, most of them of a few sizes: names, list nodes, directory entries, inodes, buffers, stacks.
static size_t size_kernel(struct random *random)
{
	static const struct {
		uint16_t bytes, share; // in thousandths
	} kinds[] = { { 32, 150 }, { 64, 220 },  { 96, 110 },  { 128, 120 }, { 192, 150 }, { 256, 80 },
		      { 576, 60 }, { 1024, 40 }, { 2048, 20 }, { 4096, 15 }, { 8192, 3 } };
	uint32_t at = draw(random, 1000);

	for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		if (at < kinds[i].share)
			return kinds[i].bytes;
		at -= kinds[i].share;
	}
	return 8 + draw(random, 200); // strings and odd ends
}

static void random_sizes(uint64_t operations)
{
	replace(operations, 10000, size_random);
}

static void kernel_mix(uint64_t operations)
{
	replace(operations, 20000, size_kernel);
}

// Grows to 64 MiB of live blocks and frees them in random order; then again with other sizes, which cannot use the first ones' places.
static void grow_and_release(uint64_t operations)
{
	struct random random = { 1 };

	for (uint64_t i = 0, round = 0; i < operations; round++) {
		uint32_t blocks = 0, least = round % 2 ? 300 : 16, range = round % 2 ? 1700 : 500;

		for (; live < (size_t)64 << 20 && blocks < SLOTS; blocks++)
			put(&slots[blocks], least + draw(&random, range));
		weigh();
		i += 2 * blocks;
		for (; blocks > 0; blocks--) {
			uint32_t chosen = draw(&random, blocks);

			drop(&slots[chosen]);
			slots[chosen] = slots[blocks - 1];
		}
	}
	weigh();
}

// Two threads: both allocate, then each frees what the other has allocated. They wait for each other asleep, so waiting costs no time.
#define BATCH 4096u
static char *batches[2][BATCH];
static pthread_barrier_t together;
static uint64_t rounds;

static void *exchange(void *number)
{
	unsigned self = (unsigned)(uintptr_t)number;
	struct random random = { self + 1 };

	for (uint64_t round = 0; round < rounds; round++) {
		for (unsigned i = 0; i < BATCH; i++)
			batches[self][i] = take(16 + draw(&random, 497));
		pthread_barrier_wait(&together);
		if (self == 0 && round % (rounds / 4 + 1) == 0)
			weigh();
		for (unsigned i = 0; i < BATCH; i++)
			free(batches[!self][i]);
		pthread_barrier_wait(&together);
	}
	return NULL;
}

static void two_threads(uint64_t operations)
{
	pthread_t other;

	rounds = operations / (4 * BATCH);
	pthread_barrier_init(&together, NULL, 2);
	if (pthread_create(&other, NULL, exchange, (void *)1)) {
		fprintf(stderr, "bench_malloc: no second thread\n");
		exit(1);
	}
	exchange((void *)0);
	pthread_join(other, NULL);
	live_most = 2 * BATCH * 264; // on the average
	weigh();
}

static const struct {
	const char *name;
	void (*run)(uint64_t operations);
} workloads[] = {
	{ "pairs", pairs },         { "random", random_sizes },     { "kernel", kernel_mix },
	{ "threads", two_threads }, { "growth", grow_and_release },
};

int main(int count_of, char **arguments)
{
	uint64_t operations = count_of == 3 ? strtoull(arguments[2], NULL, 10) : 0;
	struct timespec start, end;

	memset(slots, 1, sizeof slots); // its pages are there
	memset(slots, 0, sizeof slots);
	memset(batches, 1, sizeof batches);
	resident_first = resident();
	for (unsigned i = 0; operations >= 64 && i < sizeof workloads / sizeof *workloads; i++) {
		if (strcmp(workloads[i].name, arguments[1]) != 0)
			continue;
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
		workloads[i].run(operations);
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
		double ns = (double)(end.tv_sec - start.tv_sec) * 1e9 + (double)(end.tv_nsec - start.tv_nsec);
		printf("%.3f %ld %ld %zu\n", ns / (double)operations, resident_first, resident_most, live_most / 1024);
		return 0;
	}
	fprintf(stderr, "usage: bench_malloc pairs|random|kernel|threads|growth OPERATIONS (64 or more)\n");
	return 2;
}
