// concurrent.c: several processes in the same files and directories.

#include "user/usertests/test.h"

static char buffer[BLOCK_BYTES];

// Four processes write a file each; nobody's bytes end up in another's.
SLOW_TEST(four_files)
{
	char name[2] = "0";

	for (int child = 0; child < 4; child++)
		if (fork_or_fail() == 0) {
			name[0] = (char)('0' + child);
			memset(buffer, name[0], sizeof(buffer));
			int file = open(name, O_RDWR | O_CREATE);
			for (int i = 0; i < 30; i++)
				EXPECT(write(file, buffer, 1500), 1500);
			exit(0);
		}
	reap(4);
	for (int child = 0; child < 4; child++) {
		int total = 0, count, file;

		name[0] = (char)('0' + child);
		file = open(name, O_RDONLY);
		while ((count = read(file, buffer, sizeof(buffer))) > 0) {
			for (int i = 0; i < count; i++)
				EXPECT(buffer[i], name[0]);
			total += count;
		}
		EXPECT(total, 30 * 1500);
		close(file);
		unlink(name);
	}
}

// Processes make and remove files of their own in one directory.
SLOW_TEST(create_and_remove)
{
	char name[8];

	for (int child = 0; child < 4; child++)
		if (fork_or_fail() == 0) {
			for (int i = 0; i < 25; i++) {
				snprintf(name, sizeof(name), "%c%d", 'p' + child, i);
				write_file(name, name, 3);
				if (i > 0 && i % 2 == 0) {
					snprintf(name, sizeof(name), "%c%d", 'p' + child, i / 2);
					EXPECT(unlink(name), 0);
				}
			}
			exit(0);
		}
	reap(4);
	for (int i = 0; i < 25; i++)
		for (int child = 0; child < 4; child++) {
			snprintf(name, sizeof(name), "%c%d", 'p' + child, i);
			EXPECT(exists(name), i == 0 || i > 12);
			unlink(name);
		}
}

// The same three names, made, linked and removed by everyone at once: whatever happens, nothing breaks.
SLOW_TEST(same_names)
{
	for (int child = 0; child < 5; child++)
		if (fork_or_fail() == 0) {
			uint state = (uint)child * 77 + 1;

			for (int i = 0; i < 100; i++) {
				char a[2] = "x", b[2] = "x";

				state = state * 1103515245 + 12345;
				a[0] = (char)('x' + (state >> 16) % 3);
				b[0] = (char)('x' + (state >> 20) % 3);
				switch ((state >> 24) % 4) {
				case 0:
					close(open(a, O_RDWR | O_CREATE));
					break;
				case 1:
					link(a, b);
					break;
				case 2:
					unlink(a);
					break;
				default:
					mkdir(a);
				}
			}
			exit(0);
		}
	reap(5);
	unlink("x");
	unlink("y");
	unlink("z");
}

// One maker of a directory wins; the others are told.
TEST(mkdir_race)
{
	for (int round = 0; round < 10; round++) {
		int winners = 0, status;

		for (int child = 0; child < 5; child++)
			if (fork_or_fail() == 0)
				exit(mkdir("d") == 0);
		for (int child = 0; child < 5; child++) {
			CHECK(wait(&status) > 0);
			winners += status;
		}
		EXPECT(winners, 1);
		EXPECT(unlink("d"), 0);
	}
}

TEST(create_race)
{
	for (int child = 0; child < 5; child++)
		if (fork_or_fail() == 0) {
			for (int i = 0; i < 20; i++) {
				int file = open("f", O_RDWR | O_CREATE);

				CHECK(file >= 0);
				EXPECT(write(file, "x", 1), 1);
				close(file);
			}
			exit(0);
		}
	reap(5);
	EXPECT(read_whole("f", buffer, sizeof(buffer)), 1);
	EXPECT(unlink("f"), 0);
	EXPECT(unlink("f"), -1);
}

// Two processes write through one open file: all bytes arrive, once.
TEST(shared_descriptor)
{
	int file = open("f", O_RDWR | O_CREATE), counts[2] = { 0 };

	for (int child = 0; child < 2; child++)
		if (fork_or_fail() == 0) {
			memset(buffer, 'p' + child, 10);
			for (int i = 0; i < 200; i++)
				EXPECT(write(file, buffer, 10), 10);
			exit(0);
		}
	reap(2);
	EXPECT(read_whole("f", buffer, sizeof(buffer)), 4000);
	for (int i = 0; i < 4000; i++)
		counts[buffer[i] - 'p']++;
	EXPECT(counts[0], 2000);
	EXPECT(counts[1], 2000);
	close(file);
	unlink("f");
}

TEST(append_race)
{
	for (int child = 0; child < 4; child++)
		if (fork_or_fail() == 0) {
			int file = open("f", O_WRONLY | O_CREATE | O_APPEND);

			for (int i = 0; i < 50; i++)
				EXPECT(write(file, "01234567", 8), 8);
			exit(0);
		}
	reap(4);
	EXPECT(read_whole("f", buffer, sizeof(buffer)), 4 * 50 * 8);
	for (int i = 0; i < 4 * 50 * 8; i++)
		EXPECT(buffer[i], '0' + i % 8);
	unlink("f");
}

// A reader sees each block either as it was or as it becomes, never half.
TEST(read_while_written)
{
	int writer, file = open("f", O_RDWR | O_CREATE);

	memset(buffer, 'a', BLOCK_BYTES);
	EXPECT(write(file, buffer, BLOCK_BYTES), BLOCK_BYTES);
	close(file);
	if ((writer = fork_or_fail()) == 0)
		for (char c = 'b';; c = c == 'z' ? 'a' : (char)(c + 1)) {
			memset(buffer, c, BLOCK_BYTES);
			file = open("f", O_WRONLY);
			EXPECT(write(file, buffer, BLOCK_BYTES), BLOCK_BYTES);
			close(file);
		}
	for (int i = 0; i < 100; i++) {
		EXPECT(read_whole("f", buffer, BLOCK_BYTES), BLOCK_BYTES);
		for (int k = 1; k < BLOCK_BYTES; k++)
			EXPECT(buffer[k], buffer[0]);
	}
	kill(writer);
	wait(0);
	unlink("f");
}

// Processes killed at any moment of file work leave the file system whole and hold nothing.
SLOW_TEST(killed_while_writing)
{
	int pid;

	for (int i = 0; i < 20; i++) {
		if ((pid = fork_or_fail()) == 0)
			for (;;) {
				int file = open("f", O_RDWR | O_CREATE | O_TRUNC);

				for (int k = 0; k < 10; k++)
					write(file, buffer, sizeof(buffer));
				close(file);
				unlink("f");
			}
		if (i % 2)
			pause(1);
		kill(pid);
		EXPECT(wait(0), pid);
		unlink("f");
	}
	EXPECT(mkdir("d"), 0);
	EXPECT(unlink("d"), 0);
}

// Removing a file while others have it open.
TEST(unlink_while_open)
{
	for (int child = 0; child < 4; child++)
		if (fork_or_fail() == 0) {
			for (int i = 0; i < 30; i++) {
				int file = open("f", O_RDWR | O_CREATE);

				CHECK(file >= 0);
				unlink("f");
				EXPECT(write(file, buffer, 100), 100);
				close(file);
			}
			exit(0);
		}
	reap(4);
	unlink("f");
}

// Deep in different directories at the same time, with .. on the way.
SLOW_TEST(paths_race)
{
	EXPECT(mkdir("a"), 0);
	for (int child = 0; child < 4; child++)
		if (fork_or_fail() == 0) {
			char path[16];

			snprintf(path, sizeof(path), "a/%d", child);
			for (int i = 0; i < 30; i++) {
				EXPECT(mkdir(path), 0);
				CHECK(exists("a/../a/.."));
				EXPECT(unlink(path), 0);
				stat("a/0/..", &(struct stat){ 0 });
			}
			exit(0);
		}
	reap(4);
	EXPECT(unlink("a"), 0);
}

// A directory is removed while others open it and go into it.
TEST(directory_goes)
{
	for (int round = 0; round < 20; round++) {
		EXPECT(mkdir("d"), 0);
		for (int child = 0; child < 3; child++)
			if (fork_or_fail() == 0) {
				int file = open("d", child == 0 ? O_RDONLY : O_RDWR);

				CHECK(file < 0 || child == 0);
				if (chdir("d") == 0)
					open("f", O_RDONLY);
				exit(0);
			}
		EXPECT(unlink("d"), 0);
		reap(3);
	}
}

SLOW_TEST(sync_while_writing)
{
	for (int child = 0; child < 3; child++)
		if (fork_or_fail() == 0) {
			char name[2] = { (char)('0' + child), 0 };

			for (int i = 0; i < 10; i++) {
				write_file(name, buffer, BLOCK_BYTES);
				EXPECT(sync(), 0);
				EXPECT(unlink(name), 0);
			}
			exit(0);
		}
	reap(3);
}
