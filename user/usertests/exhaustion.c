// exhaustion.c: everything that can run out does: memory, blocks, inodes, processes, descriptors. The caller is told, and nothing is lost.

#include "user/usertests/test.h"

// A program that touches more than there is dies; the others and the kernel do not, and its memory comes back.
static void eat(void *unused)
{
	(void)unused;
	for (;;) {
		char *heap = sbrk(MB);

		if (heap == SBRK_ERROR)
			exit(9);
		for (int i = 0; i < MB; i += PAGE)
			heap[i] = 1;
	}
}

SLOW_TEST(memory_by_touch)
{
	uint64 before = free_pages();

	for (int i = 0; i < 3; i++) {
		int status = status_of(eat, 0);

		CHECK(status == -1 || status == 9);
	}
	CHECK(free_pages() + 8 >= before);
}

// What the kernel keeps back for itself.
static uint64 reserve_pages(void)
{
	static struct meminfo info;
	uint64 pages = 0;

	EXPECT(meminfo(&info, 0), 0);
	for (uint64 i = 0; i < info.zone_count; i++)
		pages += info.zones[i].reserve_pages;
	return pages;
}

// Asked for eagerly, memory that is not there is refused.
SLOW_TEST(memory_by_asking)
{
	char *start = sbrk(0);
	uint64 pages = free_pages();
	int got = 0;

	while (sys_sbrk(MB, 1) != SBRK_ERROR)
		got++;
	CHECK((uint64)got * 256 <= pages);
	CHECK((uint64)got * 256 >= pages / 2);
	CHECK(free_pages() < 4 * 256 + reserve_pages());
	CHECK(sbrk(-MB / 2) != SBRK_ERROR);
	give_back(start);
	CHECK(free_pages() + 16 >= pages);
}

SLOW_TEST(memory_by_malloc)
{
	void **last = 0, **block;
	int count = 0;

	while ((block = malloc(50000))) {
		*block = last;
		last = block;
		count++;
	}
	CHECK(count > 50);
	while (last) {
		block = *last;
		free(last);
		last = block;
	}
	block = malloc(20000);
	CHECK(block != 0);
	free(block);
}

// fork when there is almost nothing left: it fails, or the child works; either way the parent goes on.
SLOW_TEST(memory_for_fork)
{
	char *start = sbrk(0);
	int children = 0, pid;

	while (sys_sbrk(16 * PAGE, 1) != SBRK_ERROR)
		;
	for (int i = 0; i < 40; i++) {
		if ((pid = fork()) == 0)
			exit(0);
		children += pid > 0;
		if (children > 5)
			break;
	}
	while (children-- > 0)
		CHECK(wait(0) > 0);
	give_back(start);
}

// Calls that need memory when there is none: each says so, or works.
SLOW_TEST(memory_for_calls)
{
	char *start = sbrk(0), *at;
	int ends[2], file;

	while (sys_sbrk(PAGE, 1) != SBRK_ERROR)
		;
	for (int i = 0; i < 20; i++) {
		if (pipe(ends) == 0) {
			write(ends[1], "x", 1);
			close(ends[0]);
			close(ends[1]);
		}
		if ((file = open("f", O_RDWR | O_CREATE)) >= 0) {
			write(file, start, PAGE);
			close(file);
		}
		mkdir("d");
		stat("/usertests", &(struct stat){ 0 });
		at = mmap(0, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (at != MAP_FAILED)
			munmap(at, 16 * PAGE);
		exec("/echo", (char *[]){ "echo", (char *)0x1000, 0 });
	}
	give_back(start);
	unlink("f");
	unlink("d");
	CHECK(!exists("f") && !exists("d"));
	write_file("f", "works again", 11);
	unlink("f");
}

static void exec_with_little(int spare)
{
	volatile char stack[3 * PAGE];
	char *arguments[] = { "echo", "x", 0 };

	for (uint i = 0; i < sizeof(stack); i += PAGE / 2)
		stack[i] = 1; // ours alone, before there is nothing left
	close(1);
	for (int step = MB; step >= PAGE; step /= 16)
		while (sys_sbrk(step, 1) != SBRK_ERROR)
			;
	sbrk(-spare * PAGE);
	exec("/echo", arguments);
	exit(9);
}

// exec with ever more pages left, from none: it works, fails or the process dies, and everything comes back.
SLOW_TEST(memory_for_exec)
{
	char *start = sbrk(0);
	int status, worked = 0, spare_pages = 512 + (int)(free_pages() / 256); // page tables of a child among them

	while (sys_sbrk(MB, 1) != SBRK_ERROR)
		;
	sbrk(-spare_pages * PAGE); // the children use up the rest
	for (int spare = 0; spare < 32; spare++) {
		int pid = fork_or_fail();

		if (pid == 0)
			exec_with_little(spare);
		CHECK(wait(&status) == pid);
		EXPECT(status == 9 || status == 0 || status == -1, 1);
		worked += status == 0;
	}
	CHECK(worked > 0);
	give_back(start);
}

// Several at once: some of them die, all that remains is well.
SLOW_TEST(memory_by_many)
{
	uint64 before = free_pages();
	int status;

	for (int child = 0; child < 4; child++)
		start(eat, 0);
	for (int child = 0; child < 4; child++) {
		CHECK(wait(&status) > 0);
		CHECK(status == -1 || status == 9);
	}
	CHECK(free_pages() + 16 >= before);
}

// A copy that cannot be made: the child that writes to shared pages dies, the parent keeps its own.
static void copy_all(void *heap)
{
	for (uint64 i = 0; i < *(uint64 *)heap; i++)
		((volatile char *)heap)[i * PAGE + 8] = 2;
}

SLOW_TEST(memory_for_copies)
{
	uint64 pages = free_pages() * 6 / 10;
	char *heap = sbrk(0);

	for (uint64 i = 0; i < pages; i++)
		CHECK(sys_sbrk(PAGE, 1) != SBRK_ERROR);
	*(uint64 *)heap = pages;
	for (uint64 i = 0; i < pages; i++)
		heap[i * PAGE + 8] = 1;
	EXPECT_KILLED(copy_all, heap);
	for (uint64 i = 0; i < pages; i++)
		EXPECT(heap[i * PAGE + 8], 1);
	give_back(heap);
}

static int fork_until_refused(int ends[2], int max)
{
	int count = 0, pid;
	char byte;

	while (count < max && (pid = fork()) >= 0) {
		if (pid == 0) {
			close(ends[1]);
			read(ends[0], &byte, 1); // until the parent closes its end
			exit(0);
		}
		count++;
	}
	return count;
}

SLOW_TEST(processes)
{
	int ends[2], first = 0;

	for (int round = 0; round < 3; round++) {
		int count;

		EXPECT(pipe(ends), 0);
		count = fork_until_refused(ends, 1000);
		CHECK(count >= 10 && count <= NPROC);
		if (round > 0)
			EXPECT(count, first); // none was lost
		first = count;
		close(ends[0]);
		close(ends[1]);
		reap(count);
		EXPECT(wait(0), -1);
	}
}

// Everybody forks as much as possible; all must end.
static void storm(int depth)
{
	for (int i = 0; i < 3; i++) {
		int pid = fork();

		if (pid == 0) {
			if (depth > 0)
				storm(depth - 1);
			exit(0);
		}
	}
	while (wait(0) >= 0)
		;
}

SLOW_TEST(fork_storm)
{
	for (int round = 0; round < 5; round++)
		storm(3);
}

// Blocks: a file that takes all there are. Afterwards as many fit again.
static int fill_disk(const char *name)
{
	static char block[8 * BLOCK_BYTES];
	int file = open(name, O_RDWR | O_CREATE | O_TRUNC), count = 0;

	CHECK(file >= 0);
	while (write(file, block, sizeof(block)) == sizeof(block))
		count++;
	close(file);
	return count;
}

SLOW_TEST(disk_blocks)
{
	char name[8];
	int counts[2];

	for (int round = 0; round < 2; round++) {
		int files = 0;

		counts[round] = 0;
		do {
			snprintf(name, sizeof(name), "big%d", files++);
			counts[round] += fill_disk(name);
		} while (counts[round] > 0 && files < 60 && fill_disk("more") > 0);
		CHECK(counts[round] > 10);
		EXPECT(open("/usertests", O_RDONLY), 3); // what is there can be read
		close(3);
		mkdir("d"); // no block, perhaps: refused or made
		unlink("d");
		while (files-- > 0) {
			snprintf(name, sizeof(name), "big%d", files);
			EXPECT(unlink(name), 0);
		}
		unlink("more");
		sync();
	}
	CHECK(counts[1] + 1 >= counts[0]);
}

SLOW_TEST(disk_inodes)
{
	char name[16];
	int counts[2];

	for (int round = 0; round < 2; round++) {
		int count = 0, file;

		for (;;) {
			snprintf(name, sizeof(name), "i%d", count);
			if ((file = open(name, O_RDWR | O_CREATE)) < 0)
				break;
			close(file);
			if (++count > 70000)
				FAIL("inodes have no end");
		}
		EXPECT(mkdir("d"), -1);
		counts[round] = count;
		while (count-- > 0) {
			snprintf(name, sizeof(name), "i%d", count);
			EXPECT(unlink(name), 0);
		}
	}
	EXPECT(counts[0], counts[1]);
	CHECK(counts[0] > 50);
}

// All processes together: each opens as many files as it may.
SLOW_TEST(open_files)
{
	int ends[2], children = 12;

	write_file("f", "x", 1);
	EXPECT(pipe(ends), 0);
	for (int child = 0; child < children; child++)
		if (fork_or_fail() == 0) {
			char byte;

			close(ends[1]);
			while (open("f", O_RDONLY) >= 0)
				;
			read(ends[0], &byte, 1);
			exit(0);
		}
	pause(2);
	close(ends[0]);
	close(ends[1]);
	reap(children);
	EXPECT(open("f", O_RDONLY), 3);
	close(3);
	unlink("f");
}
