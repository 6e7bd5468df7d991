// test_bits.c: the bits that tables find are those that the compiler's own functions find.
#include "../bits.h"
#include "test.h"

TEST(bits)
{
	for (unsigned bit = 0; bit < 64; bit++) {
		EXPECT_EQ(lowest_bit_by_table(1ULL << bit), bit);
		EXPECT_EQ(lowest_bit_by_table(~0ULL << bit), bit);
		EXPECT_EQ(lowest_bit(random_next() << bit | 1ULL << bit), bit);
	}
	EXPECT_EQ(highest_bit_by_table(0), 0);
	EXPECT_EQ(highest_bit(0), 0);
	for (size_t word = 1; word < 1u << 27; word += 1 + word / 300) {
		EXPECT_EQ(highest_bit_by_table(word), 63u - (unsigned)__builtin_clzll(word));
		EXPECT_EQ(highest_bit(word), highest_bit_by_table(word));
	}
}
