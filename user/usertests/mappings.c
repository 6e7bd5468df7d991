// mappings.c: mmap of memory, munmap of parts, mprotect.

#include "user/usertests/test.h"

#define BOTH (PROT_READ | PROT_WRITE)

TEST(mmap_anonymous)
{
	uint64 before = free_pages();
	char *at = map_memory(16 * MB, MAP_PRIVATE), *other;

	CHECK((uint64)at % PAGE == 0);
	CHECK(before - free_pages() < 4);
	for (int i = 0; i < 16 * MB; i += MB) {
		EXPECT(at[i], 0);
		at[i] = 1;
	}
	other = map_memory(PAGE, MAP_PRIVATE);
	CHECK(other + PAGE <= at || other >= at + 16 * MB);
	EXPECT(munmap(at, 16 * MB), 0);
	EXPECT_KILLED(look, at);
	EXPECT(munmap(other, PAGE), 0);
}

TEST(mmap_hints)
{
	char *want = (char *)0x2000000000, *at;

	at = mmap(want, PAGE, BOTH, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(at == want);
	at[0] = 1;
	at = mmap(want, PAGE, BOTH, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); // taken: somewhere else
	CHECK(at != want && at != MAP_FAILED);
	EXPECT(munmap(at, PAGE), 0);
	EXPECT(munmap(want, PAGE), 0);
	at = mmap(want, PAGE, BOTH, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	CHECK(at == want);
	EXPECT(at[0], 0);
	EXPECT(munmap(at, PAGE), 0);
}

// Two processes count in one shared page, in turns given by pipes.
TEST(mmap_shared_turns)
{
	volatile int *count = (int *)map_memory(PAGE, MAP_SHARED);
	int there[2], back[2];
	char byte = 0;

	EXPECT(pipe(there), 0);
	EXPECT(pipe(back), 0);
	if (fork_or_fail() == 0) {
		for (int i = 0; i < 50; i++) {
			read(there[0], &byte, 1);
			EXPECT(*count, 2 * i + 1);
			++*count;
			write(back[1], &byte, 1);
		}
		exit(0);
	}
	for (int i = 0; i < 50; i++) {
		EXPECT(*count, 2 * i);
		++*count;
		write(there[1], &byte, 1);
		read(back[0], &byte, 1);
	}
	reap(1);
	EXPECT(*count, 100);
	munmap((void *)count, PAGE);
}

TEST(munmap_parts)
{
	char *at = map_memory(8 * PAGE, MAP_PRIVATE);

	for (int i = 0; i < 8; i++)
		at[i * PAGE] = (char)i;
	EXPECT(munmap(at, PAGE), 0);                // the head
	EXPECT(munmap(at + 7 * PAGE, PAGE), 0);     // the tail
	EXPECT(munmap(at + 3 * PAGE, 2 * PAGE), 0); // a hole
	for (int i = 0; i < 8; i++) {
		bool gone = i == 0 || i == 3 || i == 4 || i == 7;

		EXPECT(status_of(look, at + i * PAGE), gone ? -1 : 0);
		if (!gone)
			EXPECT(at[i * PAGE], i);
	}
	munmap(at + PAGE, 2 * PAGE);
	munmap(at + 5 * PAGE, 2 * PAGE);
}

TEST(mprotect_changes)
{
	char *at = map_memory(4 * PAGE, MAP_PRIVATE);
	int ends[2];

	at[0] = at[PAGE] = at[2 * PAGE] = 'x';
	EXPECT(mprotect(at + PAGE, PAGE, PROT_READ), 0);
	EXPECT(status_of(look, at + PAGE), 0);
	EXPECT_KILLED(touch, at + PAGE);
	EXPECT(status_of(touch, at), 0);
	EXPECT(status_of(touch, at + 2 * PAGE), 0);
	EXPECT(pipe(ends), 0);
	EXPECT(write(ends[1], "y", 1), 1);
	EXPECT(read(ends[0], at + PAGE, 1), -1);
	EXPECT(mprotect(at + PAGE, PAGE, PROT_NONE), 0);
	EXPECT_KILLED(look, at + PAGE);
	EXPECT(write(ends[1], at + PAGE, 1), -1);
	EXPECT(mprotect(at, 4 * PAGE, BOTH), 0);
	EXPECT(at[PAGE], 'x');
	at[PAGE] = 'z';
	EXPECT(munmap(at, 4 * PAGE), 0);
}

static void call_code(void *at)
{
	EXPECT(((int (*)(void))at)(), 42);
}

TEST(mprotect_execute)
{
	static const uint code[] = { 0x02a00513, 0x00008067 }; // li a0, 42; ret
	char *at = map_memory(PAGE, MAP_PRIVATE);

	memmove(at, code, sizeof(code));
	EXPECT_KILLED(call_code, at);
	EXPECT(mprotect(at, PAGE, PROT_READ | PROT_EXEC), 0);
	__asm__ volatile("fence.i");
	EXPECT(status_of(call_code, at), 0);
	EXPECT_KILLED(touch, at);
	EXPECT(munmap(at, PAGE), 0);
}

// A page that parent and child share after fork stays read-only for the one that made it so.
TEST(mprotect_with_cow)
{
	char *at = map_memory(PAGE, MAP_PRIVATE);

	at[0] = 'x';
	if (fork_or_fail() == 0) {
		EXPECT(mprotect(at, PAGE, PROT_READ), 0);
		EXPECT_KILLED(touch, at);
		EXPECT(mprotect(at, PAGE, BOTH), 0);
		at[0] = 'c';
		exit(0);
	}
	reap(1);
	EXPECT(at[0], 'x');
	at[0] = 'y';
	EXPECT(munmap(at, PAGE), 0);
}

TEST(many_mappings)
{
	enum { COUNT = 300 };
	static char *at[COUNT];

	for (int i = 0; i < COUNT; i++) {
		at[i] = mmap(0, PAGE, i % 2 ? BOTH : PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		CHECK(at[i] != MAP_FAILED);
		if (i % 2)
			at[i][0] = (char)i;
	}
	for (int i = 0; i < COUNT; i += 3)
		EXPECT(munmap(at[i], PAGE), 0);
	for (int i = 0; i < COUNT; i++)
		if (i % 3)
			EXPECT(at[i][0], i % 2 ? (char)i : 0);
	for (int i = 0; i < COUNT; i++)
		if (i % 3)
			EXPECT(munmap(at[i], PAGE), 0);
}
