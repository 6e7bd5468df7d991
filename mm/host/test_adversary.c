// test_adversary.c: how bad it can get: each policy of the free list against the adversary made for it, every heap against
// Robson's, and each against a stream of requests that it cannot bear and another can.
//
//    policy      needs, in words        share of its bound that the adversary must reach, and may not pass
//    first fit   M H(n) / ln 2          0.7: asymptotically 0.88, since holes are multiples of what lay in them
//    best fit    M n                    0.7: nearly (M - 5n) (n - 2) words, since the strategy has blocks in use while it moves others
//    next fit    M n                    0.95
//    worst fit   M n                    0.95
#include "../freelist.h"
#include "adversary.h"
#include "stream.h"
#include "test.h"

// M H(n) / ln 2, rounded up.
static size_t first_fit_bound(size_t most, size_t largest)
{
	double sum = 0;

	for (size_t i = 1; i <= largest; i++)
		sum += 1 / (double)i;
	return (size_t)((double)most * sum / 0.69314718) + 1;
}

static size_t holes_bound(size_t most, size_t largest)
{
	return most * largest;
}

// M (1 + log2(n) / 2) - n + 1.
static size_t least_bound(size_t most, size_t largest)
{
	return most + most * (size_t)__builtin_ctzll(largest) / 2 - largest + 1;
}

TEST(worst_cases_of_the_policies)
{
	static const struct {
		const struct heap_ops *ops;
		adversary *plays;
		size_t (*bound)(size_t most, size_t largest);
		size_t most, largest;
		double share;
	} cases[] = {
		{ &heap_first_fit, first_fit_adversary, first_fit_bound, 2048, 64, .7 },
		{ &heap_best_fit, best_fit_adversary, holes_bound, 320, 12, .7 },
		{ &heap_next_fit, rover_adversary, holes_bound, 2048, 32, .95 },
		{ &heap_worst_fit, rover_adversary, holes_bound, 2048, 32, .95 },
	};

	for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
		size_t most = cases[i].most, bound = cases[i].bound(most, cases[i].largest);
		size_t words = words_needed(cases[i].ops, cases[i].plays, most, cases[i].largest, bound);

		EXPECT_SO((double)words >= cases[i].share * (double)bound, "%s needs %zu words for %zu, expected %.2f of %zu",
			  cases[i].ops->name, words, most, cases[i].share, bound);
		EXPECT(words > least_bound(most, cases[i].largest)); // more than is lost to everyone
	}
}

// Nobody escapes: whatever a heap does, fewer words are not enough; and this adversary gets little more out of any policy.
TEST(no_policy_beats_robson)
{
	static const struct heap_ops *const policies[] = { &heap_first_fit, &heap_next_fit, &heap_best_fit, &heap_worst_fit };

	for (unsigned i = 0; i < 4; i++)
		for (size_t largest = 4; largest <= 64; largest *= 4) {
			size_t least = least_bound(1024, largest), words = words_needed(policies[i], any_adversary, 1024, largest, 8192);

			EXPECT_SO(words >= least && words <= least + least / 16, "%s needs %zu words, expected %zu and little more",
				  policies[i]->name, words, least);
		}
}

// The same over every heap but those that map pages wherever these are: by the memory that its blocks ever lay in, in words so long that
// headers hardly count.
TEST(no_heap_beats_robson)
{
	for (const struct heap_ops *const *ops = HEAPS; *ops; ops++) {
		static struct play play;
		double least = (double)least_bound(1024, 64) / 1024;

		play_start(&play, *ops, PLAY_ARENA, sizeof(struct block));
		play.word = 512;
		any_adversary(&play, 1024, 64);
		EXPECT_SO(play.paged || (!play.refused && play_figure(&play) > .9 * least),
			  "%s needs %.2f times what is used, expected %.2f", (*ops)->name, play_figure(&play), least);
	}
}

TEST(each_heap_is_defeated_where_another_is_not)
{
	for (const struct stream *stream = streams; stream->name; stream++) {
		double defeated = stream_figure(stream, stream->defeated), other = stream_figure(stream, stream->other);

		EXPECT_SO(defeated >= stream->at_least, "%s: %s needs %.2f times what is used, expected %.2f or more", stream->name,
			  stream->defeated->name, defeated, stream->at_least);
		EXPECT_SO(other <= stream->at_most, "%s: %s needs %.2f times what is used, expected %.2f or less", stream->name,
			  stream->other->name, other, stream->at_most);
	}
}
