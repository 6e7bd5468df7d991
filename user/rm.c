// rm.c: removes names of files, and empty directories.

#include "user/quire.h"

int main(int argc, char *argv[])
{
	int status = 0;

	if (argc < 2)
		die("usage: rm NAME...");
	for (int i = 1; i < argc; i++)
		if (unlink(argv[i]) < 0) {
			fprintf(2, "rm: cannot remove %s\n", argv[i]);
			status = 1;
		}
	return status;
}
