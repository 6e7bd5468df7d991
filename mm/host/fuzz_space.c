// fuzz_space.c: libFuzzer drives address spaces beside their shadow (space_model.c) and the software MMU (mmu.c): each input is a program.
//
//      byte, byte, ... --draw--> model_step, model_step, ... --> a difference from the shadow, a broken invariant or a lost page aborts
#include "fuzz.h"

// The fuzzer is built of one file and mm's own.
#include "mmu.c"
#include "model_file.c"
#include "model_shadow.c"
#include "space_model.c"

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
