// heaps.c: every heap of mm in a program: each juggles blocks of many sizes, whose contents are looked at, and is checked as a whole.
//
// It prints a line for each: its name and "ok", or why there is none. The slab heap stands on pages, so the program begins with a page
// allocator of its own, over memory from sbrk.
#include "mm/heap.h"
#include "mm/page.h"
#include "user/quire.h"

#define ARENA  (256 * 1024)
#define MEMORY (4 * 1024 * 1024)
#define BLOCKS 200
#define STEPS  4000

static struct block {
	unsigned char *start;
	uint32_t bytes;
} blocks[BLOCKS];

static uint32_t draw(uint32_t below)
{
	static uint64_t state = 1;

	state = state * 6364136223846793005UL + 1442695040888963407UL;
	return (uint32_t)(state >> 33) % below;
}

static bool is_whole(const struct block *block)
{
	for (uint32_t i = 0; i < block->bytes; i++)
		if (block->start[i] != (unsigned char)block->bytes)
			return false;
	return true;
}

// What went wrong, or NULL.
static const char *juggle(struct heap *heap)
{
	int refused = 0;

	for (int i = 0; i < STEPS; i++) {
		struct block *block = &blocks[draw(BLOCKS)];

		if (block->start && !is_whole(block))
			return "a block was overwritten";
		heap_free(heap, block->start);
		block->bytes = 1 + draw(draw(10) ? 200 : 3000);
		block->start = heap_alloc(heap, block->bytes);
		if (block->start) {
			memset(block->start, (int)block->bytes, block->bytes);
		} else {
			block->bytes = 0;
			refused++;
		}
	}
	for (struct block *block = blocks; block < blocks + BLOCKS; block++) {
		if (block->start && !is_whole(block))
			return "a block was overwritten";
		heap_free(heap, block->start);
		*block = (struct block){ 0 };
	}
	return refused > STEPS / 2 ? "more was refused than given" : heap_check(heap).broken;
}

static void have_pages(void)
{
	struct memblock mb = { 0 };
	struct page_config config = { .cpus = 1 };

	if (!memblock_add(&mb, PA((uint64_t)sbrk(MEMORY)), MEMORY) || !page_init(&mb, &config))
		die("heaps: no memory for pages");
}

int main(void)
{
	static char arena[ARENA] __attribute__((aligned(16)));

	have_pages();
	for (const struct heap_ops *const *ops = HEAPS; *ops; ops++) {
		struct heap *heap = heap_create(*ops, arena, ARENA);
		const char *wrong = heap ? juggle(heap) : "a program has no such heap";

		printf("%s: %s\n", (*ops)->name, wrong ? wrong : "ok");
	}
	return 0;
}
