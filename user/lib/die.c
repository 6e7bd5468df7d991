// die.c: how a program that cannot go on says so.

#include "user/quire.h"

_Noreturn void die(const char *format, ...)
{
	va_list arguments;
	char message[256];

	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	fprintf(2, "%s\n", message);
	exit(1);
}
