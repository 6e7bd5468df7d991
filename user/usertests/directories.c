// directories.c: directories, names and paths.

#include "user/usertests/test.h"

TEST(mkdir_and_remove)
{
	struct stat st;

	EXPECT(mkdir("d"), 0);
	EXPECT(mkdir("d"), -1);
	EXPECT(stat("d", &st), 0);
	EXPECT(st.type, T_DIR);
	EXPECT(mkdir("d/e/f"), -1);
	write_file("d/f", "x", 1);
	EXPECT(unlink("d"), -1); // not empty
	EXPECT(unlink("d/f"), 0);
	EXPECT(mkdir("d/e"), 0);
	EXPECT(unlink("d"), -1);
	EXPECT(unlink("d/e"), 0);
	EXPECT(unlink("d"), 0);
	EXPECT(unlink("d"), -1);
	EXPECT(mkdir("d"), 0);
	EXPECT(unlink("d"), 0);
}

TEST(dots)
{
	struct stat st, up;

	EXPECT(mkdir("d"), 0);
	EXPECT(chdir("d"), 0);
	EXPECT(unlink("."), -1);
	EXPECT(unlink(".."), -1);
	EXPECT(mkdir("."), -1);
	EXPECT(mkdir(".."), -1);
	EXPECT(open(".", O_RDWR | O_CREATE), -1);
	write_file("../f", "x", 1);
	EXPECT(chdir(".."), 0);
	EXPECT(unlink("f"), 0);
	EXPECT(unlink("d/."), -1);
	EXPECT(unlink("d/.."), -1);
	EXPECT(stat("d/../d/./../.", &st), 0);
	EXPECT(stat(".", &up), 0);
	EXPECT(st.ino, up.ino);
	EXPECT(stat("/..", &st), 0);
	EXPECT(st.ino, ROOTINO);
	EXPECT(unlink("d"), 0);
}

TEST(chdir_errors)
{
	write_file("f", "x", 1);
	EXPECT(chdir("nothing"), -1);
	EXPECT(chdir("f"), -1);
	EXPECT(chdir("f/.."), -1);
	CHECK(exists("f")); // still here
	EXPECT(open("f/x", O_RDWR | O_CREATE), -1);
	EXPECT(mkdir("f/d"), -1);
	EXPECT(mkdir("f"), -1);
	unlink("f");
}

TEST(slashes)
{
	EXPECT(mkdir("d"), 0);
	write_file("d///f", "x", 1);
	CHECK(exists("/ut//d/f"));
	CHECK(exists("d//./f"));
	CHECK(exists("d/"));
	CHECK(exists("///"));
	EXPECT(unlink("d//f"), 0);
	EXPECT(unlink("d"), 0);
	EXPECT(mkdir("/"), -1);
	EXPECT(unlink("/"), -1);
	EXPECT(unlink("///"), -1);
}

// Names are cut to DIRSIZ characters, as xv6 does.
TEST(long_names)
{
	char bytes[4];

	write_file("12345678901234", "x", 1);
	EXPECT(read_whole("123456789012345", bytes, 4), 1);
	EXPECT(open("1234567890123", O_RDONLY), -1);
	EXPECT(mkdir("12345678901234567"), -1);
	EXPECT(unlink("12345678901234"), 0);
	EXPECT(mkdir("12345678901234"), 0);
	EXPECT(mkdir("12345678901234/123456789012345"), 0);
	EXPECT(mkdir("12345678901234/12345678901234"), -1);
	EXPECT(unlink("12345678901234/12345678901234"), 0);
	EXPECT(unlink("123456789012345"), 0);
}

TEST(long_paths)
{
	char path[2 * MAXPATH];

	memset(path, '/', sizeof(path));
	path[MAXPATH - 1] = '\0'; // the longest there can be
	path[MAXPATH - 2] = 'f';
	memmove(path, "/ut", 3);
	write_file(path, "x", 1);
	EXPECT(unlink("f"), 0);
	path[MAXPATH - 1] = '/';
	path[MAXPATH - 2] = '/';
	path[MAXPATH] = '\0';
	EXPECT(open(path, O_RDONLY), -1);
	path[MAXPATH] = '/';
	path[2 * MAXPATH - 1] = '\0';
	EXPECT(open(path, O_RDONLY), -1);
	EXPECT(mkdir(path), -1);
	EXPECT(unlink(path), -1);
	EXPECT(chdir(path), -1);
	EXPECT(exec(path, (char *[]){ path, 0 }), -1);
}

TEST(deep_nesting)
{
	const int depth = 40;

	for (int i = 0; i < depth; i++) {
		EXPECT(mkdir("d"), 0);
		EXPECT(chdir("d"), 0);
	}
	write_file("bottom", "x", 1);
	EXPECT(unlink("bottom"), 0);
	for (int i = 0; i < depth; i++) {
		EXPECT(chdir(".."), 0);
		EXPECT(unlink("d"), 0);
	}
	CHECK(exists("../ut"));
}

// More entries than fit in one block, in and out again.
SLOW_TEST(many_entries)
{
	char name[16];
	struct stat st;
	const int count = 2 * BLOCK_BYTES / (int)sizeof(struct dirent) + 20;

	write_file("first", "x", 1);
	for (int i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		EXPECT(link("first", name), 0);
	}
	EXPECT(stat("first", &st), 0);
	EXPECT(st.nlink, count + 1);
	for (int i = 0; i < count; i += 2) {
		snprintf(name, sizeof(name), "n%d", i);
		EXPECT(unlink(name), 0);
	}
	for (int i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		EXPECT(exists(name), i % 2);
		EXPECT(unlink(name), i % 2 ? 0 : -1);
	}
	EXPECT(unlink("first"), 0);
}

TEST(directory_contents)
{
	struct dirent entry;
	int file, seen = 0;

	write_file("one", "x", 1);
	EXPECT(mkdir("two"), 0);
	file = open(".", O_RDONLY);
	while (read(file, &entry, sizeof(entry)) == sizeof(entry)) {
		if (entry.inum == 0)
			continue;
		seen += strcmp(entry.name, ".") == 0 ? 1 : 0;
		seen += strcmp(entry.name, "..") == 0 ? 10 : 0;
		seen += strcmp(entry.name, "one") == 0 ? 100 : 0;
		seen += strcmp(entry.name, "two") == 0 ? 1000 : 0;
	}
	EXPECT(seen, 1111);
	close(file);
	unlink("one");
	unlink("two");
}

// A directory that was removed while a process is in it: nothing can be made there, and the process can go elsewhere.
TEST(removed_directory)
{
	EXPECT(mkdir("d"), 0);
	EXPECT(chdir("d"), 0);
	EXPECT(unlink("../d"), 0);
	EXPECT(open("f", O_RDWR | O_CREATE), -1);
	EXPECT(mkdir("e"), -1);
	EXPECT(link("/usertests", "l"), -1);
	EXPECT(open("", O_RDWR | O_CREATE), -1);
	EXPECT(mkdir(""), -1);
	EXPECT(link("/usertests", ""), -1);
	EXPECT(chdir("/ut"), 0);
	CHECK(!exists("d"));
}

// Inodes of directories that go while they are some process's own come back: many times more than there is room for at once.
TEST(removed_directories)
{
	for (int i = 0; i < NINODE + 20; i++) {
		if (fork_or_fail() == 0) {
			EXPECT(mkdir("d"), 0);
			EXPECT(chdir("d"), 0);
			EXPECT(unlink("/ut/d"), 0);
			exit(0);
		}
		reap(1);
	}
}

TEST(exec_from_elsewhere)
{
	int pid, status;

	EXPECT(mkdir("d"), 0);
	if ((pid = fork_or_fail()) == 0) {
		EXPECT(chdir("d"), 0);
		close(1);
		open("../out", O_WRONLY | O_CREATE);
		exec("../../echo", (char *[]){ "echo", "hi", 0 });
		exit(1);
	}
	EXPECT(wait(&status), pid);
	EXPECT(status, 0);
	char bytes[8];
	EXPECT(read_whole("out", bytes, 8), 3);
	unlink("out");
	EXPECT(unlink("d"), 0);
}
