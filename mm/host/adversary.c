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

// ---- best fit: the same, but with single words between holes, each put on top by leaving a hole of one word there

// [ hole of `words` + 1 ][ lid ] -> [ words ][1][ lid ] -> [ words ][1], on top; no hole is longer than `words` - 1 before.
static uint32_t put_on_top(struct play *play, size_t words)
{
	uint32_t bed = take(play, words + 1), lid = take(play, words);

	play_give(play, bed);
	uint32_t block = take(play, words);
	take(play, 1);
	play_give(play, lid);
	return block;
}

void best_fit_adversary(struct play *play, size_t most, size_t largest)
{
	static uint32_t block[PLAY_BLOCKS];

	for (size_t words = largest * 3 / 8; words < largest && !play->refused; words++) {
		size_t count = 0;

		thin(play, words);
		while (has_room(play, 2 * words + 1, most))
			block[count++] = put_on_top(play, words);
		while (count > 0)
			play_give(play, block[--count]);
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
