// main.c: runs the tests: usertests [-l] [-q] [-s SEED] [NAME...]
//
//      for each test:   count free pages and processes
//                       mkdir /ut; fork; the child goes there and runs the test
//                       wait; rmdir /ut; count again
//
// A test fails when its process says so or dies, and when afterwards a file or a process is left, a single page is missing, or a block of
// the kernel's heap is: then the places that asked for more than before are listed, as far as they are known (CHECK=1). What the kernel
// finishes a moment later (the last of an orphan, a commit) gets three seconds. With a kmalloc other than slab, whose arenas stay
// once they have grown, a test that lost pages may run once more: pages that are lost again are lost.

#include "user/usertests/test.h"

#define PATIENCE 30 // ticks

extern const struct test *const tests_start[], *const tests_end[];

struct census { // of the kernel's heap
	struct heapinfo info;
	struct heapplace places[HEAP_PLACES];
	int count;
};

static struct meminfo info;
static struct census before, after; // one run of a test
static struct psinfo processes[NPROC];

static int process_count(void)
{
	return ps(processes, NPROC);
}

static void clear_directory(const char *path)
{
	struct dirent entry;
	char name[MAXPATH];
	int file = open(path, O_RDONLY);

	while (read(file, &entry, sizeof(entry)) == sizeof(entry)) {
		struct stat st;

		if (entry.inum == 0 || strcmp(entry.name, ".") == 0 || strcmp(entry.name, "..") == 0)
			continue;
		snprintf(name, sizeof(name), "%s/", path);
		memmove(name + strlen(path) + 1, entry.name, DIRSIZ);
		name[strlen(path) + 1 + DIRSIZ] = '\0';
		if (stat(name, &st) == 0 && st.type == T_DIR)
			clear_directory(name);
		unlink(name);
	}
	close(file);
}

static bool run_child(const struct test *test)
{
	int status = -1, pid = fork();

	if (pid == 0) {
		if (mkdir("/ut") < 0 || chdir("/ut") < 0)
			FAIL("cannot make and enter /ut");
		for (int file = 3; file < NOFILE; file++)
			close(file);
		test->run();
		exit(0);
	}
	if (pid < 0 || wait(&status) != pid) {
		printf("\n  the test could not be started\n");
		return false;
	}
	if (status != 0)
		printf("  the test ended with status %d\n", status);
	return status == 0;
}

static bool clean_up(void)
{
	if (unlink("/ut") == 0)
		return true;
	clear_directory("/ut");
	unlink("/ut");
	return false;
}

static void take(struct census *census)
{
	census->count = heapinfo(&census->info, census->places, HEAP_PLACES);
}

// Pages that are still missing after a while; 0 as soon as there are none. As long it waits for blocks of the heap.
static uint64 missing_pages(uint64 pages)
{
	for (int ticks = 0; ticks < PATIENCE; ticks++) {
		sync(); // a commit under way holds pages
		meminfo(&info, MEMINFO_EXACT);
		take(&after);
		if (info.free_pages >= pages && after.info.blocks <= before.info.blocks)
			return 0;
		pause(1);
	}
	return info.free_pages < pages ? pages - info.free_pages : 0;
}

static uint64 bytes_before(const char *name)
{
	for (int i = 0; i < before.count; i++)
		if (strcmp(before.places[i].name, name) == 0)
			return before.places[i].bytes;
	return 0;
}

static bool same_heap(void)
{
	if (after.info.blocks <= before.info.blocks)
		return true;
	printf("\n  %lu blocks of the kernel's heap are lost:\n", after.info.blocks - before.info.blocks);
	for (int i = 0; i < after.count; i++) {
		const struct heapplace *place = &after.places[i];
		uint64 had = bytes_before(place->name);

		if (place->bytes > had)
			printf("  %lu bytes more than before, asked for by %s\n", place->bytes - had,
			       place->name[0] ? place->name : "(a kernel built with CHECK=1 knows)");
	}
	return false;
}

static bool run_once(const struct test *test, uint64 *lost)
{
	int running = process_count(), ticks = 0;
	bool good, clean;
	uint64 pages;

	meminfo(&info, MEMINFO_EXACT);
	pages = info.free_pages;
	take(&before);
	good = run_child(test);
	clean = clean_up();
	if (good && !clean)
		printf("\n  files are left behind\n");
	while (process_count() > running && ticks++ < PATIENCE)
		pause(1);
	if (process_count() > running)
		printf("\n  %d processes are left behind\n", process_count() - running);
	*lost = missing_pages(pages);
	return good && clean && process_count() <= running;
}

// The time register's steps in a millisecond.
static uint64 steps_per_ms(void)
{
	static uint64 steps;
	uint64 from;

	if (steps == 0) {
		pause(1); // to the edge of a tick
		from = r_time();
		pause(2);
		steps = (r_time() - from) / 200;
	}
	return steps;
}

static bool run(const struct test *test)
{
	uint64 lost, from, ms;
	bool good;

	printf("test %-24s ", test->name);
	from = r_time();
	good = run_once(test, &lost);
	if (good && lost > 0 && strcmp(info.heap, "slab") != 0)
		good = run_once(test, &lost);
	if (lost > 0)
		printf("\n  %lu pages are lost\n", lost);
	good = same_heap() && good && lost == 0;
	ms = (r_time() - from) / steps_per_ms();
	if (!good)
		printf("test %-24s ", test->name);
	printf("%s %3lu.%03lu s\n", good ? "ok    " : "FAILED", ms / 1000, ms % 1000);
	return good;
}

static bool wanted(const struct test *test, int count, char *names[])
{
	for (int i = 0; i < count; i++)
		if (strcmp(names[i], test->name) == 0)
			return true;
	return count == 0;
}

static void nothing(void)
{
}

// Processes up to the limit: the kernel keeps some records of its largest load.
static void crowd(void)
{
	int ends[2], pid;
	char byte;

	if (pipe(ends) < 0)
		return;
	while ((pid = fork()) > 0)
		;
	close(ends[1]);
	if (pid == 0) {
		read(ends[0], &byte, 1); // until all are there
		exit(0);
	}
	close(ends[0]);
	while (wait(0) >= 0)
		;
}

// What is there once and for all must not appear between two counts: everything on the way is touched first.
static void warm_up(void)
{
	static const struct test empty = { "", nothing, false };
	uint64 lost;

	crowd();
	memset(processes, 1, sizeof(processes));
	steps_per_ms();
	for (int i = 0; i < 2; i++)
		run_once(&empty, &lost);
}

// What the tests' random numbers begin with: the kernel's seed= repeats it, too.
static uint draw_seed(void)
{
	uint seed = 0;
	int file = open("/random", O_RDONLY);

	if (file >= 0)
		read(file, &seed, sizeof(seed));
	close(file);
	return seed;
}

static void list_tests(void)
{
	for (const struct test *const *test = tests_start; test < tests_end; test++)
		printf("%s%s\n", (*test)->name, (*test)->slow ? " (slow)" : "");
}

int main(int argc, char *argv[])
{
	int passed = 0, failed = 0, first = 1;
	bool quick = false;

	test_seed = draw_seed();
	for (; first < argc && argv[first][0] == '-'; first++) {
		if (strcmp(argv[first], "-l") == 0) {
			list_tests();
			return 0;
		}
		if (strcmp(argv[first], "-q") == 0)
			quick = true;
		else if (strcmp(argv[first], "-s") == 0 && first + 1 < argc)
			test_seed = (uint)atoi(argv[++first]);
		else
			die("usage: usertests [-l] [-q] [-s SEED] [NAME...]");
	}
	clean_up(); // of an earlier run that was cut short
	warm_up();
	for (const struct test *const *test = tests_start; test < tests_end; test++) {
		if (!wanted(*test, argc - first, argv + first) || (quick && (*test)->slow))
			continue;
		if (run(*test))
			passed++;
		else
			failed++;
	}
	if (passed + failed == 0)
		printf("there is no such test: usertests -l lists them\n");
	if (failed > 0)
		printf("the seed was %d: usertests -s %d\n", (int)test_seed, (int)test_seed);
	printf("usertests: %d passed, %d failed\n", passed, failed);
	return failed > 0 || passed == 0;
}
