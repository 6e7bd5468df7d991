// fuzz_space.c: libFuzzer drives address spaces beside their shadow (space_model.c) and the software MMU (mmu.c): each input is a program.
//
//      byte, byte, ... --draw--> model_step, model_step, ... --> a difference from the shadow, a broken invariant or a lost page aborts
#include <stdarg.h>
#include <stdlib.h>

#include "test.h"

// The fuzzer is built of one file and mm's own.
#include "mmu.c"
#include "model_file.c"
#include "model_shadow.c"
#include "space_model.c"

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
	input = data;
	left = size;
	model_start(from_input, 2);
	for (unsigned step = 0; left && step < 2000; step++) {
		model_step();
		if (step % 8 == 0)
			model_check();
	}
	model_check();
	model_finish();
	return 0;
}
