// cp.c: copies a file.

#include "kernel/fcntl.h"
#include "user/quire.h"

static char buffer[16384];

int main(int argc, char *argv[])
{
	int from, to, count;

	if (argc != 3)
		die("usage: cp FROM TO");
	if ((from = open(argv[1], O_RDONLY)) < 0)
		die("cp: cannot open %s", argv[1]);
	if ((to = open(argv[2], O_WRONLY | O_CREATE | O_TRUNC)) < 0)
		die("cp: cannot make %s", argv[2]);
	while ((count = read(from, buffer, sizeof(buffer))) > 0)
		if (write(to, buffer, count) != count)
			die("cp: cannot write %s", argv[2]);
	if (count < 0)
		die("cp: cannot read %s", argv[1]);
	return 0;
}
