// main.c: runs the host tests that registered themselves, each in a process of its own with a deadline.
//
//     run [--list] [--seed N] [--timeout SECONDS] [--here] [FILTER ...]
//
//     parent --fork--> child runs one test --exit status--> parent prints `ok NAME` or `not ok NAME: file:line: reason, seed N`
//        `------------- one shared page: the reason ----------'
//
// FILTER is a part of a test's name, or a pattern with * and ?. --seed 0 draws a seed from the clock. --here runs without a
// child process, for a debugger. The last line is `N passed, N failed`; the exit status is 1 when a test failed or none matched.
#include <fnmatch.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "random.h"
#include "test.h"

static struct test *tests, **tests_end = &tests;
static uint64_t seed = 1;
static unsigned timeout = 120;
static bool here;
static uint64_t stream;
static char *reason; // shared with the child, REASON_BYTES
#define REASON_BYTES 1024

void test_register(struct test *test)
{
	*tests_end = test;
	tests_end = &test->next;
}

uint64_t random_next(void)
{
	return random_step(&stream);
}

uint64_t random_below(uint64_t limit)
{
	return random_next() % limit;
}

static void stream_start(const char *name)
{
	stream = seed;
	while (*name)
		stream = (stream ^ (unsigned char)*name++) * 0x100000001b3;
}

static _Noreturn void give_up(void)
{
	if (here)
		abort();
	_exit(1);
}

void test_fail(const char *file, int line, const char *format, ...)
{
	int used = snprintf(reason, REASON_BYTES, "%s:%d: ", file, line);
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(reason + used, REASON_BYTES - (size_t)used, format, arguments);
	va_end(arguments);
	if (here)
		fprintf(stderr, "%s\n", reason);
	give_up();
}

static void report_panic(const char *rule, uintptr_t where)
{
	snprintf(reason, REASON_BYTES, "panic: %s (at %#lx)", rule, (unsigned long)where);
}

static bool matches(const char *name, int count, char **filters)
{
	for (int i = 0; i < count; i++)
		if (strstr(name, filters[i]) || fnmatch(filters[i], name, 0) == 0)
			return true;
	return count == 0;
}

// Says in `reason` how a child ended, unless it did so itself.
static bool judge(int status)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return true;
	if (reason[0] == 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		snprintf(reason, REASON_BYTES, "took longer than %u seconds", timeout);
	else if (reason[0] == 0 && WIFSIGNALED(status))
		snprintf(reason, REASON_BYTES, "killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
	else if (reason[0] == 0)
		snprintf(reason, REASON_BYTES, "exit status %d; see the report above", WEXITSTATUS(status));
	return false;
}

static bool run(const struct test *test)
{
	int status = 0;
	reason[0] = 0;
	stream_start(test->name);
	fflush(stdout);
	pid_t child = here ? 0 : fork();
	if (child < 0) {
		perror("fork");
		exit(2);
	}
	if (child == 0) {
		if (!here)
			alarm(timeout);
		test->run();
		fflush(stdout);
		if (!here)
			_exit(0);
	} else if (waitpid(child, &status, 0) != child) {
		perror("waitpid");
		exit(2);
	}
	bool good = judge(status);
	if (good)
		printf("ok %s\n", test->name);
	else
		printf("not ok %s: %s, seed %llu\n", test->name, reason, (unsigned long long)seed);
	return good;
}

static _Noreturn void usage(const char *program)
{
	fprintf(stderr, "usage: %s [--list] [--seed N] [--timeout SECONDS] [--here] [FILTER ...]\n", program);
	exit(2);
}

int main(int argc, char **argv)
{
	bool list = false;
	int at = 1;
	for (; at < argc && strncmp(argv[at], "--", 2) == 0; at++) {
		if (strcmp(argv[at], "--list") == 0)
			list = true;
		else if (strcmp(argv[at], "--here") == 0)
			here = true;
		else if (strcmp(argv[at], "--seed") == 0 && at + 1 < argc)
			seed = strtoull(argv[++at], NULL, 0);
		else if (strcmp(argv[at], "--timeout") == 0 && at + 1 < argc)
			timeout = (unsigned)strtoul(argv[++at], NULL, 0);
		else
			usage(argv[0]);
	}
	if (seed == 0)
		seed = (uint64_t)time(NULL) << 20 ^ (uint64_t)getpid();
	reason = mmap(NULL, REASON_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (reason == MAP_FAILED) {
		perror("mmap");
		return 2;
	}
	host_panic_report = report_panic;
	unsigned passed = 0, failed = 0;
	for (struct test *test = tests; test; test = test->next) {
		if (!matches(test->name, argc - at, argv + at))
			continue;
		if (list)
			printf("%s\n", test->name);
		else if (run(test))
			passed++;
		else
			failed++;
	}
	if (list)
		return 0;
	printf("%u passed, %u failed\n", passed, failed);
	return failed > 0 || passed == 0;
}
