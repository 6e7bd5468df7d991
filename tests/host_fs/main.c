// main.c: tests of the file system on the host: main MKFS [SEED [WORD]]. Prints `ok` or `not ok` for each (whose name contains WORD), and
// `N passed, N failed` at the end.
//
// Each test runs kernel/fs in processes of its own, over an image that the real mkfs made.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake.h"
#include "kernel/fcntl.h"
#include "kernel/fs.h"
#include "kernel/fs/file.h"
#include "tests.h"

typedef void test_body(unsigned char *image, uint32_t blocks, uint64_t number);

static const char *mkfs, *word = "";
static uint64_t seed;
static unsigned passed, failed;

static unsigned char *new_image(uint32_t blocks)
{
	char path[] = "/tmp/quire-host-fs-XXXXXX", command[600];
	int fd = mkstemp(path);
	close(fd);
	snprintf(command, sizeof command, "%s %s %u", mkfs, path, blocks);
	unsigned char *image = shared_memory((size_t)blocks * BLOCK_BYTES);
	FILE *file = system(command) == 0 ? fopen(path, "rb") : NULL;
	if (!file || fread(image, BLOCK_BYTES, blocks, file) != blocks) {
		printf("cannot make an image with %s\n", command);
		exit(1);
	}
	fclose(file);
	unlink(path);
	return image;
}

static void drop_image(unsigned char *image, uint32_t blocks)
{
	shared_free(image, (size_t)blocks * BLOCK_BYTES);
}

static void report(const char *name, bool good, const char *detail)
{
	printf("%s %s%s%s (seed %llu)\n", good ? "ok" : "not ok", name, *detail ? ": " : "", detail, (unsigned long long)seed);
	fflush(stdout);
	passed += good;
	failed += !good;
}

static void forget_trace(void)
{
	trace->events = trace->marks = 0;
	memset(trace->states, 0, sizeof trace->states);
	trace->finished = false;
}

// Runs the function in a process of its own. True: it came to its end.
static bool in_process(test_body *run, unsigned char *image, uint32_t blocks, uint64_t number)
{
	int status = -1;
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		alarm(120);
		run(image, blocks, number);
		fflush(stdout);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	if (status != 0)
		printf("the file system's process ended with %s %d\n", WIFSIGNALED(status) ? "signal" : "status",
		       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	return status == 0;
}

static void start(unsigned char *image, uint32_t blocks)
{
	world_start(image, blocks, 0);
	fs_start();
}

static int put(struct file *file, const void *bytes, int count)
{
	return file_write(file, (struct memory){ false, (uintptr_t)bytes }, count);
}

static void require(bool good, const char *what)
{
	if (!good) {
		printf("expected: %s\n", what);
		fflush(stdout);
		abort();
	}
}

// --- crashes -------------------------------------------------------------------------------------------------------------------------

static void one_worker(unsigned char *image, uint32_t blocks, uint64_t number)
{
	crash_workload(image, blocks, 1, 400, number);
}

static void three_workers(unsigned char *image, uint32_t blocks, uint64_t number)
{
	crash_workload(image, blocks, 3, 150, number);
}

static void test_crashes(const char *name, test_body *run, uint32_t blocks, uint64_t number)
{
	if (!strstr(name, word))
		return;
	char detail[100] = "";
	unsigned char *before = new_image(blocks), *image = new_image(blocks);
	memcpy(image, before, (size_t)blocks * BLOCK_BYTES);
	forget_trace();
	uint32_t wrecks = in_process(run, image, blocks, number) && trace->finished ? crash_judge(before, blocks, number) : 0;
	snprintf(detail, sizeof detail, "%u wrecks of %u disk events", wrecks, trace->events);
	report(name, wrecks > 0, detail);
	drop_image(before, blocks);
	drop_image(image, blocks);
}

// --- limits --------------------------------------------------------------------------------------------------------------------------

static int fill(const char *path)
{
	static char block[BLOCK_BYTES];
	struct file *file = file_open(path, O_CREATE | O_RDWR | O_TRUNC);
	int count = 0;
	require(file, "a file can be made");
	while (put(file, block, BLOCK_BYTES) == BLOCK_BYTES)
		count++;
	file_close(file);
	return count;
}

static void disk_full(unsigned char *image, uint32_t blocks, uint64_t number)
{
	(void)number;
	start(image, blocks);
	int first = fill("/one");
	require(first > (int)blocks / 2, "most of the disk can be filled");
	require(fs_mkdir("/d") == -1, "mkdir fails on a full disk");
	struct file *file = file_open("/two", O_CREATE | O_RDWR);
	require(file && put(file, "x", 1) == -1, "a new file is there, but has no room");
	file_close(file);
	require(fs_unlink("/two") == 0 && fs_unlink("/one") == 0, "both can be removed");
	for (int i = 0; i < 3; i++) {
		require(fill("/again") == first, "the same room is there again");
		require(fs_unlink("/again") == 0, "it can be removed");
	}
	fs_sync();
}

static void largest_file(unsigned char *image, uint32_t blocks, uint64_t number)
{
	(void)number;
	start(image, blocks);
	for (int i = 0; i < 2; i++) {
		require(fill("/one") == (int)FILE_BLOCKS, "a file can have FILE_BLOCKS blocks");
		require(fill("/two") < 1000, "a second one fills the disk");
		struct file *file = file_open("/one", i ? O_RDWR | O_TRUNC : O_RDWR);
		require(file && put(file, "x", 1) == 1, "it can be written to");
		file_close(file);
		require(fs_unlink("/two") == 0 && (i == 0 || fs_unlink("/one") == 0), "they can be removed");
	}
	fs_sync();
}

static void inodes_full(unsigned char *image, uint32_t blocks, uint64_t number)
{
	char path[16];
	unsigned counts[2];
	(void)number;
	start(image, blocks);
	for (unsigned round = 0; round < 2; round++) {
		unsigned count = 0;
		struct file *file;
		while (snprintf(path, sizeof path, "/f%u", count), (file = file_open(path, O_CREATE | O_RDWR))) {
			file_close(file);
			count++;
		}
		require(fs_mkdir("/d") == -1, "no directory either");
		counts[round] = count;
		while (count-- > 0) {
			snprintf(path, sizeof path, "/f%u", count);
			require(fs_unlink(path) == 0, "each can be removed");
		}
	}
	require(counts[0] > 100 && counts[0] == counts[1], "as many inodes the second time");
	fs_sync();
}

static void test_plain(const char *name, test_body *run, uint32_t blocks)
{
	if (!strstr(name, word))
		return;
	unsigned char *image = new_image(blocks);
	forget_trace();
	report(name, in_process(run, image, blocks, seed) && image_faults(image, blocks, false) == 0, "");
	drop_image(image, blocks);
}

// --- failures ------------------------------------------------------------------------------------------------------------------------

// Some file work that may fail at any point, and must not do more than that.
static void churn(uint64_t *random, unsigned steps)
{
	static char bytes[3 * BLOCK_BYTES];
	char path[32], other[32];
	for (unsigned i = 0; i < steps; i++) {
		snprintf(path, sizeof path, "/%s%llu", i % 3 ? "" : "d/", (unsigned long long)random_below(random, 8));
		snprintf(other, sizeof other, "/%llu", (unsigned long long)random_below(random, 8));
		uint64_t dice = random_below(random, 8);
		struct file *file = dice < 5 ? file_open(path, dice < 4 ? O_CREATE | O_RDWR : O_RDWR | O_TRUNC) : NULL;
		if (file) {
			(void)put(file, bytes, (int)random_below(random, sizeof bytes));
			(void)file_read(file, (struct memory){ false, (uintptr_t)bytes }, sizeof bytes);
			file_close(file);
		} else if (dice == 5) {
			(void)fs_unlink(path);
		} else if (dice == 6) {
			(void)fs_link(other, path);
		} else {
			(void)(random_below(random, 2) ? fs_mkdir("/d") : fs_unlink("/d"));
		}
	}
}

static void disk_fails(unsigned char *image, uint32_t blocks, uint64_t number)
{
	uint64_t random = number;
	start(image, blocks);
	disk_fail_after((uint32_t)random_below(&random, 400));
	churn(&random, 600);
	fs_sync();
}

static void memory_fails(unsigned char *image, uint32_t blocks, uint64_t number)
{
	uint64_t random = number;
	start(image, blocks);
	for (unsigned i = 0; i < 40; i++) {
		memory_fail_after((uint32_t)random_below(&random, 12));
		churn(&random, 20);
		memory_fail_after(UINT32_MAX);
		churn(&random, 10);
	}
	fs_sync();
}

static void test_many(const char *name, test_body *run, unsigned count)
{
	if (!strstr(name, word))
		return;
	bool good = true;
	for (unsigned i = 0; good && i < count; i++) {
		unsigned char *image = new_image(512);
		forget_trace();
		good = in_process(run, image, 512, seed * 1000 + i) && image_faults(image, 512, false) == 0;
		if (!good)
			printf("number %u\n", i);
		drop_image(image, 512);
	}
	report(name, good, "");
}

// --- damaged images ------------------------------------------------------------------------------------------------------------------

static void damage(unsigned char *image, uint64_t *random)
{
	struct superblock *sb = (struct superblock *)(image + BLOCK_BYTES);
	uint32_t first = sb->inodestart, last = sb->bmapstart + 40;
	for (uint64_t i = 1 + random_below(random, 30); i > 0; i--) {
		uint64_t block = first + random_below(random, last - first);
		uint32_t *victim = (uint32_t *)(image + block * BLOCK_BYTES) + random_below(random, 100);
		*victim = random_below(random, 2) ? (uint32_t)random_below(random, sb->size) : (uint32_t)random_next(random);
	}
	if (random_below(random, 10) == 0)
		((uint32_t *)sb)[random_below(random, 8)] = (uint32_t)random_next(random);
}

static void use_damaged(unsigned char *image, uint32_t blocks, uint64_t number)
{
	uint64_t random = number;
	start(image, blocks);
	churn(&random, 100);
	fs_sync();
}

static void test_damaged(unsigned count)
{
	if (!strstr("damaged images", word))
		return;
	bool good = true;
	for (unsigned i = 0; good && i < count; i++) {
		uint64_t random = seed * 7777 + i;
		unsigned char *image = new_image(512);
		forget_trace();
		good = in_process(use_damaged, image, 512, random); // something to damage
		damage(image, &random);
		good = good && in_process(use_damaged, image, 512, random);
		(void)image_faults(image, 512, true); // must not crash either
		if (!good)
			printf("number %u\n", i);
		drop_image(image, 512);
	}
	report("damaged images", good, "");
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: main MKFS [SEED [WORD]]\n");
		return 2;
	}
	mkfs = argv[1];
	seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
	word = argc > 3 ? argv[3] : "";
	trace = shared_memory(sizeof *trace);
	test_plain("disk full", disk_full, 400);
	test_plain("largest file", largest_file, 4096);
	test_plain("inodes full", inodes_full, 400);
	test_crashes("crashes of one worker", one_worker, 512, seed);
	test_crashes("crashes of three workers", three_workers, 900, seed);
	test_many("disk errors", disk_fails, 60);
	test_many("no memory", memory_fails, 30);
	test_damaged(60);
	printf("%u passed, %u failed\n", passed, failed);
	return failed > 0;
}
