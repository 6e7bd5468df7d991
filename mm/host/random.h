// random.h: random numbers that repeat: the host's tests, the study and the labs' judge draw from it, each with a state of its own.
#pragma once

#include <stdint.h>

// splitmix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014. Any state will do to begin with.
static inline uint64_t random_step(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}
