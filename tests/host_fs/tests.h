// tests.h: between main.c and crash.c.
#pragma once

#include <stdbool.h>
#include <stdint.h>

void crash_workload(unsigned char *image, uint32_t blocks, unsigned workers, unsigned steps, uint64_t seed);
uint32_t crash_judge(unsigned char *image, uint32_t blocks, uint64_t seed); // wrecks judged; 0: one of them was bad
unsigned image_faults(unsigned char *image, uint32_t blocks, bool quiet);   // replays the log in place
