// malloc_check.c: what a program may expect of malloc and its family, tried on whichever malloc it runs with: see tests/test_malloc.py.
//
//    malloc_check CASE      nothing and status 0 when all is as it should be; else what was wrong
//
// The cases that are mistakes (double, foreign, inside) must end the program, saying why: there status 0 is the failure.
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "random.h"

#define CHECK(condition)                                                             \
	do {                                                                         \
		if (!(condition)) {                                                  \
			fprintf(stderr, "line %d: not so: %s\n", __LINE__, #condition); \
			exit(1);                                                     \
		}                                                                    \
	} while (0)

static uint32_t draw(uint64_t *state, uint32_t below)
{
	return (uint32_t)(random_step(state) % below);
}

// ---- the interface

static bool is_filled(const unsigned char *block, unsigned char with, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		if (block[i] != with)
			return false;
	return true;
}

static void sizes_and_places(void)
{
	for (size_t bytes = 0; bytes < (size_t)40 << 20; bytes = bytes * 9 / 8 + 1) {
		unsigned char *block = malloc(bytes);

		CHECK(block && (uintptr_t)block % 16 == 0 && malloc_usable_size(block) >= bytes);
		memset(block, 0x5a, malloc_usable_size(block));
		for (size_t other = bytes / 3; other <= bytes * 3 && other < (size_t)64 << 20; other += bytes + 1) {
			block = realloc(block, other + 1);
			CHECK(block && malloc_usable_size(block) >= other + 1);
			CHECK(is_filled(block, 0x5a, other + 1 < bytes / 3 ? other + 1 : bytes / 3));
			memset(block, 0x5a, other + 1);
		}
		free(block);
		block = calloc(3, bytes);
		CHECK(block && is_filled(block, 0, 3 * bytes));
		memset(block, 0x5a, 3 * bytes);
		free(block);
	}
}

static void alignments(void)
{
	for (size_t align = sizeof(void *); align <= (size_t)16 << 20; align *= 2) {
		for (size_t bytes = 1; bytes < (size_t)12 << 20; bytes = bytes * 5 + 3) {
			void *block = NULL, *other = aligned_alloc(align, bytes);

			CHECK(posix_memalign(&block, align, bytes) == 0 && (uintptr_t)block % align == 0 && (uintptr_t)other % align == 0);
			CHECK(block && other && malloc_usable_size(block) >= bytes);
			memset(block, 1, bytes);
			memset(other, 2, bytes);
			CHECK(is_filled(block, 1, bytes));
			free(block);
			other = realloc(other, bytes * 2);
			CHECK(other && is_filled(other, 2, bytes));
			free(other);
		}
	}
	void *block = NULL;
	CHECK(posix_memalign(&block, 24, 1) == EINVAL && posix_memalign(&block, 4, 1) == EINVAL);
	CHECK((uintptr_t)valloc(1) % 4096 == 0 && malloc_usable_size(pvalloc(1)) >= 4096);
}

static void refusals(void)
{
	volatile size_t huge = SIZE_MAX, half = SIZE_MAX / 2;
	void *block = malloc(100);

	errno = 0;
	CHECK(!malloc(huge) && errno == ENOMEM);
	errno = 0;
	CHECK(!malloc(half) && errno == ENOMEM);
	errno = 0;
	CHECK(!calloc(half, 3) && errno == ENOMEM);
	errno = 0;
	CHECK(!realloc(block, huge) && errno == ENOMEM);
	CHECK(!reallocarray(block, half, 4) && !aligned_alloc(4096, huge));
	free(block);
	free(NULL);
	CHECK(malloc_usable_size(NULL) == 0);
}

// What was freed is there for others, of any size, and does not stay resident.
static void gives_back(void)
{
	static char *blocks[60000];
	const size_t sizes[] = { 2000, 100, 700, 5000 };

	for (unsigned round = 0; round < 4; round++) {
		for (unsigned i = 0; i < 60000; i++)
			CHECK((blocks[i] = malloc(sizes[round])) && memset(blocks[i], 1, sizes[round]));
		for (unsigned i = 0; i < 60000; i++)
			free(blocks[i]);
	}
	malloc_trim(0);
	long pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");
	CHECK(file && fscanf(file, "%*d %ld", &pages) == 1);
	fclose(file);
	CHECK(pages < 40L << 20 >> 12);
}

// ---- threads

#define SHARED 256u
static _Atomic(unsigned char *) shared[SHARED];
static atomic_bool stop;

static void release(unsigned char *block)
{
	uint32_t bytes;

	if (!block)
		return;
	memcpy(&bytes, block, sizeof bytes);
	CHECK(is_filled(block + sizeof bytes, (unsigned char)bytes, bytes - sizeof bytes));
	free(block);
}

static void step(uint64_t *state)
{
	uint32_t bytes = 4 + draw(state, draw(state, 64) ? 700 : 30000);
	unsigned char *block = malloc(bytes);

	CHECK(block);
	memset(block, (unsigned char)bytes, bytes);
	memcpy(block, &bytes, sizeof bytes);
	release(atomic_exchange(&shared[draw(state, SHARED)], block));
}

static void *juggle(void *argument)
{
	uint64_t state = (uintptr_t)argument;

	for (unsigned i = 0; i < 20000 && !atomic_load(&stop); i++)
		step(&state);
	return NULL;
}

static void *juggle_on(void *argument)
{
	uint64_t state = (uintptr_t)argument;

	while (!atomic_load(&stop))
		step(&state);
	return NULL;
}

// More threads at once than libquire.so has numbers, and many more one after the other.
static void many_threads(void)
{
	enum { AT_ONCE = 70 };
	pthread_t threads[AT_ONCE];

	for (unsigned round = 0; round < 3; round++) {
		for (uintptr_t i = 0; i < AT_ONCE; i++)
			CHECK(pthread_create(&threads[i], NULL, juggle, (void *)(i + 1)) == 0);
		for (unsigned i = 0; i < AT_ONCE; i++)
			pthread_join(threads[i], NULL);
	}
}

// Takes and gives back in no time, and knows a block that somebody else has as well.
static void *hurry(void *argument)
{
	while (!atomic_load(&stop)) {
		void *volatile *one = malloc(64), *volatile *two = malloc(64);

		CHECK(one && two && one != two);
		*one = *two = argument;
		CHECK(*one == argument && *two == argument);
		free((void *)one);
		free((void *)two);
	}
	return NULL;
}

// What threads keep for themselves is taken from them again and again while they use it.
static void trims(void)
{
	enum { THREADS = 2, TRIMS = 5000 };
	pthread_t threads[THREADS];

	for (uintptr_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, hurry, (void *)(i + 1)) == 0);
	for (unsigned i = 0; i < TRIMS; i++)
		malloc_trim(0);
	atomic_store(&stop, true);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

// While other threads are at work, a child must be able to allocate, and find everything whole.
static void forks(void)
{
	enum { THREADS = 4, FORKS = 60 };
	pthread_t threads[THREADS];
	uint64_t state = 99;

	for (uintptr_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, juggle_on, (void *)(i + 1)) == 0);
	for (unsigned i = 0; i < FORKS; i++) {
		pid_t child = fork();

		CHECK(child >= 0);
		if (child == 0) {
			alarm(300); // a child that waits for a lock which nobody will release
			for (unsigned n = 0; n < SHARED; n++)
				atomic_store(&shared[n], NULL); // may be half written
			for (unsigned n = 0; n < 3000; n++)
				step(&state);
			pthread_t thread;
			CHECK(pthread_create(&thread, NULL, juggle, (void *)7) == 0);
			pthread_join(thread, NULL);
			_exit(0);
		}
		int status;
		CHECK(waitpid(child, &status, 0) == child && status == 0);
		step(&state);
	}
	atomic_store(&stop, true);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

// Two threads fork at the same time.
static void *forker(void *argument)
{
	uint64_t state = (uintptr_t)argument;

	for (unsigned i = 0; i < 40; i++) {
		pid_t child = fork();
		int status;

		if (child == 0) {
			alarm(300);
			for (unsigned n = 0; n < 100; n++)
				free(malloc(draw(&state, 5000)));
			_exit(0);
		}
		CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
	}
	return NULL;
}

static void forks_at_once(void)
{
	pthread_t threads[3];

	for (uintptr_t i = 0; i < 3; i++)
		CHECK(pthread_create(&threads[i], NULL, forker, (void *)(i + 1)) == 0);
	for (unsigned i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
}

// ---- no memory, and mistakes

static void limited(void)
{
	struct rlimit limit = { (rlim_t)300 << 20, (rlim_t)300 << 20 };
	static void *blocks[4096];
	unsigned count = 0;

	CHECK(setrlimit(RLIMIT_DATA, &limit) == 0);
	while (count < 4096 && (blocks[count] = malloc(1 << 20)))
		memset(blocks[count++], 1, 1 << 20);
	CHECK(count > 100 && count < 400 && errno == ENOMEM);
	for (unsigned i = 0; i < count; i++)
		free(blocks[i]);
	CHECK((blocks[0] = malloc(3 << 20)));
	free(blocks[0]);
}

static void *volatile victim;

static void double_free(void)
{
	victim = malloc(100);
	free(victim);
	free(victim);
}

static void foreign_free(void)
{
	static char mine[4096];

	victim = malloc(1);
	free(victim);
	victim = mine + 64;
	free(victim);
}

static void inside_free(void)
{
	victim = malloc(1000);
	victim = (char *)victim + 16;
	free(victim);
}

static const struct {
	const char *name;
	void (*run)(void);
} cases[] = {
	{ "sizes", sizes_and_places }, { "alignments", alignments }, { "refusals", refusals },       { "gives-back", gives_back },
	{ "threads", many_threads },   { "trims", trims },           { "forks", forks },       { "forks-at-once", forks_at_once },
	{ "limited", limited },        { "double", double_free },    { "foreign", foreign_free }, { "inside", inside_free },
};

int main(int count, char **arguments)
{
	for (unsigned i = 0; count == 2 && i < sizeof cases / sizeof *cases; i++) {
		if (strcmp(cases[i].name, arguments[1]) == 0) {
			cases[i].run();
			return 0;
		}
	}
	fprintf(stderr, "usage: malloc_check CASE\n");
	return 2;
}
