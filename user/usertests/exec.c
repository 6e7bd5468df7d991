// exec.c: exec with good programs, bad files and damaged ones.

#include "user/usertests/test.h"

static void run_program(void *path)
{
	exec(path, (char *[]){ path, 0 });
	exit(9); // it could not be run: that is what is expected
}

TEST(exec_bad_files)
{
	static char bytes[5000];

	write_file("empty", bytes, 0);
	write_file("short", "\177ELF", 4);
	write_file("zeroes", bytes, sizeof(bytes));
	write_file("text", "echo this is no program\n", 24);
	EXPECT(mkdir("d"), 0);
	EXPECT(status_of(run_program, "empty"), 9);
	EXPECT(status_of(run_program, "short"), 9);
	EXPECT(status_of(run_program, "zeroes"), 9);
	EXPECT(status_of(run_program, "text"), 9);
	EXPECT(status_of(run_program, "d"), 9);
	EXPECT(status_of(run_program, "."), 9);
	EXPECT(status_of(run_program, "missing"), 9);
	EXPECT(status_of(run_program, ""), 9);
	EXPECT(status_of(run_program, "/console"), 9);
	unlink("empty");
	unlink("short");
	unlink("zeroes");
	unlink("text");
	unlink("d");
}

// A real program whose headers are damaged, byte by byte: it runs, is refused or dies, but nothing else happens.
SLOW_TEST(exec_damaged)
{
	static char program[40000];
	int size = read_whole("/echo", program, sizeof(program)), status;

	CHECK(size > 1000);
	for (int place = 0; place < 64 + 3 * 56; place += place < 64 ? 1 : 3) {
		char good = program[place];

		program[place] = (char)(good ^ (0x80 | place));
		write_file("damaged", program, size);
		program[place] = good;
		if (fork_or_fail() == 0) {
			close(1);
			exec("damaged", (char *[]){ "damaged", 0 });
			exit(9);
		}
		CHECK(wait(&status) > 0);
	}
	unlink("damaged");
}

TEST(exec_arguments)
{
	static char *many[MAXARG + 1], text[200];
	static char expected[4 * MAXARG];

	for (int i = 0; i < MAXARG - 1; i++)
		many[i] = "abc";
	if (fork_or_fail() == 0) {
		close(1);
		open("out", O_WRONLY | O_CREATE);
		exec("/echo", many);
		exit(1);
	}
	reap(1);
	for (int i = 0; i < MAXARG - 2; i++)
		memmove(expected + 4 * i, "abc ", 4);
	EXPECT(read_whole("out", text, sizeof(text)), 4 * (MAXARG - 2));
	CHECK(memcmp(text, expected, 4 * (MAXARG - 2) - 1) == 0);
	unlink("out");
}

TEST(exec_keeps_descriptors)
{
	char bytes[16];
	int ends[2];

	EXPECT(pipe(ends), 0);
	if (fork_or_fail() == 0) {
		close(1);
		dup(ends[1]);
		close(ends[0]);
		close(ends[1]);
		exec("/echo", (char *[]){ "echo", "through", 0 });
		exit(1);
	}
	close(ends[1]);
	reap(1);
	EXPECT(read(ends[0], bytes, 16), 8);
	CHECK(memcmp(bytes, "through\n", 8) == 0);
	EXPECT(read(ends[0], bytes, 16), 0);
}

// Exec over and over: no page, descriptor or table stays behind.
TEST(exec_often)
{
	for (int i = 0; i < 30; i++) {
		if (fork_or_fail() == 0) {
			close(1);
			exec("/echo", (char *[]){ "echo", 0 });
			exit(1);
		}
		reap(1);
	}
}

// Failed execs give back all that they took.
TEST(exec_fails_often)
{
	write_file("bad", "\177ELF and nothing more, but long enough for a header to be read from it, and then", 80);
	for (int i = 0; i < 50; i++) {
		EXPECT(exec("bad", (char *[]){ "bad", 0 }), -1);
		EXPECT(exec("missing", (char *[]){ "missing", 0 }), -1);
	}
	unlink("bad");
}
