// play.c: see play.h. Memory is a piece of the simulated machine, so that where a block lies is an offset that repeats in each run.
#include <stdlib.h>
#include <sys/mman.h>

#include "heap_model.h"
#include "play.h"
#include "test.h"

#define MACHINE_MIB 16u // what page-based heaps have, below the arena
#define BASE        (0x80000000ull + ((uint64_t)MACHINE_MIB << 20))
#define WINDOW      (((size_t)MACHINE_MIB << 20) + PLAY_ARENA)

static uint64_t touched[WINDOW / HEAP_ALIGN / 64]; // a bit for each unit of HEAP_ALIGN

static void *refuse(size_t bytes)
{
	(void)bytes;
	return NULL;
}

static void *room(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	EXPECT(memory != MAP_FAILED);
	return memory;
}

void play_start(struct play *play, const struct heap_ops *ops, size_t arena, size_t header)
{
	struct play_block *block = play->block ? play->block : room(PLAY_BLOCKS * sizeof *block);
	struct play_turn *turn = play->turn ? play->turn : room(2 * PLAY_BLOCKS * sizeof *turn);

	heap_model_machine(MACHINE_MIB);
	host_ram(BASE, PLAY_ARENA, NULL);
	host_reserve_hook = refuse;
	memset(touched, 0, sizeof touched);
	*play = (struct play){ .header = header, .word = PLAY_WORD, .block = block, .turn = turn };
	play->heap = heap_create(ops, pa_pointer(PA(BASE)), arena);
	EXPECT(play->heap);
}

static void touch(struct play *play, uintptr_t start, size_t bytes)
{
	for (uintptr_t unit = start / HEAP_ALIGN; unit < (start + bytes + HEAP_ALIGN - 1) / HEAP_ALIGN; unit++) {
		uint64_t *word = &touched[unit / 64], bit = (uint64_t)1 << unit % 64;

		play->footprint += *word & bit ? 0 : HEAP_ALIGN;
		*word |= bit;
	}
}

static void *pointer_to(const struct play *play, uintptr_t at)
{
	return (char *)pa_pointer(PA(0x80000000)) + at + play->header;
}

uint32_t play_take(struct play *play, size_t bytes)
{
	uint32_t number = (uint32_t)play->blocks;

	EXPECT(number < PLAY_BLOCKS && bytes > play->header && bytes <= UINT32_MAX);
	void *block = play->refused ? NULL : play->heap->ops->alloc(play->heap, bytes - play->header, HEAP_ALIGN);
	if (!block) {
		play->refused = true;
		return number;
	}
	uintptr_t at = (uintptr_t)block - (uintptr_t)pointer_to(play, 0);
	if (at >= WINDOW) {
		play->heap->ops->free(play->heap, block);
		play->refused = play->paged = true;
		return number;
	}
	play->block[play->blocks++] = (struct play_block){ at, bytes };
	play->turn[play->turns++] = (struct play_turn){ number, (uint32_t)bytes };
	play->live += bytes;
	play->most = play->live > play->most ? play->live : play->most;
	touch(play, at, play->heap->ops->usable(play->heap, block) + play->header);
	return number;
}

void play_give(struct play *play, uint32_t number)
{
	if (play->refused)
		return;
	struct play_block *block = &play->block[number];
	EXPECT(number < play->blocks && block->bytes);
	play->heap->ops->free(play->heap, pointer_to(play, block->at));
	play->turn[play->turns++] = (struct play_turn){ number, 0 };
	play->live -= block->bytes;
	block->bytes = 0;
}

void play_again(struct play *play, const struct heap_ops *ops, const struct play *other)
{
	play_start(play, ops, PLAY_ARENA, other->header);
	for (size_t i = 0; i < other->turns && !play->refused; i++)
		if (other->turn[i].bytes)
			play_take(play, other->turn[i].bytes);
		else
			play_give(play, other->turn[i].block);
}

double play_figure(const struct play *play)
{
	return play->most ? (double)play->footprint / (double)play->most : 0;
}

static const struct play_block *sorting;

static int by_address(const void *one, const void *other)
{
	uintptr_t a = sorting[*(const uint32_t *)one].at, b = sorting[*(const uint32_t *)other].at;

	return a < b ? -1 : a > b;
}

size_t play_sorted(const struct play *play, uint32_t *numbers)
{
	size_t count = 0;

	for (size_t i = 0; i < play->blocks; i++)
		if (play->block[i].bytes)
			numbers[count++] = (uint32_t)i;
	sorting = play->block;
	qsort(numbers, count, sizeof *numbers, by_address);
	return count;
}
