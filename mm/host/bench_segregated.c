// bench_segregated.c: instructions of each call into the segregated heap, one by one: the mean, and above all the worst.
//
//    bench_segregated CALLS      prints a line for each game: calls counted, their mean and worst; of alloc, alloc of an alignment of its
//                                own, free and resize. In the first game about 8 * CALLS are counted, in the others with random calls CALLS
//
//    child    makes calls, most of them unseen; before one that counts it stops itself      shared->counting is 1 from here ...
//    parent   lets it go on by single instructions (ptrace) while `counting` is 1, and then at full speed         ... to the return
//
// What the frame around a call costs is measured with functions that do nothing, which are one instruction, and taken off. Calls in which
// the heap reserves a piece of memory are not counted: they take as long as whoever gives it. Built as the kernel is (-O2, MM_CHECK=0).
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../segregated.h"
#include "random.h"

#define ARENA    ((size_t)64 << 10)
#define MEMORY   ((size_t)20 << 30) // addresses; few of them are ever touched
#define LIVE_MAX 100000u

enum call { ALLOC, ALIGNED, FREE, RESIZE, CALLS };

static struct shared { // between child and parent
	volatile unsigned counting, reserved;
	volatile enum call call;
	volatile unsigned game; // in which the call is made
} *shared;

static const char *const GAMES[] = { "nothing", "16 blocks", "4000 blocks", "100000 blocks", "chosen" };
#define COUNT(array) (sizeof(array) / sizeof *(array))

// ---- the port

static char *memory;
static uint64_t state = 1;

_Noreturn void port_panic(const char *rule, uintptr_t where)
{
	fprintf(stderr, "bench_segregated: %s (at %#lx)\n", rule, (unsigned long)where);
	abort();
}

void *port_reserve(size_t bytes)
{
	static size_t used = ARENA;

	shared->reserved = 1;
	if (used + bytes > MEMORY / 2)
		return NULL;
	used += bytes;
	return memory + used - bytes;
}

void port_release(void *start, size_t bytes)
{
	(void)start, (void)bytes;
}

static uint64_t below(uint64_t limit)
{
	return random_step(&state) % limit;
}

// ---- the child

static struct heap *heap;
static void *block[LIVE_MAX];

struct request {
	enum call call;
	void *block;
	size_t bytes, align;
};

static __attribute__((noinline)) bool perform(const struct heap_ops *ops, struct request *request)
{
	bool done = true;

	shared->counting = 1;
	switch (request->call) {
	case ALLOC:
	case ALIGNED:
		request->block = ops->alloc(heap, request->bytes, request->align);
		break;
	case FREE:
		ops->free(heap, request->block);
		break;
	default:
		done = ops->resize(heap, request->block, request->bytes);
	}
	shared->counting = 0;
	return done;
}

static void *perform_counted(const struct heap_ops *ops, struct request request, bool counted)
{
	if (counted) {
		shared->call = request.call;
		shared->reserved = 0;
		kill(getpid(), SIGTRAP);
	}
	perform(ops, &request);
	if (ops == &heap_segregated && !request.block)
		port_panic("no memory", request.bytes);
	return request.block;
}

static void *take(size_t bytes, size_t align, bool counted)
{
	return perform_counted(&heap_segregated, (struct request){ align > HEAP_ALIGN ? ALIGNED : ALLOC, NULL, bytes, align }, counted);
}

static void give(void *old, bool counted)
{
	perform_counted(&heap_segregated, (struct request){ FREE, old, 0, 0 }, counted);
}

static size_t any_size(void) // all lengths of numbers alike; large ones are rare, or the memory would not do
{
	return 1 + below((size_t)16 << below(below(64) ? 8 : 16));
}

static size_t any_align(void)
{
	return below(8) ? HEAP_ALIGN : (size_t)HEAP_ALIGN << below(9);
}

// One of `live` blocks goes and another comes, or it changes its size where it is.
static void replace(size_t live, bool counted)
{
	void **at = &block[below(live)];

	if (below(4) == 0) {
		perform_counted(&heap_segregated, (struct request){ RESIZE, *at, any_size(), 0 }, counted);
		return;
	}
	give(*at, counted);
	*at = take(any_size(), any_align(), counted);
}

static void play(unsigned game, size_t live, unsigned calls)
{
	shared->game = game;
	for (size_t i = 0; i < live; i++)
		block[i] = take(any_size(), any_align(), false);
	for (size_t i = 0; i < 4 * live; i++)
		replace(live, false);
	for (unsigned i = 0; i < 4 * calls; i++)
		replace(live, i % 8 == 0 || live < 100); // where there are few, each is another situation
	for (size_t i = 0; i < live; i++)
		give(block[i], false);
}

// All memory is one piece. A block between two free chunks, each the only one of its class: free takes both out and puts one in. Alloc then
// finds one far from where it looks first, leaves its class empty, and puts the rest, or two of them, into others.
static void choose(unsigned game)
{
	static const size_t sizes[] = { 16, 1000, 20000, (size_t)1 << 20, (size_t)3 << 29 };

	shared->game = game;
	heap = heap_segregated.create(memory + MEMORY / 2, MEMORY / 2);
	for (unsigned i = 0; i < COUNT(sizes) * COUNT(sizes) * COUNT(sizes); i++) {
		size_t low = sizes[i % COUNT(sizes)], middle = sizes[i / COUNT(sizes) % COUNT(sizes)];
		size_t high = sizes[i / COUNT(sizes) / COUNT(sizes)];
		void *part[] = { take(low, 16, false), take(middle, 16, false), take(high, 16, false), take(16, 16, false) };

		give(part[0], true);
		give(part[2], true);
		give(part[1], true);
		part[0] = take(low + 1, 256, true);
		part[1] = take(middle, 16, true);
		perform_counted(&heap_segregated, (struct request){ RESIZE, part[0], low / 2 + 1, 0 }, true);
		perform_counted(&heap_segregated, (struct request){ RESIZE, part[0], low, 0 }, true);
		give(part[0], true);
		give(part[1], true);
		give(part[3], true);
	}
}

static void *no_alloc(struct heap *base, size_t bytes, size_t align)
{
	(void)base, (void)bytes, (void)align;
	return NULL;
}

static void no_free(struct heap *base, void *old)
{
	(void)base, (void)old;
}

static bool no_resize(struct heap *base, void *old, size_t bytes)
{
	(void)base, (void)old, (void)bytes;
	return false;
}

static void child(unsigned calls)
{
	static const struct heap_ops nothing = { .alloc = no_alloc, .free = no_free, .resize = no_resize };

	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
		exit(3);
	for (unsigned call = 0; call < CALLS; call++)
		perform_counted(&nothing, (struct request){ (enum call)call, NULL, 1, HEAP_ALIGN }, true);
	heap = heap_segregated.create(memory, ARENA);
	play(1, 16, calls);
	play(2, 4000, calls);
	play(3, LIVE_MAX, calls);
	choose(4);
	exit(0);
}

// ---- the parent

static struct figure {
	unsigned calls, sum, worst;
} figures[COUNT(GAMES)][CALLS];

// The child goes on to its next stop, by one instruction or to where it stops itself; false: it has ended.
static bool go_on(pid_t pid, int how)
{
	int status;

	if (ptrace(how, pid, NULL, NULL) || waitpid(pid, &status, 0) != pid)
		exit(1);
	if (!WIFSTOPPED(status) && !(WIFEXITED(status) && WEXITSTATUS(status) == 0))
		exit(1);
	return WIFSTOPPED(status);
}

static void count_call(pid_t pid)
{
	struct figure *figure = &figures[shared->game][shared->call];
	unsigned steps = 0;

	while (!shared->counting)
		go_on(pid, PTRACE_SINGLESTEP);
	while (shared->counting) {
		go_on(pid, PTRACE_SINGLESTEP);
		steps++;
	}
	if (shared->reserved)
		return;
	if (shared->game)
		steps -= figures[0][shared->call].worst - 1;
	figure->calls++;
	figure->sum += steps;
	figure->worst = steps > figure->worst ? steps : figure->worst;
}

int main(int argc, char **argv)
{
	unsigned calls = argc == 2 ? (unsigned)atoi(argv[1]) : 0;
	int status;

	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (!calls || (void *)shared == MAP_FAILED || (void *)memory == MAP_FAILED) {
		fprintf(stderr, "usage: bench_segregated CALLS\n");
		return 2;
	}
	pid_t pid = fork();
	if (pid == 0)
		child(calls);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status)) {
		fprintf(stderr, "bench_segregated: this system does not let a process be traced\n");
		return 3;
	}
	do
		count_call(pid);
	while (go_on(pid, PTRACE_CONT));
	for (unsigned game = 1; game < COUNT(GAMES); game++) {
		printf("%-13s", GAMES[game]);
		for (const struct figure *figure = figures[game]; figure < figures[game] + CALLS; figure++)
			printf(" %6u %6.1f %4u", figure->calls, figure->calls ? (double)figure->sum / figure->calls : 0, figure->worst);
		puts("");
	}
	return 0;
}
