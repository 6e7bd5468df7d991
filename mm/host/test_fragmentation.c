// test_fragmentation.c: what is lost on average, beside what theory says: holes between blocks, and the rounding inside them.
//
//    first fit    holes for each live block in a steady state: 1/2, by as much as a request rarely fits a hole exactly (Knuth's rule)
//    buddy        uniform sizes: 1/4 of what is given was not asked for; uniform logarithms: 1 - 1 / (2 ln 2) = 27.9 %
//
// Source: Knuth, The Art of Computer Programming 1, section 2.5, and exercises.
#include "../heap_report.h"
#include "play.h"
#include "test.h"

// ---- the fifty-percent rule

struct tally {
	size_t holes, blocks;
};

static bool count(void *context, void *block, size_t bytes, bool used)
{
	struct tally *tally = context;

	(void)block, (void)bytes;
	tally->holes += !used;
	tally->blocks += used;
	return true;
}

// Holes for each block, the memory above all blocks not counted, on average over a steady state: of `live` blocks a random one goes,
// and one of size(...) comes.
static double holes_per_block(size_t (*size)(void))
{
	enum { LIVE = 500, ROUNDS = 40000, SETTLED = 10000, EACH = 50 };
	static struct play play;
	uint32_t block[LIVE];
	struct tally tally = { 0 };
	size_t samples = 0;

	play_start(&play, &heap_first_fit, PLAY_ARENA, HEAP_ALIGN);
	for (unsigned i = 0; i < LIVE; i++)
		block[i] = play_take(&play, size());
	for (unsigned round = 0; round < ROUNDS; round++) {
		unsigned i = (unsigned)random_below(LIVE);

		play_give(&play, block[i]);
		block[i] = play_take(&play, size());
		if (round >= SETTLED && round % EACH == 0) {
			play.heap->ops->walk(play.heap, count, &tally);
			samples++;
		}
	}
	EXPECT(!play.refused);
	return (double)(tally.holes - samples) / (double)tally.blocks;
}

static size_t by_units(void) // hardly any two alike: a unit is to 16,000 bytes what a byte is to 1,000
{
	return HEAP_ALIGN * (2 + random_below(1000));
}

static size_t by_steps(void) // of sixteen units
{
	return HEAP_ALIGN * 16 * (1 + random_below(62));
}

static size_t of_two(void)
{
	return HEAP_ALIGN * (random_below(2) ? 4 : 16);
}

// Simulated elsewhere: .492, .405, .055. A heap that joins only half of what it could has twice as many and more.
TEST(fifty_percent_rule)
{
	static const struct {
		size_t (*size)(void);
		double expected;
	} cases[] = { { by_units, .49 }, { by_steps, .41 }, { of_two, .065 } };

	for (unsigned i = 0; i < 3; i++) {
		double holes = holes_per_block(cases[i].size);

		EXPECT_SO(holes > cases[i].expected - .03 && holes < cases[i].expected + .03,
			  "case %u: %.3f holes for each block, expected %.3f", i, holes, cases[i].expected);
	}
}

// ---- the buddy system's rounding

static size_t uniform(void)
{
	return 1 + random_below(32768);
}

// The logarithm is uniform: density 1 / x, by keeping each uniform x of a doubling with a probability that falls as 1 / x.
static size_t log_uniform(void)
{
	size_t low = (size_t)4096 << random_below(4), more;

	do
		more = random_below(low);
	while (random_below(low + more) >= low);
	return low + more;
}

// Of what the heap gives, the part that nobody asked for, over many fillings; sizes are far above all headers.
static double rounding(size_t (*size)(void))
{
	enum { BLOCKS = 600, FILLINGS = 10 };
	static struct play play;
	static void *block[BLOCKS];
	size_t asked = 0, used = 0;

	play_start(&play, &heap_buddy, PLAY_ARENA, 0);
	for (unsigned filling = 0; filling < FILLINGS; filling++) {
		struct heap_report report;

		for (unsigned i = 0; i < BLOCKS; i++) {
			size_t bytes = size();

			EXPECT((block[i] = heap_alloc(play.heap, bytes)));
			asked += bytes;
		}
		heap_report(play.heap, &report);
		used += report.used;
		for (unsigned i = 0; i < BLOCKS; i++)
			heap_free(play.heap, block[i]);
	}
	return 1 - (double)asked / (double)used;
}

TEST(buddy_rounds_up)
{
	double even = rounding(uniform), logarithmic = rounding(log_uniform);

	EXPECT_SO(even > .24 && even < .26, "uniform sizes: %.3f of it nobody asked for, expected .250", even);
	EXPECT_SO(logarithmic > .269 && logarithmic < .289, "uniform logarithms: %.3f of it nobody asked for, expected .279", logarithmic);
}
