// tests.h: between the files of this folder.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void crash_workload(unsigned char *image, uint32_t blocks, unsigned workers, unsigned steps, uint64_t seed);
uint32_t crash_judge(unsigned char *image, uint32_t blocks, uint64_t seed); // wrecks judged; 0: one of them was bad
unsigned image_faults(unsigned char *image, uint32_t blocks, bool quiet);   // replays the log in place

uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t count);
uint64_t hash_entry(const char *path, short type, uint64_t content); // the sum over a tree's entries is its fingerprint
void must(bool good, const char *what);                              // ends the process when it is not
