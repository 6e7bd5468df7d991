// mv.c: gives a file another name. A file that has the new name already loses it.

#include "kernel/stat.h"
#include "user/quire.h"

int main(int argc, char *argv[])
{
	struct stat from, to;

	if (argc != 3)
		die("usage: mv OLD NEW");
	if (stat(argv[1], &from) < 0)
		die("mv: there is no %s", argv[1]);
	if (stat(argv[2], &to) == 0) {
		if (from.dev == to.dev && from.ino == to.ino)
			die("mv: %s and %s are the same file", argv[1], argv[2]);
		if (to.type == T_DIR || unlink(argv[2]) < 0)
			die("mv: %s is in the way", argv[2]);
	}
	if (link(argv[1], argv[2]) < 0 || unlink(argv[1]) < 0)
		die("mv: cannot rename %s", argv[1]);
	return 0;
}
