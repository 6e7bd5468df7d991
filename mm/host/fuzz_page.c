// fuzz_page.c: libFuzzer drives the shadow model of page_model.c: the input chooses the engine, the machine, and each call.
//
//     byte 0: engine and machine   byte 1: CPUs and reserve   then: two bytes for each choice that the model makes
//
// Build: clang -fsanitize=fuzzer,address,undefined mm/host/fuzz_page.c mm/host/port.c mm/*.c -Wl,--wrap=page_alloc
#include <stdarg.h>
#include <stdlib.h>

#include "page_model.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t *input;
static size_t left;

static uint64_t from_input(uint64_t limit) // 0 when the input has ended
{
	if (left < 2)
		return 0;
	uint64_t value = (uint64_t)input[0] << 8 | input[1];
	input += 2;
	left -= 2;
	return limit > 65536 ? (value * limit >> 16) : value % limit;
}

void test_fail(const char *file, int line, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	fprintf(stderr, "%s:%d: ", file, line);
	vfprintf(stderr, format, arguments);
	fprintf(stderr, "\n");
	va_end(arguments);
	abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 4)
		return 0;
	input = data + 2;
	left = size - 2;
	const struct machine *machine = &MODEL_MACHINES[data[0] / 3 % MODEL_MACHINE_COUNT];
	page_model_start(MODEL_ENGINES[data[0] % 3], machine, 1 + data[1] % 4, data[1] / 4 % 20, from_input);
	for (unsigned step = 0; left >= 2 && step < 4000; step++)
		page_model_step();
	page_model_finish();
	return 0;
}
