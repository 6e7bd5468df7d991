// more_string.c: what quire.h adds to xv6's strings. Weak, so that a program's own functions of these names win.

#include "user/quire.h"

#define WEAK __attribute__((weak))

WEAK int strncmp(const char *a, const char *b, uint max)
{
	for (; max > 0; max--, a++, b++)
		if (*a != *b || *a == '\0')
			return (uchar)*a - (uchar)*b;
	return 0;
}

WEAK char *strrchr(const char *string, char c)
{
	const char *found = 0;

	for (; *string; string++)
		if (*string == c)
			found = string;
	return (char *)found;
}

WEAK char *human(char *to, uint64 bytes)
{
	static const char units[] = "KMGT";
	int unit = 0;

	if (bytes < 1024) {
		snprintf(to, 16, "%lu B", bytes);
		return to;
	}
	for (; bytes >= 1024 * 1024 && unit < 3; unit++)
		bytes /= 1024;
	if (bytes % 1024 == 0)
		snprintf(to, 16, "%lu %ciB", bytes / 1024, units[unit]);
	else
		snprintf(to, 16, "%lu.%lu %ciB", bytes / 1024, bytes % 1024 * 10 / 1024, units[unit]);
	return to;
}
