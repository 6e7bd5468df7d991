// bits.c: counting bits, for which rv64imac has no instructions: gcc calls these for __builtin_ctz, _clz, _ffs, _parity, _popcount.
//
// They stand here so that the kernel links without the compiler's own library, which toolchains made for Linux have for another calling
// convention only.
// Source: H. S. Warren, Hacker's Delight, 2nd edition, sections 5-1 and 5-4.
#include <stdint.h>

int __clzdi2(uint64_t word);
int __ctzdi2(uint64_t word);
int __ffsdi2(uint64_t word);
int __paritydi2(uint64_t word);
int __popcountdi2(uint64_t word);

int __popcountdi2(uint64_t word)
{
	word -= word >> 1 & 0x5555555555555555;                                 // counts of pairs, side by side
	word = (word & 0x3333333333333333) + (word >> 2 & 0x3333333333333333); // of four bits
	word = (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0f;                      // of bytes
	return (int)(word * 0x0101010101010101 >> 56);                         // their sum
}

int __ctzdi2(uint64_t word) // word != 0
{
	int zeroes = 0;
	for (int half = 32; half > 0; half /= 2) {
		if ((word & (((uint64_t)1 << half) - 1)) == 0) {
			zeroes += half;
			word >>= half;
		}
	}
	return zeroes;
}

int __clzdi2(uint64_t word) // word != 0
{
	for (int step = 1; step < 64; step *= 2)
		word |= word >> step; // now ones from the highest one down
	return 64 - __popcountdi2(word);
}

int __ffsdi2(uint64_t word)
{
	return word ? __ctzdi2(word) + 1 : 0;
}

int __paritydi2(uint64_t word)
{
	return __popcountdi2(word) & 1;
}
