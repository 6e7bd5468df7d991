// cat.c: copies files, or its input, to its output.

#include "kernel/fcntl.h"
#include "user/quire.h"

static char buffer[4096];

static void copy(int file, const char *name)
{
	int count;

	while ((count = read(file, buffer, sizeof(buffer))) > 0)
		if (write(1, buffer, count) != count)
			die("cat: cannot write");
	if (count < 0)
		die("cat: cannot read %s", name);
}

int main(int argc, char *argv[])
{
	int file;

	if (argc < 2)
		copy(0, "input");
	for (int i = 1; i < argc; i++) {
		if ((file = open(argv[i], O_RDONLY)) < 0)
			die("cat: cannot open %s", argv[i]);
		copy(file, argv[i]);
		close(file);
	}
	return 0;
}
