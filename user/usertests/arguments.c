// arguments.c: every system call with arguments that it must refuse: bad pointers, descriptors, lengths, paths, and numbers of no call.

#include "kernel/syscall.h"
#include "user/usertests/test.h"

#define TEXT ((void *)main) // readable and executable, not writable
int main(int argc, char *argv[]);

static const char constant[64] = "constants are not writable";

TEST(write_bad_pointer)
{
	int file = open("f", O_RDWR | O_CREATE), ends[2];

	EXPECT(pipe(ends), 0);
	FOR_EACH_BAD (pointer) {
		EXPECT(write(file, pointer, 100), -1);
		EXPECT(write(ends[1], pointer, 100), -1);
		EXPECT(write(1, pointer, 100), -1);
	}
	unlink("f");
}

TEST(read_bad_pointer)
{
	char byte;
	int file, ends[2];

	write_file("f", constant, sizeof(constant));
	EXPECT(pipe(ends), 0);
	FOR_EACH_BAD (pointer) {
		EXPECT(file = open("f", O_RDONLY), 5);
		EXPECT(read(file, pointer, sizeof(constant)), -1);
		close(file);
		EXPECT(write(ends[1], "x", 1), 1);
		EXPECT(read(ends[0], pointer, 1), -1);
	}
	close(ends[1]);
	while (read(ends[0], &byte, 1) == 1)
		EXPECT(byte, 'x'); // what could not be delivered may stay in the pipe
	unlink("f");
}

TEST(read_into_read_only)
{
	int file, ends[2];

	write_file("f", "0123456789", 10);
	file = open("f", O_RDONLY);
	EXPECT(read(file, TEXT, 10), -1);
	EXPECT(read(file, (void *)constant, 10), -1);
	EXPECT(pipe(ends), 0);
	EXPECT(write(ends[1], "0123456789", 10), 10);
	EXPECT(read(ends[0], TEXT, 10), -1);
	EXPECT(read(ends[0], (void *)constant, 10), -1);
	CHECK(strcmp(constant, "constants are not writable") == 0);
	unlink("f");
}

TEST(path_bad_pointer)
{
	struct stat st;

	FOR_EACH_BAD (pointer) {
		EXPECT(open(pointer, O_RDONLY), -1);
		EXPECT(open(pointer, O_RDWR | O_CREATE), -1);
		EXPECT(stat(pointer, &st), -1);
		EXPECT(mkdir(pointer), -1);
		EXPECT(chdir(pointer), -1);
		EXPECT(unlink(pointer), -1);
		EXPECT(link(pointer, "new"), -1);
		EXPECT(link("/usertests", pointer), -1);
		EXPECT(mknod(pointer, 1, 0), -1);
		EXPECT(exec(pointer, (char *[]){ "x", 0 }), -1);
	}
	CHECK(!exists("new"));
}

TEST(result_bad_pointer)
{
	static struct heapinfo heap;
	int file = open("/", O_RDONLY), pid;

	FOR_EACH_BAD (pointer) {
		EXPECT(pipe(pointer), -1);
		EXPECT(fstat(file, pointer), -1);
		EXPECT(meminfo(pointer, 0), -1);
		EXPECT(ps(pointer, 3), -1);
		EXPECT(heapinfo(pointer, 0, 0), -1);
		EXPECT(heapinfo(&heap, pointer, 3), -1);
		EXPECT(heaptrace(pointer, 3, 1), -1);
		if ((pid = fork_or_fail()) == 0)
			exit(0);
		EXPECT(wait(pointer) == (pointer ? -1 : pid), 1); // null: the status is not wanted
		while (wait(0) >= 0)
			;
	}
	EXPECT(lowest_descriptor(), file + 1); // no failed pipe has kept one
}

TEST(result_read_only)
{
	int file = open("/", O_RDONLY);

	EXPECT(pipe(TEXT), -1);
	EXPECT(pipe((int *)constant), -1);
	EXPECT(fstat(file, TEXT), -1);
	EXPECT(fstat(file, (struct stat *)constant), -1);
	EXPECT(meminfo(TEXT, 0), -1);
	EXPECT(ps(TEXT, 1), -1);
	EXPECT(heapinfo(TEXT, 0, 0), -1);
	if (fork_or_fail() == 0)
		exit(0);
	EXPECT(wait((int *)constant), -1);
	while (wait(0) >= 0)
		;
	EXPECT(lowest_descriptor(), file + 1);
}

TEST(exec_bad_arguments)
{
	static char big[2 * PAGE], *many[MAXARG + 9];
	char *page = page_before_nothing();
	char **end = (char **)(page + PAGE);

	FOR_EACH_BAD (pointer) {
		EXPECT(exec("/echo", pointer), -1);
		if (pointer)
			EXPECT(exec("/echo", (char *[]){ "echo", pointer, 0 }), -1);
	}
	end[-1] = "echo"; // the list runs into nothing
	EXPECT(exec("/echo", end - 1), -1);
	page[PAGE - 1] = 'e'; // so does a string
	EXPECT(exec("/echo", (char *[]){ page + PAGE - 1, 0 }), -1);
	for (int i = 0; i < MAXARG + 8; i++)
		many[i] = "x";
	EXPECT(exec("/echo", many), -1);
	memset(big, 'x', sizeof(big) - 1);
	EXPECT(exec("/echo", (char *[]){ "echo", big, 0 }), -1);
	munmap(page, PAGE);
}

static void use_descriptor(int file)
{
	char bytes[8];
	struct stat st;

	EXPECT(read(file, bytes, 8), -1);
	EXPECT(write(file, bytes, 8), -1);
	EXPECT(fstat(file, &st), -1);
	EXPECT(dup(file), -1);
	EXPECT(close(file), -1);
	CHECK(mmap(0, PAGE, PROT_READ, MAP_PRIVATE, file, 0) == MAP_FAILED);
}

TEST(bad_descriptors)
{
	static const int bad[] = { -1, 3, NOFILE - 1, NOFILE, NOFILE + 1, 100, 1 << 20, 0x7fffffff, -0x7fffffff - 1 };

	for (uint i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		use_descriptor(bad[i]);
}

TEST(bad_lengths)
{
	static char buffer[512];
	int file, count;

	write_file("f", buffer, 100);
	file = open("f", O_RDWR);
	EXPECT(read(file, buffer, -1), -1);
	EXPECT(read(file, buffer, -0x7fffffff - 1), -1);
	EXPECT(write(file, buffer, -1), -1);
	EXPECT(write(file, buffer, -0x7fffffff - 1), -1);
	EXPECT(read(file, buffer, 0), 0);
	EXPECT(write(file, buffer, 0), 0);
	count = read(file, buffer, 0x7fffffff); // no more than the file has is touched
	CHECK(count == 100 || count == -1);
	EXPECT(ps((struct psinfo *)buffer, -1), -1);
	EXPECT(heapinfo((struct heapinfo *)buffer, 0, -1), -1);
	EXPECT(heaptrace((struct heapevent *)buffer, -1, 1), -1);
	EXPECT(meminfo((struct meminfo *)buffer, 99), -1);
	close(file);
	unlink("f");
}

TEST(wraparound)
{
	int file = open("f", O_RDWR | O_CREATE), ends[2];

	EXPECT(pipe(ends), 0);
	EXPECT(write(file, (void *)-8, 16), -1);
	EXPECT(write(file, (void *)-8, 0x7fffffff), -1);
	EXPECT(write(ends[1], (void *)-1, 0x7fffffff), -1);
	EXPECT(read(file, (void *)-8, 16) <= 0, 1);
	CHECK(mmap((void *)-PAGE, 2 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED);
	EXPECT(munmap((void *)-PAGE, 2 * PAGE), -1);
	EXPECT(mprotect((void *)-PAGE, 2 * PAGE, PROT_READ), -1);
	close(file);
	unlink("f");
}

// A buffer of which only the first ten bytes exist.
TEST(straddle)
{
	char *page = page_before_nothing(), *edge = page + PAGE - 10, all[32];
	int file, ends[2], count;

	memmove(edge, "0123456789", 10);
	file = open("f", O_RDWR | O_CREATE);
	EXPECT(write(file, edge, 10), 10);
	count = write(file, edge, 20);
	CHECK(count == -1 || (count >= 0 && count <= 10));
	EXPECT(pipe(ends), 0);
	count = write(ends[1], edge, 20);
	CHECK(count == -1 || (count >= 0 && count <= 10));
	close(file);
	file = open("f", O_RDONLY);
	EXPECT(read(file, edge, 10), 10);
	CHECK(memcmp(edge, "0123456789", 10) == 0);
	write_file("g", "abcdefghijklmnopqrstuvwxyz", 26);
	close(file);
	file = open("g", O_RDONLY);
	count = read(file, edge, 20);
	CHECK(count == -1 || (count >= 0 && count <= 10));
	EXPECT(fstat(file, (struct stat *)edge), -1);
	EXPECT(pipe((int *)(page + PAGE - 4)), -1);
	EXPECT(read_whole("g", all, sizeof(all)), 26);
	munmap(page, PAGE);
	unlink("f");
	unlink("g");
}

TEST(string_at_page_end)
{
	char *page = page_before_nothing(), *name = page + PAGE - 5;

	memmove(name, "file", 5); // its NUL is the last byte there is
	write_file(name, "x", 1);
	CHECK(exists("file"));
	EXPECT(unlink(name), 0);
	memmove(page + PAGE - 4, "file", 4); // no NUL
	EXPECT(open(page + PAGE - 4, O_RDWR | O_CREATE), -1);
	EXPECT(mkdir(page + PAGE - 4), -1);
	EXPECT(unlink(page + PAGE - 4), -1);
	EXPECT(chdir(page + PAGE - 4), -1);
	munmap(page, PAGE);
}

// Results go to any address that can be written, aligned or not, across a page boundary too.
TEST(unaligned_results)
{
	static char area[2 * PAGE] __attribute__((aligned(PAGE)));
	struct stat st;
	int ends[2], status;

	EXPECT(pipe((int *)(area + PAGE - 3)), 0);
	memmove(ends, area + PAGE - 3, sizeof(ends));
	EXPECT(ends[0], 3);
	EXPECT(ends[1], 4);
	EXPECT(fstat(ends[0], (struct stat *)(area + 1)), -1); // a pipe has no inode
	close(ends[0]);
	close(ends[1]);
	EXPECT(ends[0] = open("/", O_RDONLY), 3);
	EXPECT(fstat(ends[0], (struct stat *)(area + PAGE - 9)), 0);
	memmove(&st, area + PAGE - 9, sizeof(st));
	EXPECT(st.type, T_DIR);
	EXPECT(st.ino, ROOTINO);
	if (fork_or_fail() == 0)
		exit(77);
	CHECK(wait((int *)(area + PAGE - 1)) > 0);
	memmove(&status, area + PAGE - 1, sizeof(status));
	EXPECT(status, 77);
}

static long call_number(long number)
{
	register long a0 __asm__("a0") = 0, a7 __asm__("a7") = number;

	__asm__ volatile("ecall" : "+r"(a0) : "r"(a7) : "memory");
	return a0;
}

TEST(unknown_calls)
{
	EXPECT(call_number(0), -1);
	EXPECT(call_number(SYS_close + 1), -1);
	EXPECT(call_number(10000), -1);
	EXPECT(call_number(-1), -1);
	EXPECT(call_number(1L << 40), -1);
}

TEST(kill_bad_pid)
{
	EXPECT(kill(-1), -1);
	EXPECT(kill(0), -1);
	EXPECT(kill(0x7fffffff), -1);
	EXPECT(kill(-0x7fffffff - 1), -1);
}

TEST(bad_modes)
{
	EXPECT(shutdown(7), -1);
	EXPECT(ttymode(7), -1);
	EXPECT(mknod("device", 1, 0), 0);
	EXPECT(mknod("device", 1, 0), -1);
	EXPECT(unlink("device"), 0);
	EXPECT(mknod("strange", 77, 0), 0); // no driver
	EXPECT(open("strange", O_RDWR) < 0 || write(3, "x", 1) < 0, 1);
	EXPECT(unlink("strange"), 0);
}
