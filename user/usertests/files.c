// files.c: files: what is written is read, at every size and place; names, links, descriptors and flags.

#include "user/usertests/test.h"

static char buffer[3 * PAGE];

static void fill(uint seed, uint place, uint count)
{
	for (uint i = 0; i < count; i++)
		buffer[i] = pattern(seed, place + i);
}

static void verify(uint seed, uint place, uint count)
{
	for (uint i = 0; i < count; i++)
		if (buffer[i] != pattern(seed, place + i))
			FAIL("byte %u is %d, expected %d", place + i, buffer[i], pattern(seed, place + i));
}

TEST(open_missing)
{
	EXPECT(open("nothing", O_RDONLY), -1);
	EXPECT(open("nothing", O_WRONLY), -1);
	EXPECT(open("nothing", O_RDWR), -1);
	EXPECT(open("nowhere/nothing", O_RDWR | O_CREATE), -1);
	CHECK(!exists("nothing"));
}

TEST(small_file)
{
	int file = open("f", O_RDWR | O_CREATE);

	for (uint i = 0; i < 100; i++) {
		fill(1, i * 10, 10);
		EXPECT(write(file, buffer, 10), 10);
	}
	EXPECT(read(file, buffer, 10), 0);
	close(file);
	file = open("f", O_RDONLY);
	EXPECT(read(file, buffer, sizeof(buffer)), 1000);
	verify(1, 0, 1000);
	EXPECT(read(file, buffer, sizeof(buffer)), 0);
	close(file);
	EXPECT(unlink("f"), 0);
	EXPECT(open("f", O_RDONLY), -1);
}

// Writes and reads of many sizes, which begin and end anywhere in a block.
TEST(odd_sizes)
{
	int file = open("f", O_RDWR | O_CREATE);
	uint place = 0;

	for (uint size = 1; size < sizeof(buffer); size = size * 3 / 2 + 1) {
		fill(2, place, size);
		EXPECT(write(file, buffer, (int)size), size);
		place += size;
	}
	close(file);
	for (uint size = 1; size < sizeof(buffer); size = size * 2 + 1) {
		uint at = 0;
		int count;

		file = open("f", O_RDONLY);
		while ((count = read(file, buffer, (int)size)) > 0) {
			verify(2, at, (uint)count);
			at += (uint)count;
			if (size < 16 && at > 2 * PAGE + 100)
				break;
		}
		CHECK(count > 0 || at == place);
		close(file);
	}
	unlink("f");
}

// Far enough for direct, indirect and double-indirect blocks.
SLOW_TEST(big_file)
{
	const uint blocks = NDIRECT + NINDIRECT + 20;
	int file = open("f", O_RDWR | O_CREATE);
	struct stat st;

	for (uint i = 0; i < blocks; i++) {
		fill(i, 0, BSIZE);
		EXPECT(write(file, buffer, BSIZE), BSIZE);
	}
	EXPECT(fstat(file, &st), 0);
	EXPECT(st.size, blocks * BSIZE);
	close(file);
	file = open("f", O_RDONLY);
	for (uint i = 0; i < blocks; i++) {
		EXPECT(read(file, buffer, BSIZE), BSIZE);
		verify(i, 0, BSIZE);
	}
	EXPECT(read(file, buffer, 1), 0);
	close(file);
	EXPECT(unlink("f"), 0);
}

// A file of the largest size takes no byte more.
SLOW_TEST(biggest_file)
{
	int file = open("f", O_RDWR | O_CREATE), written;
	uint64 blocks = 0;
	struct stat st;

	while (blocks < MAXFILE && (written = write(file, buffer, BSIZE)) == BSIZE)
		blocks++;
	CHECK(blocks == MAXFILE || written <= 0); // or the disk is full
	CHECK(write(file, buffer, 1) <= 0 || blocks < MAXFILE);
	EXPECT(fstat(file, &st), 0);
	CHECK(st.size / BSIZE == blocks);
	close(file);
	EXPECT(unlink("f"), 0);
}

// Writes that fail half-way take no blocks with them: far more of them than the disk has blocks.
SLOW_TEST(failed_writes)
{
	for (int i = 0; i < 5000; i++) {
		int file = open("f", O_WRONLY | O_CREATE);

		CHECK(file >= 0);
		EXPECT(write(file, (void *)0x8000000000, BSIZE), -1);
		close(file);
		EXPECT(unlink("f"), 0);
	}
	write_file("f", buffer, sizeof(buffer));
	EXPECT(unlink("f"), 0);
}

// What lies in front of the first byte that cannot be read is written, also when both are in one piece.
TEST(write_up_to_the_end)
{
	char *edge = page_before_nothing() + PAGE, byte = 0;
	int file;

	write_file("f", "abc", 3);
	edge[-2] = 'x';
	edge[-1] = 'y';
	file = open("f", O_RDWR);
	EXPECT(write(file, edge - 2, 3), -1);
	EXPECT(read(file, &byte, 1), 1);
	EXPECT(byte, 'c');
	EXPECT(write(file, edge, 1), -1);
	EXPECT(write(file, edge - 2, PAGE), -1);
	EXPECT(write(file, edge - PAGE, 3 * PAGE), -1);
	close(file);
	EXPECT(read_whole("f", buffer, sizeof(buffer)), 3 + 2 + PAGE);
	CHECK(memcmp(buffer, "xycxy", 5) == 0 && buffer[3 + PAGE] == 'x');
	CHECK(munmap(edge - PAGE, PAGE) == 0);
	unlink("f");
}

TEST(overwrite_middle)
{
	int file;

	fill(1, 0, 3 * PAGE);
	write_file("f", buffer, 3 * PAGE);
	file = open("f", O_RDWR);
	EXPECT(read(file, buffer, PAGE - 50), PAGE - 50);
	fill(9, 0, 100);
	EXPECT(write(file, buffer, 100), 100);
	close(file);
	EXPECT(read_whole("f", buffer, sizeof(buffer)), 3 * PAGE);
	verify(1, 0, PAGE - 50);
	memmove(buffer, buffer + PAGE - 50, 2 * PAGE + 50);
	verify(9, 0, 100);
	memmove(buffer, buffer + 100, 2 * PAGE - 50);
	verify(1, PAGE + 50, 2 * PAGE - 50);
	unlink("f");
}

TEST(truncate)
{
	int old, new;
	char bytes[16];

	write_file("f", "abcdefgh", 8);
	old = open("f", O_RDWR);
	EXPECT(read(old, bytes, 4), 4);
	new = open("f", O_WRONLY | O_TRUNC);
	EXPECT(read(old, bytes, 4), 0); // what was behind the place is gone
	EXPECT(write(new, "xy", 2), 2);
	EXPECT(read(old, bytes, 4), 0);
	EXPECT(write(new, "1234", 4), 4);
	EXPECT(read(old, bytes, 16), 2);
	CHECK(memcmp(bytes, "34", 2) == 0);
	close(old);
	close(new);
	EXPECT(read_whole("f", bytes, 16), 6);
	EXPECT(open("f", O_RDONLY), 3);
	EXPECT(read_whole("f", bytes, 16), 6); // without O_TRUNC nothing is lost
	unlink("f");
}

// A write past the end after someone else truncated: refused, or a gap of zeroes.
TEST(write_behind_end)
{
	char bytes[32];
	int file;

	write_file("f", "abcdefgh", 8);
	file = open("f", O_RDWR);
	EXPECT(read(file, bytes, 8), 8);
	close(open("f", O_WRONLY | O_TRUNC));
	if (write(file, "z", 1) == 1) {
		EXPECT(read_whole("f", bytes, 32), 9);
		EXPECT(bytes[0], 0);
		EXPECT(bytes[8], 'z');
	}
	close(file);
	unlink("f");
}

TEST(append)
{
	char bytes[16];
	int one, two;

	write_file("f", "ab", 2);
	one = open("f", O_WRONLY | O_APPEND);
	two = open("f", O_WRONLY | O_APPEND);
	EXPECT(write(one, "c", 1), 1);
	EXPECT(write(two, "d", 1), 1);
	EXPECT(write(one, "e", 1), 1);
	close(one);
	close(two);
	EXPECT(read_whole("f", bytes, 16), 5);
	CHECK(memcmp(bytes, "abcde", 5) == 0);
	unlink("f");
}

TEST(access_modes)
{
	char byte = 'x';
	int file;

	write_file("f", "abc", 3);
	file = open("f", O_RDONLY);
	EXPECT(write(file, &byte, 1), -1);
	close(file);
	file = open("f", O_WRONLY);
	EXPECT(read(file, &byte, 1), -1);
	EXPECT(write(file, &byte, 1), 1);
	close(file);
	EXPECT(open(".", O_WRONLY), -1);
	EXPECT(open(".", O_RDWR), -1);
	EXPECT(open(".", O_RDONLY | O_CREATE), -1);
	EXPECT(file = open(".", O_RDONLY), 3);
	EXPECT(write(file, &byte, 1), -1);
	close(file);
	unlink("f");
}

TEST(shared_offset)
{
	char bytes[4];
	int file, copy;

	write_file("f", "abcdefgh", 8);
	file = open("f", O_RDONLY);
	copy = dup(file);
	EXPECT(read(file, bytes, 2), 2);
	EXPECT(read(copy, bytes, 2), 2);
	CHECK(memcmp(bytes, "cd", 2) == 0);
	if (fork_or_fail() == 0) {
		EXPECT(read(file, bytes, 2), 2);
		exit(0);
	}
	reap(1);
	EXPECT(read(copy, bytes, 2), 2);
	CHECK(memcmp(bytes, "gh", 2) == 0);
	close(file);
	EXPECT(read(copy, bytes, 2), 0);
	unlink("f");
}

TEST(unlinked_but_open)
{
	int file = open("f", O_RDWR | O_CREATE);
	struct stat st;

	fill(3, 0, 2 * PAGE);
	EXPECT(write(file, buffer, PAGE), PAGE);
	EXPECT(unlink("f"), 0);
	EXPECT(unlink("f"), -1);
	EXPECT(write(file, buffer + PAGE, PAGE), PAGE);
	EXPECT(fstat(file, &st), 0);
	EXPECT(st.nlink, 0);
	EXPECT(st.size, 2 * PAGE);
	write_file("f", "new", 3);
	EXPECT(read_whole("f", buffer, sizeof(buffer)), 3);
	close(file);
	unlink("f");
}

TEST(links)
{
	struct stat one, two;
	char bytes[8];

	write_file("a", "hello", 5);
	EXPECT(link("a", "b"), 0);
	EXPECT(stat("a", &one), 0);
	EXPECT(stat("b", &two), 0);
	EXPECT(one.ino, two.ino);
	EXPECT(one.nlink, 2);
	EXPECT(unlink("a"), 0);
	EXPECT(open("a", O_RDONLY), -1);
	EXPECT(read_whole("b", bytes, 8), 5);
	EXPECT(link("b", "b"), -1);
	EXPECT(link("a", "c"), -1);
	EXPECT(link("b", "nowhere/c"), -1);
	EXPECT(link(".", "c"), -1); // no second name for a directory
	write_file("d", "x", 1);
	EXPECT(link("b", "d"), -1);
	EXPECT(unlink("b"), 0);
	EXPECT(unlink("d"), 0);
}

TEST(stat_of_kinds)
{
	struct stat st;
	int ends[2];

	EXPECT(stat("/", &st), 0);
	EXPECT(st.type, T_DIR);
	EXPECT(st.ino, ROOTINO);
	EXPECT(stat("/console", &st), 0);
	EXPECT(st.type, T_DEVICE);
	EXPECT(stat("/usertests", &st), 0);
	EXPECT(st.type, T_FILE);
	CHECK(st.size > 0 && st.nlink == 1 && st.dev == ROOTDEV);
	EXPECT(pipe(ends), 0);
	EXPECT(fstat(ends[0], &st), -1);
	EXPECT(stat("nothing", &st), -1);
}

TEST(descriptors)
{
	int file = open("/", O_RDONLY), last;

	EXPECT(file, 3);
	for (int next = 4; next < NOFILE; next++)
		EXPECT(dup(file), next);
	EXPECT(dup(file), -1);
	EXPECT(open("/", O_RDONLY), -1);
	EXPECT(pipe(&last), -1);
	close(7);
	EXPECT(pipe((int[2]){ 0 }), -1); // it needs two
	EXPECT(open("/", O_RDONLY), 7);  // the one that was free is so again
	close(NOFILE - 1);
	close(5);
	EXPECT(dup(file), 5);
}

// A new file does not show what its blocks held before.
TEST(blocks_are_clean)
{
	int file;

	memset(buffer, 'S', sizeof(buffer));
	for (int round = 0; round < 3; round++) {
		write_file("secret", buffer, sizeof(buffer));
		unlink("secret");
		file = open("f", O_RDWR | O_CREATE | O_TRUNC);
		EXPECT(write(file, "a", 1), 1);
		EXPECT(read(file, buffer, 100), 0);
		close(file);
		EXPECT(read_whole("f", buffer, sizeof(buffer)), 1);
		memset(buffer, 'S', sizeof(buffer));
	}
	unlink("f");
}

TEST(sync_and_read_back)
{
	fill(8, 0, 3 * PAGE);
	write_file("f", buffer, 3 * PAGE);
	EXPECT(sync(), 0);
	memset(buffer, 0, sizeof(buffer));
	EXPECT(read_whole("f", buffer, sizeof(buffer)), 3 * PAGE);
	verify(8, 0, 3 * PAGE);
	unlink("f");
	EXPECT(sync(), 0);
}
