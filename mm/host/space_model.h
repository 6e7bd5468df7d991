// space_model.h: address spaces run beside a shadow that knows every byte: the random test and the fuzzer drive it.
#pragma once

#include <stdint.h>

// Draws what happens next: 0 .. limit - 1.
typedef uint64_t model_draw(uint64_t limit);

// New files and one space with text, data, heap and stack; memory, too, the first time. `cpus` CPUs take turns.
void model_start(model_draw *draw, unsigned cpus);
// One operation on one space, checked against the shadow.
void model_step(void);
// Every byte of every resident page, every invariant.
void model_check(void);
// Destroys everything; each page must be back.
void model_finish(void);
