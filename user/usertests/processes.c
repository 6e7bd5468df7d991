// processes.c: fork, exit, wait, kill, sleep: what parents and children can rely on.

#include "user/usertests/test.h"

TEST(exit_status)
{
	static const int statuses[] = { 0, 1, 2, 77, 255, 256, -1, 0x7fffffff, -0x7fffffff - 1 };
	int status, pid;

	for (uint i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
		if ((pid = fork_or_fail()) == 0)
			exit(statuses[i]);
		status = 42;
		EXPECT(wait(&status), pid);
		EXPECT(status, statuses[i]);
	}
	if ((pid = fork_or_fail()) == 0)
		exit(5);
	EXPECT(wait(0), pid);
}

TEST(wait_for_nobody)
{
	int status = 42;

	EXPECT(wait(&status), -1);
	EXPECT(status, 42);
	EXPECT(wait(0), -1);
}

TEST(many_children)
{
	for (int round = 0; round < 10; round++) {
		for (int i = 0; i < 10; i++)
			if (fork_or_fail() == 0)
				exit(0);
		reap(10);
		EXPECT(wait(0), -1);
	}
}

TEST(pids)
{
	int first = getpid(), pid, ends[2], seen;

	EXPECT(pipe(ends), 0);
	for (int i = 0; i < 20; i++) {
		if ((pid = fork_or_fail()) == 0) {
			seen = getpid();
			write(ends[1], &seen, sizeof(seen));
			exit(0);
		}
		EXPECT(read(ends[0], &seen, sizeof(seen)), sizeof(seen));
		EXPECT(seen, pid);
		CHECK(pid != first && pid > 1);
		reap(1);
	}
	EXPECT(getpid(), first);
}

// Memory, descriptors and the directory are copied; what the child does then is its own.
TEST(fork_copies)
{
	static int in_data = 1;
	int on_stack = 2, *in_heap = malloc(sizeof(int));

	*in_heap = 3;
	EXPECT(mkdir("d"), 0);
	if (fork_or_fail() == 0) {
		EXPECT(in_data + on_stack + *in_heap, 6);
		in_data = on_stack = *in_heap = 100;
		EXPECT(chdir("d"), 0);
		close(0);
		exit(0);
	}
	reap(1);
	EXPECT(in_data + on_stack + *in_heap, 6);
	CHECK(exists("d"));
	EXPECT(dup(0), 3);
	unlink("d");
	free(in_heap);
}

// Children whose parent is gone go to init; their status does not come to us.
TEST(orphans)
{
	for (int i = 0; i < 20; i++) {
		if (fork_or_fail() == 0) {
			for (int k = 0; k < 3; k++)
				if (fork_or_fail() == 0)
					exit(7);
			exit(0);
		}
		reap(1);
	}
	EXPECT(wait(0), -1);
}

// The parent dies first, with a grandchild that still works.
TEST(orphan_outlives)
{
	int ends[2];
	char byte;

	EXPECT(pipe(ends), 0);
	if (fork_or_fail() == 0) {
		if (fork_or_fail() == 0) {
			close(ends[0]);
			pause(2);
			write(ends[1], "x", 1);
			exit(0);
		}
		exit(0);
	}
	reap(1);
	close(ends[1]);
	EXPECT(read(ends[0], &byte, 1), 1);
	EXPECT(read(ends[0], &byte, 1), 0);
}

static void fork_twice(void *unused)
{
	(void)unused;
	for (int i = 0; i < 20; i++) {
		if (fork_or_fail() == 0) {
			for (int k = 0; k < 3; k++) {
				if (fork_or_fail() == 0)
					exit(0);
				reap(1);
			}
			exit(0);
		}
		reap(1);
	}
}

TEST(fork_and_fork)
{
	for (int i = 0; i < 4; i++)
		start(fork_twice, 0);
	reap(4);
}

static void spin(void *unused)
{
	(void)unused;
	for (;;)
		;
}

static void rest(void *unused)
{
	(void)unused;
	for (;;)
		pause(1000);
}

static void read_forever(void *unused)
{
	int ends[2];
	char byte;

	(void)unused;
	pipe(ends);
	read(ends[0], &byte, 1); // its own write end is open: nothing ever comes
}

static void write_forever(void *unused)
{
	static char bytes[512];
	int ends[2];

	(void)unused;
	pipe(ends);
	for (;;)
		write(ends[1], bytes, sizeof(bytes));
}

static void wait_forever(void *unused)
{
	int pid = start(rest, unused);

	wait(0);
	kill(pid);
}

static void kill_self(void *unused)
{
	(void)unused;
	kill(getpid());
	for (;;)
		getpid();
}

TEST(kill_each_state)
{
	static void (*const states[])(void *) = { spin, rest, read_forever, write_forever };
	int status, pid;

	for (uint i = 0; i < 4; i++)
		for (int wait_first = 0; wait_first < 2; wait_first++) {
			pid = start(states[i], 0);
			if (wait_first)
				pause(1);
			EXPECT(kill(pid), 0);
			EXPECT(wait(&status), pid);
			EXPECT(status, -1);
			EXPECT(kill(pid), -1); // there is no such process any more
		}
	EXPECT_KILLED(kill_self, 0);
}

// The pid of a child of `parent`, as ps tells; 0: it has none.
static int child_of(int parent)
{
	static struct psinfo processes[NPROC];
	int count = ps(processes, NPROC);

	for (int i = 0; i < count; i++)
		if (processes[i].parent == parent)
			return processes[i].pid;
	return 0;
}

// A process that waits for its child can be killed; the child goes to init, which reaps it when it is killed in turn.
TEST(kill_waiting)
{
	int pid = start(wait_forever, 0), status, child;

	while (!(child = child_of(pid)))
		pause(1);
	pause(1); // most likely it waits by now
	EXPECT(kill(pid), 0);
	EXPECT(wait(&status), pid);
	EXPECT(status, -1);
	EXPECT(kill(child), 0);
}

TEST(kill_races)
{
	int status, pid;

	for (int i = 0; i < 60; i++) {
		if ((pid = fork_or_fail()) == 0)
			for (int k = 0; k < i * 20; k++)
				getpid();
		if (pid == 0)
			exit(3);
		kill(pid);
		EXPECT(wait(&status), pid);
		CHECK(status == -1 || status == 3);
	}
}

// Parent and child end at the same time, over and over.
TEST(exit_races)
{
	for (int i = 0; i < 100; i++) {
		int pid = fork_or_fail();

		if (pid == 0) {
			if (fork_or_fail() == 0)
				exit(0);
			exit(0);
		}
		EXPECT(wait(0), pid);
	}
}

// Processes that never give up the processor are interrupted for others.
TEST(preemption)
{
	int spinners[6], status;

	for (int i = 0; i < 6; i++)
		spinners[i] = start(spin, 0);
	for (int i = 0; i < 5; i++) {
		if (fork_or_fail() == 0)
			exit(0);
		reap(1);
		pause(1);
	}
	for (int i = 0; i < 6; i++)
		EXPECT(kill(spinners[i]), 0);
	for (int i = 0; i < 6; i++) {
		CHECK(wait(&status) > 0);
		EXPECT(status, -1);
	}
}

// Registers survive being interrupted: a sum that others' work must not change.
TEST(registers)
{
	for (int child = 0; child < 4; child++)
		if (fork_or_fail() == 0) {
			uint64 a = 1 + (uint64)child, b = a * 3, c = a * 5, sum = 0;

			for (uint64 i = 0; i < 3000000; i++) {
				sum += (a ^ i) + (b * i) - (c + i);
				if (i % 4096 == 0)
					getpid();
			}
			for (uint64 i = 0; i < 3000000; i++)
				sum -= (a ^ i) + (b * i) - (c + i);
			EXPECT(sum, 0);
			exit(0);
		}
	reap(4);
}

TEST(sleeping)
{
	int from = uptime();

	EXPECT(pause(0), 0);
	EXPECT(sleep(3), 0);
	CHECK(uptime() - from >= 3 && uptime() - from < 30);
	for (int i = 0; i < 8; i++)
		if (fork_or_fail() == 0) {
			pause(8 - i);
			exit(0);
		}
	reap(8);
	CHECK(uptime() - from >= 11);
}

TEST(ps_tells)
{
	static struct psinfo processes[NPROC + 1];
	int pid = start(rest, 0), count, seen = 0;

	pause(1);
	count = ps(processes, NPROC + 1);
	CHECK(count >= 3 && count <= NPROC);
	for (int i = 0; i < count; i++) {
		if (processes[i].pid == pid) {
			seen++;
			EXPECT(processes[i].parent, getpid());
			EXPECT(processes[i].state, PS_SLEEPING);
			CHECK(strcmp(processes[i].name, "usertests") == 0);
			CHECK(processes[i].memory.resident_pages > 0);
		} else if (processes[i].pid == getpid()) {
			seen += 10;
			EXPECT(processes[i].state, PS_RUNNING);
		}
	}
	EXPECT(seen, 11);
	EXPECT(ps(processes, 0), 0);
	EXPECT(ps(processes, 2), 2);
	kill(pid);
	wait(0);
}
