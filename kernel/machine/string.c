// string.c: the C library's memory and string functions, as far as the kernel and the code that gcc emits use them.
//
// Whole pages are copied and cleared all the time, so both loops move 64 bytes a round where both sides are aligned to 8 bytes:
// 4096 bytes cost about 1,220 instructions to copy and 640 to clear.
#include "kernel/machine/string.h"

#include <stdint.h>

typedef uint64_t __attribute__((may_alias)) word;

static void *copy_up(void *to, const void *from, size_t bytes)
{
	unsigned char *t = to;
	const unsigned char *f = from;
	if ((((uintptr_t)t ^ (uintptr_t)f) & 7) == 0) {
		for (; bytes && ((uintptr_t)t & 7); bytes--)
			*t++ = *f++;
		for (; bytes >= 64; bytes -= 64, t += 64, f += 64) {
			const word *s = (const word *)f;
			word *d = (word *)t;
			word w0 = s[0], w1 = s[1], w2 = s[2], w3 = s[3], w4 = s[4], w5 = s[5], w6 = s[6], w7 = s[7];
			d[0] = w0, d[1] = w1, d[2] = w2, d[3] = w3, d[4] = w4, d[5] = w5, d[6] = w6, d[7] = w7;
		}
		for (; bytes >= 8; bytes -= 8, t += 8, f += 8)
			*(word *)t = *(const word *)f;
	}
	while (bytes--)
		*t++ = *f++;
	return to;
}

void *memcpy(void *restrict to, const void *restrict from, size_t bytes)
{
	return copy_up(to, from, bytes);
}

void *memmove(void *to, const void *from, size_t bytes)
{
	if ((uintptr_t)to - (uintptr_t)from >= bytes) // `to` does not begin inside what is still to be read
		return copy_up(to, from, bytes);
	unsigned char *t = (unsigned char *)to + bytes;
	const unsigned char *f = (const unsigned char *)from + bytes;
	while (bytes--)
		*--t = *--f;
	return to;
}

void *memset(void *to, int byte, size_t bytes)
{
	unsigned char *t = to;
	word w = (unsigned char)byte * 0x0101010101010101UL;
	for (; bytes && ((uintptr_t)t & 7); bytes--)
		*t++ = (unsigned char)byte;
	for (; bytes >= 64; bytes -= 64, t += 64) {
		word *d = (word *)t;
		d[0] = w, d[1] = w, d[2] = w, d[3] = w, d[4] = w, d[5] = w, d[6] = w, d[7] = w;
	}
	for (; bytes >= 8; bytes -= 8, t += 8)
		*(word *)t = w;
	while (bytes--)
		*t++ = (unsigned char)byte;
	return to;
}

int memcmp(const void *a, const void *b, size_t bytes)
{
	const unsigned char *x = a, *y = b;
	for (; bytes--; x++, y++)
		if (*x != *y)
			return *x < *y ? -1 : 1;
	return 0;
}

size_t strlen(const char *s)
{
	size_t length = 0;
	while (s[length])
		length++;
	return length;
}

size_t strnlen(const char *s, size_t max)
{
	size_t length = 0;
	while (length < max && s[length])
		length++;
	return length;
}

int strcmp(const char *a, const char *b)
{
	return strncmp(a, b, SIZE_MAX);
}

int strncmp(const char *a, const char *b, size_t max)
{
	for (; max--; a++, b++)
		if (*a != *b || *a == '\0')
			return (unsigned char)*a - (unsigned char)*b;
	return 0;
}

char *strchr(const char *s, int c)
{
	for (;; s++) {
		if (*s == (char)c)
			return (char *)s;
		if (*s == '\0')
			return NULL;
	}
}

size_t strlcpy(char *to, const char *from, size_t bytes)
{
	size_t length = strlen(from);
	if (bytes) {
		size_t part = length < bytes ? length : bytes - 1;
		memcpy(to, from, part);
		to[part] = '\0';
	}
	return length;
}
