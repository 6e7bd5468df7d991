// fuzz_page.c: libFuzzer drives the shadow model of page_model.c: the input chooses the engine, the machine, and each call.
//
//     byte 0: engine and machine   byte 1: CPUs and reserve   then: a byte or two for each choice that the model makes
//
// Build: clang -fsanitize=fuzzer,address,undefined mm/host/fuzz_page.c mm/host/port.c mm/*.c -Wl,--wrap=page_alloc
#include "fuzz.h"
#include "../page_engine.h"
#include "page_model.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 4)
		return 0;
	unsigned engines = 0;
	while (PAGE_ENGINES[engines])
		engines++;
	input = data + 2;
	left = size - 2;
	const struct machine *machine = &MODEL_MACHINES[data[0] / engines % MODEL_MACHINE_COUNT];
	page_model_start(PAGE_ENGINES[data[0] % engines]->name, machine, 1 + data[1] % 4, data[1] / 4 % 20, from_input);
	for (unsigned step = 0; left > 0 && step < 4000; step++)
		page_model_step();
	page_model_finish();
	return 0;
}
