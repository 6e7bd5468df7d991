// kill.c: ends processes.

#include "user/quire.h"

int main(int argc, char *argv[])
{
	int status = 0;

	if (argc < 2)
		die("usage: kill PID...");
	for (int i = 1; i < argc; i++)
		if (kill(atoi(argv[i])) < 0) {
			fprintf(2, "kill: there is no process %s\n", argv[i]);
			status = 1;
		}
	return status;
}
