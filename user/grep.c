// grep.c: prints the lines that match a pattern: grep [-v] [-n] PATTERN [FILE...].
//
//      ^  the start of the line      .   any character              \X  X itself
//      $  its end                    X*  any number of X, or none
//
// Status 0: something matched, 1: nothing did. The matcher tries a line at each place in turn; at a star it takes as few characters as it
// can and, when the rest does not match, one more. That is short, and slow only for patterns with many stars.

#include <stdbool.h>

#include "kernel/fcntl.h"
#include "user/quire.h"

#define LINE 4096 // longer lines are matched in pieces

static const char *pattern;
static bool invert, numbers, names;

static bool match_here(const char *p, const char *text)
{
	char c = *p == '\\' && p[1] ? p[1] : *p;
	bool any = *p == '.';
	const char *next = p + (*p == '\\' && p[1] ? 2 : 1);

	if (*p == '\0')
		return true;
	if (*p == '$' && p[1] == '\0')
		return *text == '\0';
	if (*next == '*') {
		for (;; text++) {
			if (match_here(next + 1, text))
				return true;
			if (*text == '\0' || (!any && *text != c))
				return false;
		}
	}
	return *text && (any || *text == c) && match_here(next, text + 1);
}

static bool matches(const char *text)
{
	if (*pattern == '^')
		return match_here(pattern + 1, text);
	for (;; text++) {
		if (match_here(pattern, text))
			return true;
		if (*text == '\0')
			return false;
	}
}

static int show(const char *name, int number, char *line)
{
	if (matches(line) == invert)
		return 0;
	if (names)
		printf("%s:", name);
	if (numbers)
		printf("%d:", number);
	printf("%s\n", line);
	return 1;
}

static int grep(int file, const char *name)
{
	static char buffer[LINE];
	int used = 0, count, found = 0, number = 1;

	while ((count = read(file, buffer + used, LINE - 1 - used)) > 0) {
		char *line = buffer, *end;

		used += count;
		buffer[used] = '\0';
		while ((end = strchr(line, '\n'))) {
			*end = '\0';
			found += show(name, number++, line);
			line = end + 1;
		}
		used -= (int)(line - buffer);
		memmove(buffer, line, used + 1);
		if (used == LINE - 1) {
			found += show(name, number, buffer);
			used = 0;
		}
	}
	if (used > 0)
		found += show(name, number, buffer);
	return found;
}

int main(int argc, char *argv[])
{
	int first = 1, found = 0, file;

	for (; first < argc && argv[first][0] == '-'; first++) {
		invert |= strchr(argv[first], 'v') != 0;
		numbers |= strchr(argv[first], 'n') != 0;
	}
	if (first == argc)
		die("usage: grep [-v] [-n] PATTERN [FILE...]");
	pattern = argv[first++];
	names = argc - first > 1;
	if (first == argc)
		found = grep(0, "input");
	for (int i = first; i < argc; i++) {
		if ((file = open(argv[i], O_RDONLY)) < 0)
			die("grep: cannot open %s", argv[i]);
		found += grep(file, argv[i]);
		close(file);
	}
	return found == 0;
}
