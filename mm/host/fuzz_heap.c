// fuzz_heap.c: libFuzzer drives every heap beside its shadow (heap_model.c): each input is a program.
//
//      which heap, when memory ends, then byte, byte, ... --draw--> calls --> a difference from the shadow, a broken invariant or a
//      page that is not given back aborts
#include <stdarg.h>
#include <stdlib.h>

#include "test.h"

// The fuzzer is built of one file and mm's own.
#include "heap_model.c"

static const uint8_t *input;
static size_t left;

static uint64_t next_byte(void)
{
	return left ? left--, *input++ : 0;
}

static uint64_t from_input(uint64_t limit)
{
	uint64_t value = next_byte();
	if (limit > 256)
		value = value << 8 | next_byte();
	return value % limit;
}

void test_fail(const char *name, int line, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	fprintf(stderr, "%s:%d: ", name, line);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned heaps = 0;

	while (HEAPS[heaps])
		heaps++;
	input = data;
	left = size;
	const struct heap_ops *ops = HEAPS[from_input(heaps)];
	uint64_t fail_after = from_input(256);
	(void)heap_model_run(ops, from_input, (unsigned)(left / 2), fail_after ? fail_after : UINT64_MAX - 1);
	return 0;
}
