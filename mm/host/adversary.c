// adversary.c: see adversary.h. Sizes and addresses are in the play's words here, of which blocks with their headers take whole numbers.
#include "adversary.h"

#include "../freelist.h"
#include "test.h"

static uint32_t sorted[PLAY_BLOCKS];

static uint32_t take(struct play *play, size_t words)
{
	return play_take(play, words * play->word);
}

static bool has_room(const struct play *play, size_t words, size_t most)
{
	return !play->refused && play->live + words * play->word <= most * play->word;
}

static void fill(struct play *play, size_t words, size_t most)
{
	while (has_room(play, words, most))
		take(play, words);
}

// ---- Robson 1971: keep what lies on every 2^i-th word, so that no hole of 2^i words is left wherever blocks were placed

// Whether the block has a word whose address is `place` more than a multiple of `step`.
static bool lies_on(const struct play *play, const struct play_block *block, size_t place, size_t step)
{
	return (place - block->at / play->word) % step < block->bytes / play->word;
}

// What the kept blocks are worth: the memory that each keeps useless.
static size_t worth(const struct play *play, size_t place, size_t step)
{
	size_t sum = 0;

	for (size_t i = 0; i < play->blocks; i++)
		if (play->block[i].bytes && lies_on(play, &play->block[i], place, step))
			sum += step - play->block[i].bytes / play->word;
	return sum;
}

void any_adversary(struct play *play, size_t most, size_t largest)
{
	size_t place = 0;

	fill(play, 1, most);
	for (size_t step = 2; step <= largest && !play->refused; step *= 2) {
		if (worth(play, place + step / 2, step) > worth(play, place, step))
			place += step / 2;
		for (uint32_t i = 0; i < play->blocks; i++)
			if (play->block[i].bytes && !lies_on(play, &play->block[i], place, step))
				play_give(play, i);
		fill(play, step, most);
	}
}

// ---- Robson 1977, first fit: a block of s words goes on top when all holes are shorter; so few, and the shortest, blocks keep them so

// Gives back each block without which the hole around it is still shorter than `words`; the topmost stays.
static void thin(struct play *play, size_t words)
{
	size_t count = play->blocks ? play_sorted(play, sorted) : 0;
	uintptr_t end = play->block[0].at; // of the last one kept; the first block ever lay lowest

	for (size_t i = 0; i + 1 < count; i++) {
		const struct play_block *block = &play->block[sorted[i]];

		if (play->block[sorted[i + 1]].at - end < words * play->word)
			play_give(play, sorted[i]);
		else
			end = block->at + block->bytes;
	}
}

// The last requests, which hardly any hole is long enough for.
static void ask_largest(struct play *play, size_t most, size_t largest)
{
	thin(play, largest);
	fill(play, largest, most);
}

void first_fit_adversary(struct play *play, size_t most, size_t largest)
{
	for (size_t words = 1; words <= largest && !play->refused; words++) {
		thin(play, words);
		fill(play, words, most);
	}
}

// ---- Robson 1977, best fit: single words with holes of n - 3 before them, which are of no use to what is asked for. Written as
//
//    R  F 1  F 1  F 1 ...      R: a block of n - 2 words      F: a hole of n - 3      1: a word in use
//
// A new pair comes on top, as n words of hole and what will be its F 1, and these walk down through the others to the place behind R, since
// the hole is the only one that the blocks asked for fit into:
//
//    F 1 [n free][n - 5][1]  ->  F 1 [n - 2][2][n - 5][1]  ->  [2n - 4 free][2][n - 5][1]  ->  [n][n - 5][1][2][n - 5][1]
//                                                                                          ->  [n free][n - 5][1] F 1

// Makes the first `count` + 1 of `single`, R and single words, one more; `top` is a block of n - 2 behind them, and `lid` one behind that.
// False when a block went behind the lid, since memory is all but used up there: then it is time for the end.
static bool walk_down(struct play *play, size_t n, uint32_t *single, size_t count, uint32_t top, uint32_t lid)
{
	uint32_t two = 0, rest = 0; // of the pair that was passed last

	for (size_t i = count + 1; i-- > 0;) {
		play_give(play, single[i]);
		play_give(play, top);
		uint32_t hole = take(play, n), part = take(play, n - 5);
		single[i + 1] = take(play, 1);
		if (play->refused || play->block[hole].at > play->block[lid].at || play->block[part].at > play->block[lid].at)
			return false;
		play_give(play, hole);
		if (i < count) {
			play_give(play, two);
			play_give(play, rest);
		}
		rest = part;
		top = take(play, n - 2);
		if (play->refused || play->block[top].at > play->block[lid].at)
			return false;
		two = i > 0 ? take(play, 2) : 0;
	}
	play_give(play, rest);
	single[0] = top;
	return true;
}

void best_fit_adversary(struct play *play, size_t most, size_t largest)
{
	static uint32_t single[PLAY_BLOCKS];
	size_t count = 0;
	bool goes_on = true;

	single[0] = take(play, largest - 2);
	while (goes_on && has_room(play, 4 * largest - 10, most)) {
		uint32_t top = take(play, largest - 2), lid = take(play, largest - 2);

		goes_on = walk_down(play, largest, single, count++, top, lid);
		play_give(play, lid);
	}
	ask_largest(play, most, largest);
}

// ---- next and worst fit: long blocks with single words between them, in memory that was never used, while there is any

// Whether the block lies above the one before it: in fresh memory, as long as those did.
static bool goes_on(const struct play *play, uint32_t number)
{
	return number < play->blocks && (number == 0 || play->block[number].at > play->block[number - 1].at);
}

void rover_adversary(struct play *play, size_t most, size_t largest)
{
	static uint32_t block[PLAY_BLOCKS];

	for (bool fresh = true; fresh && has_room(play, 2 * largest, most);) {
		size_t count = 0;

		while (fresh && has_room(play, largest, most)) {
			block[count++] = take(play, largest - 1);
			fresh = goes_on(play, block[count - 1]) && goes_on(play, take(play, 1));
		}
		for (size_t i = 0; i < count; i++)
			play_give(play, block[i]);
	}
	ask_largest(play, most, largest);
}

// ---- how much memory it takes not to be refused

static bool is_refused(const struct heap_ops *ops, adversary *plays, size_t most, size_t largest, size_t words)
{
	static struct play play;
	size_t own = (sizeof(struct freelist) + HEAP_ALIGN - 1) & ~(size_t)(HEAP_ALIGN - 1);

	play_start(&play, ops, own + words * PLAY_WORD, sizeof(struct block));
	plays(&play, most, largest);
	EXPECT(play.most <= most * PLAY_WORD);
	return play.refused;
}

size_t words_needed(const struct heap_ops *ops, adversary *plays, size_t most, size_t largest, size_t limit)
{
	size_t low = most / 2, high = limit; // refused, not refused

	EXPECT_SO(!is_refused(ops, plays, most, largest, limit), "%s refuses in %zu words, %zu of them in use", ops->name, limit, most);
	while (high - low > low / 256 + 1) {
		size_t middle = low + (high - low) / 2;

		if (is_refused(ops, plays, most, largest, middle))
			low = middle;
		else
			high = middle;
	}
	return high;
}
