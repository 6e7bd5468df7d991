// fuzz_heap.c: libFuzzer drives every heap beside its shadow (heap_model.c): each input is a program.
//
//      which heap, when memory ends, then byte, byte, ... --draw--> calls --> a difference from the shadow, a broken invariant or a
//      page that is not given back aborts
#include "fuzz.h"

// The fuzzer is built of one file and mm's own.
#include "heap_model.c"

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
