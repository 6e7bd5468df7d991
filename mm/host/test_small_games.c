// test_small_games.c: Robson's game for a few words of memory, played to the end: every request and every free that there can be.
//
//    state    |1|2 2|.|1|4 4 4 4|.|.|     two bits a word: 0 free, else the length of the block that starts here (1, 2, 3 for 4 words)
//
// The player has at most M words in use, in blocks of 1, 2 and 4. For the free list, each state is laid out in memory and the real
// allocator answers: a refusal anywhere means that so many words are too few. For the best that any allocator can do, states are struck
// out from which the player can force one that is lost, until no more are.
// Source: Robson, "An estimate of the store size necessary for dynamic storage allocation", JACM 18(3), 1971; see adversary.h.
#include <stdlib.h>

#include "../freelist.h"
#include "heap_model.h"
#include "test.h"

#define WORD      (2 * sizeof(struct block))
#define WORDS_MAX 28u         // in a state: its upper bits tell where the rover is
#define STATES    (1u << 21)  // slots of the table
#define NOWHERE   31u         // the rover before the first block

typedef uint64_t state_t;

static struct {
	unsigned words, most; // memory, and the most in use
	state_t *state;       // all that were found
	size_t states;
	uint32_t *slot;       // the table: 1 + index in state; 0: empty
} game;

// ---- states

static unsigned length_at(state_t state, unsigned word) // 0: free
{
	unsigned code = state >> 2 * word & 3;

	return code == 3 ? 4 : code;
}

static state_t with_block(unsigned word, unsigned length)
{
	return (state_t)(length == 4 ? 3 : length) << 2 * word;
}

static unsigned in_use(state_t state)
{
	unsigned sum = 0;

	for (unsigned word = 0; word < game.words; word++)
		sum += length_at(state, word);
	return sum;
}

// The slot of a state, empty when it is new.
static uint32_t *slot_of(state_t state)
{
	size_t at = state * 0x9e3779b97f4a7c15u >> 43;

	while (game.slot[at] && game.state[game.slot[at] - 1] != state)
		at = (at + 1) % STATES;
	return &game.slot[at];
}

static void note(state_t state)
{
	uint32_t *slot = slot_of(state);

	if (*slot)
		return;
	EXPECT(game.states < STATES / 2);
	game.state[game.states++] = state;
	*slot = (uint32_t)game.states;
}

static void begin(unsigned words, unsigned most)
{
	if (!game.slot) {
		game.slot = malloc(STATES * sizeof *game.slot);
		game.state = malloc(STATES / 2 * sizeof *game.state);
	}
	EXPECT(game.slot && game.state && words <= WORDS_MAX);
	memset(game.slot, 0, STATES * sizeof *game.slot);
	game.words = words;
	game.most = most;
	game.states = 0;
}

// ---- the free list: the state laid out in its memory

static char *memory;

static struct block *block_at_word(unsigned word)
{
	return (struct block *)(void *)(memory + word * WORD);
}

static unsigned word_of(const void *block)
{
	return (unsigned)((size_t)((const char *)block - memory) / WORD);
}

static void lay_out(struct freelist *list, state_t state)
{
	struct block **link = &list->first;
	unsigned rover = state >> 2 * WORDS_MAX;

	for (unsigned word = 0, length; word < game.words; word += length) {
		struct block *block = block_at_word(word);

		length = length_at(state, word);
		if (length > 0) {
			block->bytes = length * WORD | FREELIST_USED;
			block->cookie = block_cookie(list, block);
			continue;
		}
		while (word + length < game.words && length_at(state, word + length) == 0)
			length++;
		block->bytes = length * WORD;
		*link = block;
		link = &block->next;
	}
	*link = NULL;
	list->rover = rover == NOWHERE ? NULL : block_at_word(rover);
}

// Only next fit's state has a rover: for the others it says nothing about what follows.
static state_t rover_bits(const struct freelist *list)
{
	bool counts = list->policy == NEXT_FIT && list->rover;

	return (state_t)(counts ? word_of(list->rover) : NOWHERE) << 2 * WORDS_MAX;
}

// Notes every state that follows from this one; false: a request was refused.
static bool follow(struct freelist *list, state_t state)
{
	struct heap *heap = &list->heap;
	state_t blocks = state & (((state_t)1 << 2 * WORDS_MAX) - 1);
	unsigned used = in_use(state);

	for (unsigned length = 1; length <= 4 && used + length <= game.most; length *= 2) {
		lay_out(list, state);
		void *payload = heap->ops->alloc(heap, length * WORD - sizeof(struct block), HEAP_ALIGN);
		if (!payload)
			return false;
		note(blocks | with_block(word_of((struct block *)payload - 1), length) | rover_bits(list));
	}
	for (unsigned word = 0; word < game.words; word++) {
		unsigned length = length_at(blocks, word);

		if (length == 0)
			continue;
		lay_out(list, state);
		heap->ops->free(heap, block_at_word(word) + 1);
		note((blocks & ~with_block(word, 4)) | rover_bits(list));
	}
	return true;
}

// Whether the player wins: makes the heap refuse with no more than `most` words in use.
static bool player_wins(const struct heap_ops *ops, unsigned words, unsigned most)
{
	size_t own = (sizeof(struct freelist) + HEAP_ALIGN - 1) & ~(size_t)(HEAP_ALIGN - 1);
	char *arena = heap_model_arena();
	struct heap *heap = heap_create(ops, arena, own + words * WORD);

	memory = arena + own;
	begin(words, most);
	note((state_t)NOWHERE << 2 * WORDS_MAX);
	host_fail_after(1);
	for (size_t i = 0; i < game.states; i++)
		if (!follow((struct freelist *)heap, game.state[i]))
			return true;
	return false;
}

// Robson's figures, from the real free list. Next fit's are found here: none are published; for M = 8 it is 20, in half a minute.
TEST(small_games)
{
	static const struct {
		const struct heap_ops *ops;
		unsigned most, words;
	} known[] = {
		{ &heap_first_fit, 4, 6 }, { &heap_first_fit, 6, 10 }, { &heap_first_fit, 8, 16 },
		{ &heap_best_fit, 4, 6 }, { &heap_best_fit, 6, 12 }, { &heap_best_fit, 8, 17 },
		{ &heap_worst_fit, 4, 6 }, { &heap_worst_fit, 6, 12 }, { &heap_worst_fit, 8, 20 },
		{ &heap_next_fit, 4, 6 }, { &heap_next_fit, 6, 12 },
	};

	for (unsigned i = 0; i < sizeof known / sizeof *known; i++) {
		const char *name = known[i].ops->name;
		unsigned most = known[i].most, words = known[i].words;

		EXPECT_SO(!player_wins(known[i].ops, words, most), "%s refuses in %u words, M = %u: expected not to", name, words, most);
		EXPECT_SO(player_wins(known[i].ops, words - 1, most), "%s never refuses in %u words, M = %u: expected to", name, words - 1,
			  most);
	}
}

// ---- the best that any allocator can do

static bool is_free(state_t state, unsigned word, unsigned length)
{
	for (unsigned below = 0; below < word; below++)
		if (below + length_at(state, below) > word)
			return false;
	for (unsigned i = word; i < word + length; i++)
		if (length_at(state, i))
			return false;
	return word + length <= game.words;
}

static bool is_lost(state_t state, const bool *lost)
{
	return lost[*slot_of(state) - 1];
}

// Whether there is a place for the block from which the game is not lost; notes every place when `lost` is NULL.
static bool can_place(state_t state, unsigned length, const bool *lost)
{
	for (unsigned word = 0; word + length <= game.words; word++) {
		if (!is_free(state, word, length))
			continue;
		if (!lost)
			note(state | with_block(word, length));
		else if (!is_lost(state | with_block(word, length), lost))
			return true;
	}
	return false;
}

// Whether the player can go from here to where the game is lost for the allocator, whatever it does.
static bool can_force(state_t state, const bool *lost)
{
	unsigned used = in_use(state);

	for (unsigned length = 1; length <= 4 && used + length <= game.most; length *= 2)
		if (!can_place(state, length, lost))
			return true;
	for (unsigned word = 0; word < game.words; word++)
		if (length_at(state, word) && is_lost(state & ~with_block(word, 4), lost))
			return true;
	return false;
}

static bool player_beats_all(unsigned words, unsigned most)
{
	begin(words, most);
	note(0);
	for (size_t i = 0; i < game.states; i++) // all states there are: frees lead to no others
		for (unsigned length = 1; length <= 4 && in_use(game.state[i]) + length <= most; length *= 2)
			can_place(game.state[i], length, NULL);
	bool *lost = calloc(game.states, sizeof *lost), more = true;
	EXPECT(lost);
	while (more) {
		more = false;
		for (size_t i = game.states; i-- > 0;)
			if (!lost[i] && can_force(game.state[i], lost))
				lost[i] = more = true;
	}
	more = lost[0];
	free(lost);
	return more;
}

// Robson: powers of two up to n need M (1 + log2(n) / 2) - n + 1 words, no less and no more: for n = 4, 2 M - 3.
TEST(small_games_optimum)
{
	for (unsigned most = 4; most <= 8; most += 2) {
		EXPECT_SO(player_beats_all(2 * most - 4, most), "somebody manages M = %u in %u words", most, 2 * most - 4);
		EXPECT_SO(!player_beats_all(2 * most - 3, most), "nobody manages M = %u in %u words", most, 2 * most - 3);
	}
}
