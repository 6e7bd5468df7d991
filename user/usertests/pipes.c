// pipes.c: pipes: order, ends, waiting.

#include "user/usertests/test.h"

static char buffer[5000];

static void send(int file, uint total, uint step)
{
	for (uint place = 0; place < total; place += step) {
		uint count = total - place < step ? total - place : step;

		for (uint i = 0; i < count; i++)
			buffer[i] = pattern(4, place + i);
		EXPECT(write(file, buffer, (int)count), count);
	}
}

static void receive(int file, uint total, uint step)
{
	uint place = 0;
	int count;

	while ((count = read(file, buffer, (int)step)) > 0)
		for (int i = 0; i < count; i++, place++)
			if (buffer[i] != pattern(4, place))
				FAIL("byte %u is wrong", place);
	EXPECT(count, 0);
	EXPECT(place, total);
}

TEST(pipe_order)
{
	static const uint steps[] = { 1, 7, 512, 1033, 5000 };
	int ends[2];

	for (uint i = 0; i < 5; i++) {
		uint total = steps[i] == 1 ? 3000 : 60000;

		EXPECT(pipe(ends), 0);
		if (fork_or_fail() == 0) {
			close(ends[0]);
			send(ends[1], total, steps[i]);
			exit(0);
		}
		close(ends[1]);
		receive(ends[0], total, steps[4 - i]);
		close(ends[0]);
		reap(1);
	}
}

TEST(pipe_ends)
{
	int ends[2];
	char byte;

	EXPECT(pipe(ends), 0);
	EXPECT(read(ends[1], &byte, 1), -1); // the wrong ways round
	EXPECT(write(ends[0], &byte, 1), -1);
	EXPECT(write(ends[1], "ab", 2), 2);
	close(ends[1]);
	EXPECT(read(ends[0], &byte, 1), 1);
	EXPECT(read(ends[0], &byte, 1), 1);
	EXPECT(byte, 'b');
	EXPECT(read(ends[0], &byte, 1), 0); // no writer is left
	close(ends[0]);
	EXPECT(pipe(ends), 0);
	close(ends[0]);
	EXPECT(write(ends[1], &byte, 1), -1); // no reader is left
	close(ends[1]);
}

// A reader takes what there is instead of waiting for all that it asked for.
TEST(pipe_short_read)
{
	int ends[2];

	EXPECT(pipe(ends), 0);
	EXPECT(write(ends[1], "abc", 3), 3);
	EXPECT(read(ends[0], buffer, 100), 3);
	close(ends[0]);
	close(ends[1]);
}

// A writer that waits for room finds out that the last reader went.
TEST(pipe_reader_goes)
{
	int ends[2];

	EXPECT(pipe(ends), 0);
	if (fork_or_fail() == 0) {
		close(ends[0]);
		while (write(ends[1], buffer, sizeof(buffer)) == sizeof(buffer))
			;
		exit(0);
	}
	close(ends[1]);
	EXPECT(read(ends[0], buffer, 10), 10);
	pause(1);
	close(ends[0]);
	reap(1);
}

// End of input comes only when every copy of the write end is closed.
TEST(pipe_many_writers)
{
	int ends[2], total = 0, count;

	EXPECT(pipe(ends), 0);
	for (int child = 0; child < 5; child++)
		if (fork_or_fail() == 0) {
			for (int i = 0; i < 100; i++)
				EXPECT(write(ends[1], "0123456789", 10), 10);
			exit(0);
		}
	close(ends[1]);
	while ((count = read(ends[0], buffer, sizeof(buffer))) > 0)
		total += count;
	EXPECT(total, 5000);
	close(ends[0]);
	reap(5);
}

// Small writes of several processes stay whole.
TEST(pipe_whole_writes)
{
	int ends[2], counts[3] = { 0 };

	EXPECT(pipe(ends), 0);
	for (int child = 0; child < 3; child++)
		if (fork_or_fail() == 0) {
			char word[8];

			memset(word, 'a' + child, 8);
			for (int i = 0; i < 200; i++)
				EXPECT(write(ends[1], word, 8), 8);
			exit(0);
		}
	close(ends[1]);
	for (int got; (got = read(ends[0], buffer, 8)) > 0;) {
		while (got < 8)
			got += read(ends[0], buffer + got, 8 - got);
		for (int i = 1; i < 8; i++)
			EXPECT(buffer[i], buffer[0]);
		counts[buffer[0] - 'a']++;
	}
	for (int child = 0; child < 3; child++)
		EXPECT(counts[child], 200);
	close(ends[0]);
	reap(3);
}

TEST(pipe_ping_pong)
{
	int there[2], back[2];
	char byte = 0;

	EXPECT(pipe(there), 0);
	EXPECT(pipe(back), 0);
	if (fork_or_fail() == 0) {
		close(there[1]);
		while (read(there[0], &byte, 1) == 1) {
			byte++;
			EXPECT(write(back[1], &byte, 1), 1);
		}
		exit(0);
	}
	for (int i = 0; i < 500; i++) {
		EXPECT(write(there[1], &byte, 1), 1);
		EXPECT(read(back[0], &byte, 1), 1);
		EXPECT((uchar)byte, (i + 1) % 256);
	}
	close(there[1]);
	reap(1);
}

// What a pipe holds goes when nobody can read it any more.
TEST(pipe_unread)
{
	int ends[2];

	for (int i = 0; i < 50; i++) {
		EXPECT(pipe(ends), 0);
		EXPECT(write(ends[1], buffer, 500), 500);
		close(ends[i % 2]);
		close(ends[1 - i % 2]);
	}
}

// A sieve: a chain of processes, each passing on what its prime does not divide.
TEST(pipe_primes)
{
	int input[2], next[2], prime, number, found = 0;
	static const int expected[] = { 2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31 };

	EXPECT(pipe(input), 0);
	if (fork_or_fail() == 0) {
		close(input[0]);
		for (number = 2; number <= 35; number++)
			write(input[1], &number, sizeof(number));
		exit(0);
	}
	close(input[1]);
	while (read(input[0], &prime, sizeof(prime)) == sizeof(prime)) {
		EXPECT(prime, expected[found++]);
		EXPECT(pipe(next), 0);
		if (fork_or_fail() == 0) {
			close(next[0]);
			while (read(input[0], &number, sizeof(number)) == sizeof(number))
				if (number % prime != 0)
					write(next[1], &number, sizeof(number));
			exit(0);
		}
		close(next[1]);
		close(input[0]);
		input[0] = next[0];
	}
	EXPECT(found, 11);
	close(input[0]);
	reap(12);
}
