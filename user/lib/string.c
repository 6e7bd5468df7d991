// string.c: strings and memory, byte by byte except where whole words make a difference.
//
// memset, memcpy and memmove move eight bytes at a time when both ends are aligned: programs that fill pages spend their time here.

#include "user/user.h"

uint strlen(const char *string)
{
	uint length = 0;

	while (string[length])
		length++;
	return length;
}

char *strcpy(char *to, const char *from)
{
	char *start = to;

	while ((*to++ = *from++))
		;
	return start;
}

int strcmp(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return (uchar)*a - (uchar)*b;
}

char *strchr(const char *string, char c)
{
	for (; *string; string++)
		if (*string == c)
			return (char *)string;
	return 0;
}

int atoi(const char *digits)
{
	int value = 0;

	while (*digits >= '0' && *digits <= '9')
		value = 10 * value + *digits++ - '0';
	return value;
}

void *memset(void *to, int byte, uint bytes)
{
	uchar *at = to, *end = at + bytes;

	for (; at < end && (uint64)at % 8; at++)
		*at = (uchar)byte;
	for (uint64 word = 0x0101010101010101UL * (uchar)byte; end - at >= 8; at += 8)
		*(volatile uint64 *)at = word; // volatile: else gcc makes this loop a call of memset
	for (; at < end; at++)
		*(volatile uchar *)at = (uchar)byte;
	return to;
}

int memcmp(const void *a, const void *b, uint bytes)
{
	const uchar *x = a, *y = b;

	for (uint i = 0; i < bytes; i++)
		if (x[i] != y[i])
			return x[i] - y[i];
	return 0;
}

static void copy_up(uchar *to, const uchar *from, uint bytes)
{
	uchar *end = to + bytes;

	if (((uint64)to - (uint64)from) % 8 == 0 || (uint64)from + 8 <= (uint64)to) {
		for (; to < end && (uint64)to % 8; to++, from++)
			*(volatile uchar *)to = *from;
		if ((uint64)from % 8 == 0)
			for (; end - to >= 8; to += 8, from += 8)
				*(volatile uint64 *)to = *(const uint64 *)from;
	}
	for (; to < end; to++, from++)
		*(volatile uchar *)to = *from;
}

// Ranges may overlap. A negative count moves nothing.
void *memmove(void *to, const void *from, int bytes)
{
	uchar *end = (uchar *)to + bytes;
	const uchar *last = (const uchar *)from + bytes;

	if (bytes <= 0)
		return to;
	if ((const uchar *)from >= (uchar *)to)
		copy_up(to, from, (uint)bytes);
	else
		while (end > (uchar *)to)
			*--end = *--last;
	return to;
}

void *memcpy(void *to, const void *from, uint bytes)
{
	copy_up(to, from, bytes);
	return to;
}
