// bench.c: what basic operations cost, in instructions and in time, as a program sees them.
//
//      bench [-t] [NAME...]      one line each:  bench NAME N instructions, T ns      with -t: without the instructions
//
// It reads the counters instret and time in user mode and uses only calls that xv6 has: the same file also measures xv6, once that kernel
// lets user mode read counters (mcounteren and scounteren = 7; else the first read traps and the program is killed). It prints the
// median of several rounds: a timer tick inside a round does not count. Instructions mean something only with `-icount shift=0` on one
// hart: else QEMU counts the host's nanoseconds. There they include the instructions' worth of time in which the hart had nothing to do.

#include "kernel/types.h"
#include "kernel/fcntl.h"
#include "user/user.h"

#define ROUNDS     9
#define PAGE       4096
#define BIG        (4 << 20)

static uint64 instructions(void)
{
	uint64 value;
	__asm__ volatile("rdinstret %0" : "=r"(value));
	return value;
}

static uint64 now(void)
{
	uint64 value;
	__asm__ volatile("rdtime %0" : "=r"(value));
	return value;
}

static void must(int good, const char *what)
{
	if (!good) {
		fprintf(2, "bench: %s failed\n", what);
		exit(1);
	}
}

static void bench_getpid(int count)
{
	while (count-- > 0)
		getpid();
}

static void bench_fork(int count)
{
	int status;

	while (count-- > 0) {
		int pid = fork();

		must(pid >= 0, "fork");
		if (pid == 0)
			exit(0);
		must(wait(&status) == pid && status == 0, "wait");
	}
}

static void bench_exec(int count)
{
	static char *arguments[] = { "bench", "-", 0 }; // with "-" the program ends at once
	int status;

	while (count-- > 0) {
		int pid = fork();

		must(pid >= 0, "fork");
		if (pid == 0) {
			exec("/bench", arguments);
			exit(1);
		}
		must(wait(&status) == pid && status == 0, "exec");
	}
}

static void bench_page(int count)
{
	while (count-- > 0) {
		char *page = sbrk(PAGE);

		must(page != (char *)-1, "sbrk");
		*(volatile char *)page = 1;
		sbrk(-PAGE);
	}
}

static void touch_big_heap(void)
{
	char *heap = sbrk(BIG);

	must(heap != (char *)-1, "sbrk");
	for (int i = 0; i < BIG; i += PAGE)
		heap[i] = 1;
}

static void release_big_heap(void)
{
	sbrk(-BIG);
}

static int to_child[2], to_parent[2];

static void bench_pipe(int count)
{
	char byte = 'x';

	while (count-- > 0) {
		must(write(to_child[1], &byte, 1) == 1, "write");
		must(read(to_parent[0], &byte, 1) == 1, "read");
	}
}

static void start_echo(void)
{
	char byte;

	must(pipe(to_child) == 0 && pipe(to_parent) == 0, "pipe");
	if (fork() == 0) {
		close(to_child[1]);
		while (read(to_child[0], &byte, 1) == 1)
			write(to_parent[1], &byte, 1);
		exit(0);
	}
}

static void stop_echo(void)
{
	for (int i = 0; i < 2; i++) {
		close(to_child[i]);
		close(to_parent[i]);
	}
	wait(0);
}

static int file;

static void bench_write(int count)
{
	static char page[PAGE];

	while (count-- > 0)
		must(write(file, page, PAGE) == PAGE, "write");
}

static void open_file(void)
{
	file = open("bench.tmp", O_RDWR | O_CREATE);
	must(file >= 0, "open");
}

static void close_file(void)
{
	close(file);
	unlink("bench.tmp");
}

static void bench_read(int count)
{
	static char page[PAGE];

	while (count-- > 0) {
		int again = open("bench", O_RDONLY);

		must(again >= 0 && read(again, page, PAGE) == PAGE, "read");
		close(again);
	}
}

static const struct bench {
	const char *name;
	void (*run)(int count);
	int count; // operations in a round
	void (*before)(void);
	void (*after)(void);
} benches[] = {
	{ "getpid", bench_getpid, 1000, 0, 0 },
	{ "fork+exit+wait", bench_fork, 10, 0, 0 },
	{ "fork+exec+wait", bench_exec, 5, 0, 0 },
	{ "sbrk+touch+release", bench_page, 100, 0, 0 },
	{ "fork+exit+wait, 4 MiB touched", bench_fork, 10, touch_big_heap, release_big_heap },
	{ "pipe round trip", bench_pipe, 50, start_echo, stop_echo },
	{ "4 KiB file write", bench_write, 8, open_file, close_file },
	{ "open+4 KiB read+close", bench_read, 20, 0, 0 },
};

static uint64 ticks_per_second;
static int times_only;

// The time register's speed: how far it gets in two of uptime's ticks, each a tenth of a second.
static void calibrate(void)
{
	int start = uptime(), from;
	uint64 begin;

	while ((from = uptime()) == start)
		;
	begin = now();
	while (uptime() < from + 2)
		;
	ticks_per_second = (now() - begin) * 5;
}

static uint64 median(uint64 *values)
{
	for (int i = 1; i < ROUNDS; i++)
		for (int k = i; k > 0 && values[k] < values[k - 1]; k--) {
			uint64 swap = values[k];

			values[k] = values[k - 1];
			values[k - 1] = swap;
		}
	return values[ROUNDS / 2];
}

static void measure(const struct bench *bench)
{
	uint64 counts[ROUNDS], times[ROUNDS], from, begin;

	if (bench->before)
		bench->before();
	bench->run(1); // what happens once only, such as loading a program
	for (int i = 0; i < ROUNDS; i++) {
		begin = now();
		from = instructions();
		bench->run(bench->count);
		counts[i] = instructions() - from;
		times[i] = now() - begin;
	}
	if (bench->after)
		bench->after();
	printf("bench %s ", bench->name);
	if (!times_only)
		printf("%d instructions, ", (int)(median(counts) / bench->count));
	printf("%d ns\n", (int)(median(times) * 1000000000UL / ticks_per_second / bench->count));
}

int main(int argc, char *argv[])
{
	int first = 1;

	if (argc == 2 && strcmp(argv[1], "-") == 0)
		exit(0);
	if (argc > 1 && strcmp(argv[1], "-t") == 0)
		first = 2;
	times_only = first == 2;
	calibrate();
	for (uint i = 0; i < sizeof(benches) / sizeof(benches[0]); i++) {
		int wanted = argc == first;

		for (int k = first; k < argc; k++)
			wanted |= strcmp(argv[k], benches[i].name) == 0;
		if (wanted)
			measure(&benches[i]);
	}
	exit(0);
}
