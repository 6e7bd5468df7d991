// mkdir.c: makes directories.

#include "user/quire.h"

int main(int argc, char *argv[])
{
	int status = 0;

	if (argc < 2)
		die("usage: mkdir NAME...");
	for (int i = 1; i < argc; i++)
		if (mkdir(argv[i]) < 0) {
			fprintf(2, "mkdir: cannot make %s\n", argv[i]);
			status = 1;
		}
	return status;
}
