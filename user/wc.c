// wc.c: counts lines, words and bytes.

#include <stdbool.h>

#include "kernel/fcntl.h"
#include "user/quire.h"

static char buffer[4096];

static void count(int file, const char *name)
{
	uint64 lines = 0, words = 0, bytes = 0;
	bool inside = false; // a word
	int got;

	while ((got = read(file, buffer, sizeof(buffer))) > 0) {
		bytes += (uint)got;
		for (int i = 0; i < got; i++) {
			bool space = strchr(" \t\r\n\v\f", buffer[i]);

			lines += buffer[i] == '\n';
			words += inside && space;
			inside = !space;
		}
	}
	if (got < 0)
		die("wc: cannot read %s", name);
	printf("%lu %lu %lu %s\n", lines, words + inside, bytes, name);
}

int main(int argc, char *argv[])
{
	int file;

	if (argc < 2)
		count(0, "");
	for (int i = 1; i < argc; i++) {
		if ((file = open(argv[i], O_RDONLY)) < 0)
			die("wc: cannot open %s", argv[i]);
		count(file, argv[i]);
		close(file);
	}
	return 0;
}
