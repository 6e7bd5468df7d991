// adversary.h: Robson's games: how much memory can somebody make a heap need who never has more than M words in use?
//
//    words needed   any allocator   >= M (1 + log2(n)/2) - n + 1     sizes that are powers of two up to n
//                   first fit       <= M H(n) / ln 2                 H(n) = 1 + 1/2 + ... + 1/n
//                   any that joins holes   <= M n                    at a refusal each hole is shorter than n and has a block beside it;
//                                                                    best, next and worst fit come near it
//
// Each adversary sees the addresses that it is given, and plays until the heap refuses or it knows no more.
// Sources: Robson, "An estimate of the store size necessary for dynamic storage allocation", JACM 18(3), 1971; "Bounds for some functions
// concerning dynamic storage allocation", JACM 21(3), 1974; "Worst case fragmentation of first fit and best fit storage allocation
// strategies", The Computer Journal 20(3), 1977; Knuth, The Art of Computer Programming 1, answer to exercise 2.5-42, for best fit.
#pragma once

#include "play.h"

typedef void adversary(struct play *play, size_t most, size_t largest); // words: M, n

adversary any_adversary;       // of whatever heap: n a power of two
adversary first_fit_adversary; // of those who take the lowest hole
adversary best_fit_adversary;  // the smallest
adversary rover_adversary;     // those who go on to fresh memory: next fit, worst fit

// Memory in which the adversary is not refused, in words, to within 1/256 of the least; in `limit` words it must not be.
size_t words_needed(const struct heap_ops *ops, adversary *plays, size_t most, size_t largest, size_t limit);
