// bits.h: the lowest and the highest bit of a number, in few instructions also where the machine has none for it, as rv64imac.
//
//    lowest_bit(0b0101000) = 3      highest_bit(0b0101000) = 5
//
// A word's lowest bit alone, times a number in which each six bits in a row are different ones (a de Bruijn sequence), has six bits on top
// that tell which it was.
// Source: Leiserson, Prokop and Randall, "Using de Bruijn sequences to index a 1 in a computer word", MIT 1998.
#pragma once

#include "port.h"

#define WORD_BITS 64u // of a map of bits

static inline size_t lowest_bit_by_table(uint64_t word)
{
	static const uint8_t bit_of[64] = {
		0,  1,  48, 2,  57, 49, 28, 3,  61, 58, 50, 42, 38, 29, 17, 4,  62, 55, 59, 36, 53, 51, 43, 22, 45, 39, 33, 30,
		24, 18, 12, 5,  63, 47, 56, 27, 60, 41, 37, 16, 54, 35, 52, 21, 44, 32, 23, 11, 46, 26, 40, 15, 34, 20, 31, 10,
		25, 14, 19, 9,  13, 8,  7,  6,
	};

	return bit_of[(word & -word) * 0x03f79d71b4cb0a89 >> 58];
}

static inline size_t highest_bit_by_table(size_t word)
{
	static const uint8_t bit_of[1 << 9] = {
		[2 ... 3] = 1, [4 ... 7] = 2, [8 ... 15] = 3, [16 ... 31] = 4, [32 ... 63] = 5, [64 ... 127] = 6, [128 ... 255] = 7,
		[256 ... 511] = 8,
	};

	if (word < 1u << 9)
		return bit_of[word];
	return word < 1u << 18 ? (size_t)9 + bit_of[word >> 9] : (size_t)18 + bit_of[word >> 18];
}

static inline size_t lowest_bit(uint64_t word) // word != 0
{
	return PORT_BIT_TABLES ? lowest_bit_by_table(word) : (unsigned)__builtin_ctzll(word);
}

static inline size_t highest_bit(size_t word) // word < 1 << 27; of 0: 0
{
	return PORT_BIT_TABLES ? highest_bit_by_table(word) : 63u - (unsigned)__builtin_clzll(word | 1);
}
