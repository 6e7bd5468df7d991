// copies.c: copy-on-write: parent and child share pages until one of them writes, and nobody can tell.

#include "user/usertests/test.h"

#define COW_PAGES 1000

static void change_some(void *heap)
{
	uint64 before = free_pages();

	for (int i = 0; i < COW_PAGES; i++)
		EXPECT(((volatile char *)heap)[i * PAGE], (char)i);
	CHECK(before - free_pages() < 10); // reading copies nothing
	for (int i = 0; i < COW_PAGES / 2; i++)
		((volatile char *)heap)[i * PAGE] = 99;
	CHECK(before - free_pages() >= COW_PAGES / 2);
	CHECK(before - free_pages() < COW_PAGES / 2 + 10);
}

TEST(cow_counts)
{
	volatile char *heap = sbrk(COW_PAGES * PAGE);
	uint64 before;

	for (int i = 0; i < COW_PAGES; i++)
		heap[i * PAGE] = (char)i;
	before = free_pages();
	EXPECT(status_of(change_some, (void *)heap), 0);
	EXPECT(status_of(change_some, (void *)heap), 0); // the first child's changes are not to be seen
	for (int i = 0; i < COW_PAGES; i++) {
		EXPECT(heap[i * PAGE], (char)i);
		heap[i * PAGE] = 1; // ours alone again: no copy
	}
	CHECK(free_pages() + 10 >= before);
}

// The kernel writes to a shared page as well: into the caller's copy.
TEST(cow_in_calls)
{
	static char area[2 * PAGE];
	int ends[2];

	memset(area, 'o', sizeof(area));
	EXPECT(pipe(ends), 0);
	EXPECT(write(ends[1], "new", 3), 3);
	if (fork_or_fail() == 0) {
		EXPECT(read(ends[0], area + PAGE - 1, 3), 3);
		CHECK(memcmp(area + PAGE - 2, "onewo", 5) == 0);
		exit(0);
	}
	reap(1);
	for (int i = 0; i < 2 * PAGE; i++)
		EXPECT(area[i], 'o');
}

// A family of processes, each with its own view of one page.
TEST(cow_generations)
{
	static volatile int value;

	for (int depth = 0; depth < 10; depth++) {
		value = depth;
		if (fork_or_fail() > 0) {
			reap(1);
			EXPECT(value, depth);
			if (depth > 0)
				exit(0);
			return;
		}
	}
	exit(0);
}

// Both sides write at the same time, on different harts if there are any.
TEST(cow_races)
{
	const int pages = 200;
	volatile char *heap = sbrk(pages * PAGE);

	for (int round = 0; round < 10; round++) {
		for (int i = 0; i < pages; i++)
			heap[i * PAGE] = (char)round;
		for (int child = 1; child <= 3; child++)
			if (fork_or_fail() == 0) {
				for (int i = 0; i < pages; i++) {
					EXPECT(heap[i * PAGE], (char)round);
					heap[i * PAGE] = (char)(100 + child);
				}
				for (int i = 0; i < pages; i++)
					EXPECT(heap[i * PAGE], (char)(100 + child));
				exit(0);
			}
		for (int i = 0; i < pages; i++)
			heap[i * PAGE] = 55;
		reap(3);
		for (int i = 0; i < pages; i++)
			EXPECT(heap[i * PAGE], 55);
	}
}
