// mapped_files.c: mmap of files: what is read through the mapping, what is written back, and what stays private.

#include "user/usertests/test.h"

#define BOTH (PROT_READ | PROT_WRITE)

static char page[PAGE];

static void make_file(const char *name, uint pages)
{
	int file = open(name, O_RDWR | O_CREATE | O_TRUNC);

	for (uint i = 0; i < pages; i++) {
		memset(page, (int)('a' + i), PAGE);
		EXPECT(write(file, page, PAGE), PAGE);
	}
	close(file);
}

static char *map_file(const char *name, uint64 bytes, int rights, int flags, uint64 offset)
{
	int file = open(name, rights & PROT_WRITE && flags & MAP_SHARED ? O_RDWR : O_RDONLY);
	char *at = mmap(0, bytes, rights, flags, file, offset);

	if (at == MAP_FAILED)
		FAIL("cannot map %s", name);
	close(file);
	return at;
}

static char file_byte(const char *name, uint place)
{
	int file = open(name, O_RDONLY);
	char byte = 0;

	for (uint at = 0; at <= place; at += PAGE)
		read(file, page, PAGE);
	byte = page[place % PAGE];
	close(file);
	return byte;
}

TEST(mmap_bad)
{
	int file;

	make_file("f", 1);
	file = open("f", O_RDONLY);
	CHECK(mmap(0, 0, PROT_READ, MAP_PRIVATE, file, 0) == MAP_FAILED);
	CHECK(mmap(0, PAGE, PROT_READ, MAP_PRIVATE, file, 100) == MAP_FAILED);
	CHECK(mmap(0, PAGE, PROT_READ, 0, file, 0) == MAP_FAILED);
	CHECK(mmap(0, PAGE, PROT_READ, MAP_PRIVATE | MAP_SHARED, file, 0) == MAP_FAILED);
	CHECK(mmap(0, PAGE, 0xff, MAP_PRIVATE, file, 0) == MAP_FAILED);
	CHECK(mmap(0, PAGE, BOTH, MAP_SHARED, file, 0) == MAP_FAILED); // the file is open for reading only
	CHECK(mmap(0, 1UL << 40, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
	CHECK(mmap(0, -1UL, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
	CHECK(mmap((void *)(MAXVA - PAGE), PAGE, BOTH, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED);
	CHECK(mmap((void *)MAXVA, PAGE, BOTH, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED);
	CHECK(mmap((void *)0x50000001, PAGE, BOTH, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED);
	close(file);
	file = open("f", O_WRONLY);
	CHECK(mmap(0, PAGE, PROT_READ, MAP_PRIVATE, file, 0) == MAP_FAILED);
	close(file);
	EXPECT(munmap((void *)0x50000001, PAGE), -1);
	EXPECT(munmap((void *)0x50000000, 0), -1);
	EXPECT(munmap((void *)MAXVA, PAGE), -1);
	EXPECT(mprotect((void *)0x50000001, PAGE, PROT_READ), -1);
	EXPECT(mprotect((void *)0x50000000, PAGE, PROT_READ), -1); // nothing is there
	EXPECT(mprotect((void *)MAXVA, PAGE, PROT_READ), -1);
	unlink("f");
}

TEST(mmap_private_file)
{
	char *at;

	make_file("f", 3);
	at = map_file("f", 3 * PAGE, BOTH, MAP_PRIVATE, 0);
	EXPECT(at[0], 'a');
	EXPECT(at[3 * PAGE - 1], 'c');
	at[PAGE] = 'X';
	EXPECT(at[PAGE + 1], 'b');
	EXPECT(file_byte("f", PAGE), 'b');
	EXPECT(munmap(at, 3 * PAGE), 0);
	at = map_file("f", PAGE, PROT_READ, MAP_PRIVATE, 2 * PAGE);
	EXPECT(at[0], 'c');
	EXPECT_KILLED(touch, at);
	EXPECT(munmap(at, PAGE), 0);
	unlink("f");
}

TEST(mmap_shared_file)
{
	char *at, *again;

	make_file("f", 3);
	at = map_file("f", 3 * PAGE, BOTH, MAP_SHARED, 0);
	again = map_file("f", 3 * PAGE, BOTH, MAP_SHARED, 0);
	at[0] = 'X';
	at[2 * PAGE + 5] = 'Y';
	EXPECT(again[0], 'X');
	EXPECT(munmap(at, 3 * PAGE), 0);
	EXPECT(again[2 * PAGE + 5], 'Y');
	EXPECT(munmap(again, 3 * PAGE), 0);
	EXPECT(file_byte("f", 0), 'X');
	EXPECT(file_byte("f", 1), 'a');
	EXPECT(file_byte("f", 2 * PAGE + 5), 'Y');
	EXPECT(sync(), 0);
	EXPECT(file_byte("f", 0), 'X');
	unlink("f");
}

// read, write and a shared mapping see the same bytes.
TEST(mmap_and_write)
{
	char *at;
	int file;

	make_file("f", 2);
	at = map_file("f", 2 * PAGE, BOTH, MAP_SHARED, 0);
	at[10] = 'M';
	EXPECT(file_byte("f", 10), 'M');
	file = open("f", O_RDWR);
	EXPECT(write(file, "written", 7), 7);
	CHECK(memcmp(at, "written", 7) == 0);
	EXPECT(at[10], 'M');
	close(file);
	EXPECT(munmap(at, 2 * PAGE), 0);
	EXPECT(file_byte("f", 10), 'M');
	unlink("f");
}

// A private mapping keeps what it showed when the file is written afterwards, or shows the new bytes; its own writes stay.
TEST(mmap_private_and_write)
{
	char *at;
	int file;

	make_file("f", 1);
	at = map_file("f", PAGE, BOTH, MAP_PRIVATE, 0);
	at[5] = 'P';
	file = open("f", O_RDWR);
	EXPECT(write(file, "written", 7), 7);
	close(file);
	EXPECT(at[5], 'P');
	EXPECT(at[100], 'a');
	EXPECT(file_byte("f", 5), 'e');
	EXPECT(munmap(at, PAGE), 0);
	unlink("f");
}

TEST(mmap_file_goes)
{
	char *at;

	make_file("f", 2);
	at = map_file("f", 2 * PAGE, BOTH, MAP_PRIVATE, 0);
	EXPECT(unlink("f"), 0); // its descriptor is closed, too: the mapping keeps it
	make_file("g", 2);
	EXPECT(at[0], 'a');
	EXPECT(at[PAGE], 'b');
	EXPECT(munmap(at, 2 * PAGE), 0);
	unlink("g");
}

// Pages behind the file's end: zeroes, or a fault; never the kernel's or someone else's bytes.
TEST(mmap_behind_end)
{
	char *at;

	write_file("f", "short", 5);
	at = map_file("f", 2 * PAGE, PROT_READ, MAP_PRIVATE, 0);
	CHECK(memcmp(at, "short", 5) == 0);
	for (int i = 5; i < PAGE; i++)
		EXPECT(at[i], 0);
	if (status_of(look, at + PAGE) == 0)
		for (int i = PAGE; i < 2 * PAGE; i++)
			EXPECT(at[i], 0);
	EXPECT(munmap(at, 2 * PAGE), 0);
	unlink("f");
}

TEST(mmap_with_fork)
{
	char *private = map_memory(2 * PAGE, MAP_PRIVATE), *shared = map_memory(2 * PAGE, MAP_SHARED), *file;

	make_file("f", 1);
	file = map_file("f", PAGE, BOTH, MAP_SHARED, 0);
	private[0] = shared[0] = 'p';
	if (fork_or_fail() == 0) {
		EXPECT(private[0], 'p');
		private[0] = shared[0] = file[0] = 'c';
		shared[PAGE] = 'c'; // a page that neither had touched before
		exit(0);
	}
	reap(1);
	EXPECT(private[0], 'p');
	EXPECT(shared[0], 'c');
	EXPECT(shared[PAGE], 'c');
	EXPECT(file[0], 'c');
	EXPECT(munmap(private, 2 * PAGE), 0);
	EXPECT(munmap(shared, 2 * PAGE), 0);
	EXPECT(munmap(file, PAGE), 0);
	EXPECT(file_byte("f", 0), 'c');
	unlink("f");
}

TEST(munmap_writes_parts_back)
{
	char *at;

	make_file("f", 4);
	at = map_file("f", 4 * PAGE, BOTH, MAP_SHARED, 0);
	for (int i = 0; i < 4; i++)
		at[i * PAGE] = 'W';
	EXPECT(munmap(at + PAGE, 2 * PAGE), 0);
	EXPECT(file_byte("f", PAGE), 'W');
	EXPECT(file_byte("f", 2 * PAGE), 'W');
	EXPECT(at[0], 'W');
	EXPECT(munmap(at, PAGE), 0);
	EXPECT(munmap(at + 3 * PAGE, PAGE), 0);
	EXPECT(file_byte("f", 3 * PAGE), 'W');
	unlink("f");
}

// Nothing is unmapped by hand: the process's end does it, and writes shared pages back.
TEST(mappings_at_exit)
{
	make_file("f", 2);
	if (fork_or_fail() == 0) {
		char *at = map_file("f", 2 * PAGE, BOTH, MAP_SHARED, 0);

		at[PAGE] = 'E';
		map_memory(MB, MAP_SHARED)[0] = 1;
		exit(0);
	}
	reap(1);
	EXPECT(file_byte("f", PAGE), 'E');
	if (fork_or_fail() == 0) {
		map_file("f", 2 * PAGE, BOTH, MAP_SHARED, 0)[0] = 'X';
		close(1);
		exec("/echo", (char *[]){ "echo", 0 });
	}
	reap(1);
	EXPECT(file_byte("f", 0), 'X');
	unlink("f");
}
