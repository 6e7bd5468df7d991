// stream.c: see stream.h. Each hits the weakness that stands in the head of the heap's own file.
//
// Sizes are with a header of HEADER bytes, so that they tile a free list's memory and fit the buddy heap's blocks exactly.
#include "stream.h"

#include "adversary.h"
#include "test.h"

#define HEADER 16u
#define WALL   32u // the shortest block of a free list
#define KIB    ((size_t)1024)

static uint32_t group[PLAY_BLOCKS];

static void take_all(struct play *play, size_t count, size_t bytes, uint32_t *blocks)
{
	for (size_t i = 0; i < count; i++)
		blocks[i] = play_take(play, bytes);
}

static void give_all(struct play *play, size_t count, const uint32_t *blocks)
{
	for (size_t i = 0; i < count; i++)
		play_give(play, blocks[i]);
}

// Each block is given back only after the next is there: there is always one, and the heap is never empty.
static void relay(struct play *play)
{
	uint32_t block = play_take(play, KIB);

	for (unsigned i = 0; i < 2000; i++) {
		uint32_t next = play_take(play, KIB);

		play_give(play, block);
		block = next;
	}
}

// So many blocks with walls between them that stay.
static void take_walled(struct play *play, size_t count, size_t bytes, uint32_t *blocks)
{
	for (size_t i = 0; i < count; i++) {
		take_all(play, 1, bytes, &blocks[i]);
		play_take(play, WALL);
	}
}

// Long holes, and short ones behind them. Short blocks that are asked for first bite into long holes; then no long block fits.
static void bitten_holes(struct play *play)
{
	enum { COUNT = 500, LONG = 1024, SHORT = 64 };
	static uint32_t longs[COUNT], shorts[COUNT];

	take_walled(play, COUNT, LONG, longs);
	take_walled(play, COUNT, SHORT, shorts);
	give_all(play, COUNT, longs);
	give_all(play, COUNT, shorts);
	for (unsigned i = 0; i < COUNT; i++) {
		take_all(play, 1, SHORT, &shorts[i]);
		take_all(play, 1, LONG - SHORT - WALL, &longs[i]); // so that the next one bites into the next hole
	}
	give_all(play, COUNT, longs);
	take_all(play, COUNT, LONG, longs);
}

static void spaced_words(struct play *play)
{
	rover_adversary(play, 2048, 32);
}

static void slivers(struct play *play)
{
	best_fit_adversary(play, 320, 12);
}

// Blocks of mixed sizes that come and go at random.
static void mixed_churn(struct play *play)
{
	enum { LIVE = 200, ROUNDS = 20000 };

	for (unsigned i = 0; i < LIVE; i++)
		group[i] = play_take(play, 32 + HEADER * (random_below(64) + 1));
	for (unsigned round = 0; round < ROUNDS; round++) {
		unsigned i = (unsigned)random_below(LIVE);

		play_give(play, group[i]);
		group[i] = play_take(play, 32 + HEADER * (random_below(64) + 1));
	}
}

// All memory in one size, all of it given back, then in the next size.
static void phases(struct play *play)
{
	for (size_t bytes = 32; bytes <= 512; bytes *= 2) {
		size_t count = 256 * KIB / bytes;

		take_all(play, count, bytes, group);
		give_all(play, count, group);
	}
}

// 33 units of 16 bytes: a class holds two lengths there, and only the next class's chunks all fit.
static void unseen_holes(struct play *play)
{
	enum { COUNT = 500, BYTES = 33 * 16 };

	take_walled(play, COUNT, BYTES, group);
	give_all(play, COUNT, group);
	take_all(play, COUNT, BYTES, group);
}

static void powers_and_a_bit(struct play *play)
{
	take_all(play, 256, KIB + HEADER, group);
}

// Of each four blocks the two in the middle go: side by side, but halves of different blocks.
static void false_neighbours(struct play *play)
{
	enum { COUNT = 512 };

	take_all(play, COUNT, KIB, group);
	uintptr_t first = play->refused ? 0 : play->block[group[0]].at;
	for (unsigned i = 0; i < COUNT && !play->refused; i++) {
		size_t place = (play->block[group[i]].at - first) / KIB % 4;

		if (place == 1 || place == 2)
			play_give(play, group[i]);
	}
	take_all(play, COUNT / 4, 2 * KIB, group);
}

// Many blocks of one size, of which one in each page stays; then the same with the next size.
static void survivors(struct play *play)
{
	for (size_t bytes = 64; bytes <= 512; bytes *= 2) {
		size_t count = (KIB * KIB - play->live) / bytes;
		uintptr_t page = 0;

		take_all(play, count, bytes, group);
		for (size_t i = 0; i < count && !play->refused; i++) {
			uintptr_t at = play->block[group[i]].at / (4 * KIB);

			if (at == page)
				play_give(play, group[i]);
			page = at;
		}
	}
}

// One small block at a time.
static void one_at_a_time(struct play *play)
{
	for (unsigned i = 0; i < 2000; i++)
		play_give(play, play_take(play, KIB));
}

const struct stream streams[] = {
	{ "relay", "a block is given back only after the next one is there: the heap is never empty, so nothing is used again",
	  relay, &heap_bump, &heap_first_fit, 500, 1.1 },
	{ "bitten holes", "short blocks take a bite of each long hole, although short holes lie behind; then no long block fits",
	  bitten_holes, &heap_first_fit, &heap_best_fit, 1.8, 1.1 },
	{ "spaced words", "single words between long blocks, on and on in fresh memory; then the long ones go, and one longer is asked for",
	  spaced_words, &heap_next_fit, &heap_first_fit, 25, 1.2 },
	{ "slivers", "single words are lured into holes that they fit exactly, and keep all other holes a little too short",
	  slivers, &heap_best_fit, &heap_first_fit, 8, 2 },
	{ "mixed churn", "blocks of mixed sizes come and go at random: each goes where the most room is, so that no room stays whole",
	  mixed_churn, &heap_worst_fit, &heap_best_fit, 10, 1.3 },
	{ "phases", "all memory in one size, then in the next: what one size has taken is lost to the others",
	  phases, &heap_fixed, &heap_segregated, 4.5, 1.1 },
	{ "unseen holes", "holes of exactly the length that is asked for, in a class that also has shorter ones: nobody looks there",
	  unseen_holes, &heap_segregated, &heap_best_fit, 1.8, 1.1 },
	{ "a power and a bit", "blocks a little longer than a power of two",
	  powers_and_a_bit, &heap_buddy, &heap_slab, 1.9, 1.1 },
	{ "false neighbours", "pairs of free blocks side by side that are halves of different blocks; then blocks of twice the size",
	  false_neighbours, &heap_buddy, &heap_segregated, 1.4, 1.1 },
	{ "survivors", "one block in each page stays, then another size is asked for: each page is kept for a size that nobody wants",
	  survivors, &heap_slab, &heap_segregated, 3, 1.3 },
	{ "one at a time", "one block after the other: each waits in the queue while a fresh one is given out",
	  one_at_a_time, &heap_guard, &heap_segregated, 100, 1.1 },
	{ "bitten granules", "the bitten holes once more: without lists and headers, too, first fit takes the lowest hole, not the best",
	  bitten_holes, &heap_bitmap_fit, &heap_best_fit, 1.3, 1.1 },
	{ "waiting neighbours", "the false neighbours once more: real ones, but they wait unmerged, and new memory comes first",
	  false_neighbours, &heap_lazy_fit, &heap_first_fit, 1.4, 1.1 },
	{ .name = NULL },
};

double stream_figure(const struct stream *stream, const struct heap_ops *ops)
{
	static struct play made, again;

	play_start(&made, stream->defeated, PLAY_ARENA, HEADER);
	stream->make(&made);
	if (ops == stream->defeated)
		return play_figure(&made);
	play_again(&again, ops, &made);
	EXPECT(again.most <= made.most);
	return play_figure(&again);
}
