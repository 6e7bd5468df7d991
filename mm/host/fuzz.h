// fuzz.h: what every fuzz target shares: choices drawn from libFuzzer's input, and a failed expectation that aborts.
//
// A fuzzer is built of one file and mm's own, so this header defines what it declares: include it in one file of a program.
#pragma once

#include <stdarg.h>
#include <stdlib.h>

#include "test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t *input;
static size_t left;

static inline uint64_t next_byte(void)
{
	return left ? left--, *input++ : 0;
}

// 0 .. limit - 1, and 0 when the input has ended: a byte for each choice among at most 256, two for others.
static inline uint64_t from_input(uint64_t limit)
{
	uint64_t value = next_byte();
	if (limit > 256)
		value = value << 8 | next_byte();
	return limit > 65536 ? value * limit >> 16 : value % limit;
}

void test_fail(const char *file, int line, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	fprintf(stderr, "%s:%d: ", file, line);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
	abort();
}
