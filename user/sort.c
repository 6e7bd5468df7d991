// sort.c: prints the lines of its input or of files in order: sort [-n] [-r] [FILE...].
//
//      whole input in one block -> a table of line starts -> merge sort -> output
//
// Merge sort needs a second table, but its time is n log n on any input, and equal lines keep their order.

#include <stdbool.h>

#include "kernel/fcntl.h"
#include "user/quire.h"

static char *text; // ends with '\0' in place of each newline
static uint used, room;
static bool numeric, reverse;

static void take(int file, const char *name)
{
	int count;

	do {
		if (room - used < 4097) {
			room = 2 * room + 8192;
			if ((text = realloc(text, room)) == 0)
				die("sort: out of memory");
		}
		if ((count = read(file, text + used, 4096)) < 0)
			die("sort: cannot read %s", name);
		used += (uint)count;
	} while (count > 0);
	if (used > 0 && text[used - 1] != '\n')
		text[used++] = '\n';
}

static int number(const char *line)
{
	while (*line == ' ')
		line++;
	return *line == '-' ? -atoi(line + 1) : atoi(line);
}

static bool before(const char *a, const char *b) // or equal
{
	int x = number(a), y = number(b), order;

	if (numeric && x != y)
		order = x < y ? -1 : 1;
	else
		order = strcmp(a, b);
	return reverse ? order >= 0 : order <= 0;
}

static void merge_sort(char **lines, char **spare, uint count)
{
	uint half = count / 2, left = 0, right = half, to = 0;

	if (count < 2)
		return;
	merge_sort(lines, spare, half);
	merge_sort(lines + half, spare, count - half);
	while (left < half || right < count) {
		bool take_left = right == count || (left < half && before(lines[left], lines[right]));

		spare[to++] = lines[take_left ? left++ : right++];
	}
	memmove(lines, spare, (int)(count * sizeof(lines[0])));
}

static void sort_and_print(void)
{
	char **lines;
	uint count = 0, line = 0;

	for (uint i = 0; i < used; i++)
		count += text[i] == '\n';
	if ((lines = malloc(2 * count * (uint)sizeof(lines[0]))) == 0)
		die("sort: out of memory");
	for (uint start = 0, i = 0; i < used; i++)
		if (text[i] == '\n') {
			text[i] = '\0';
			lines[line++] = text + start;
			start = i + 1;
		}
	merge_sort(lines, lines + count, count);
	for (uint i = 0; i < count; i++)
		printf("%s\n", lines[i]);
}

int main(int argc, char *argv[])
{
	int first = 1, file;

	for (; first < argc && argv[first][0] == '-'; first++) {
		numeric |= strchr(argv[first], 'n') != 0;
		reverse |= strchr(argv[first], 'r') != 0;
	}
	if (first == argc)
		take(0, "input");
	for (int i = first; i < argc; i++) {
		if ((file = open(argv[i], O_RDONLY)) < 0)
			die("sort: cannot open %s", argv[i]);
		take(file, argv[i]);
		close(file);
	}
	sort_and_print();
	return 0;
}
