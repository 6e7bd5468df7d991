// head.c: prints the first lines of its input or of files: head [-N] [FILE...].

#include "kernel/fcntl.h"
#include "user/quire.h"

static char buffer[4096];

static void head(int file, int lines)
{
	int count, end;

	while (lines > 0 && (count = read(file, buffer, sizeof(buffer))) > 0) {
		for (end = 0; end < count && lines > 0; end++)
			lines -= buffer[end] == '\n';
		write(1, buffer, end);
	}
}

int main(int argc, char *argv[])
{
	int lines = 10, first = 1, file;

	if (argc > 1 && argv[1][0] == '-') {
		lines = atoi(argv[1] + (argv[1][1] == 'n' ? 2 : 1));
		first = 2;
	}
	if (first == argc)
		head(0, lines);
	for (int i = first; i < argc; i++) {
		if ((file = open(argv[i], O_RDONLY)) < 0)
			die("head: cannot open %s", argv[i]);
		head(file, lines);
		close(file);
	}
	return 0;
}
