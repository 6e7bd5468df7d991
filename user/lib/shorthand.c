// shorthand.c: small helpers over one or two system calls.

#include "kernel/fcntl.h"
#include "kernel/vm.h"
#include "user/user.h"

char *sbrk(int bytes)
{
	return sys_sbrk(bytes, SBRK_BOUNDED);
}

char *sbrklazy(int bytes)
{
	return sys_sbrk(bytes, SBRK_LAZY);
}

int stat(const char *path, struct stat *to)
{
	int file = open(path, O_RDONLY), result;

	if (file < 0)
		return -1;
	result = fstat(file, to);
	close(file);
	return result;
}

char *gets(char *line, int max)
{
	int length = 0;

	while (length + 1 < max && read(0, line + length, 1) == 1) {
		char c = line[length++];

		if (c == '\n' || c == '\r')
			break;
	}
	line[length] = '\0';
	return line;
}
