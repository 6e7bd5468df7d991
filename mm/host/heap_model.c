// heap_model.c: what every heap must do: random calls beside a shadow.
//
//     random calls ──► heap under test ──► blocks ──► shadow: where each block is, how long, which pattern it holds
//
// The shadow is what finds a block given out twice: the allocator's own records can be consistent and wrong.
#include <stdlib.h>

#include "heap_model.h"
#include "../page.h"
#include "../slab.h"
#include "test.h"

#define LIVE_MAX 200

struct live {
	unsigned char *block;
	size_t bytes;
	unsigned char pattern;
};

struct model {
	struct heap *heap;
	struct live live[LIVE_MAX];
	size_t count;
	bool may_fail; // faults are being injected
	bool failed;   // a call was refused
};

size_t host_reserved(void);

struct heap *(*heap_model_wrap)(struct heap *inner);

static heap_model_draw *draw;

void *heap_model_arena(void)
{
	static void *memory;

	if (!memory)
		memory = aligned_alloc(4096, HEAP_MODEL_ARENA);
	memset(memory, 0x5c, HEAP_MODEL_ARENA);
	return memory;
}

size_t heap_model_machine(unsigned mib)
{
	static struct memblock mb;
	struct page_config config = { .dma_limit = PA(0x80400000), .cpus = 4, .reserve = 16 };

	slab_forget();
	host_reset();
	memset(&mb, 0, sizeof mb);
	host_ram(0x80000000, (uint64_t)mib << 20, &mb);
	EXPECT(page_init(&mb, &config));
	return page_free_count();
}

static void paint(struct live *live)
{
	live->pattern = (unsigned char)draw(256);
	memset(live->block, live->pattern, live->bytes);
}

void heap_model_expect_bytes(const unsigned char *block, size_t bytes, unsigned char pattern)
{
	for (size_t i = 0; i < bytes; i++)
		EXPECT_EQ(block[i], pattern);
}

static void expect_apart(const struct model *model, const struct live *live)
{
	for (size_t i = 0; i < model->count; i++) {
		const struct live *other = &model->live[i];

		EXPECT(other == live || other->block + other->bytes <= live->block || live->block + live->bytes <= other->block);
	}
}

// Enters a new block into the shadow after all that can be asked of it.
static void enter(struct model *model, void *block, size_t bytes, size_t align)
{
	struct live *live = &model->live[model->count];

	if (!block) {
		EXPECT(model->may_fail);
		model->failed = true;
		return;
	}
	*live = (struct live){ block, bytes, 0 };
	EXPECT_EQ((uintptr_t)block % align, 0);
	EXPECT(heap_usable(model->heap, block) >= bytes);
	expect_apart(model, live);
	paint(live);
	model->count++;
}

static size_t random_size(void)
{
	switch (draw(8)) {
	case 0:
		return 1 + draw(16);
	case 1:
		return 1 + draw(40000);
	case 2:
		return (size_t)1 << draw(14);
	case 3:
		return 1 + draw(4096);
	default:
		return 1 + draw(400);
	}
}

static void step_alloc(struct model *model)
{
	size_t bytes = random_size(), align = HEAP_ALIGN;
	void *block;

	if (model->count == LIVE_MAX)
		return;
	switch (draw(5)) {
	case 0:
		align = (size_t)1 << draw(13);
		block = heap_alloc_aligned(model->heap, bytes, align);
		break;
	case 1:
		block = heap_alloc_zeroed(model->heap, bytes, 3);
		bytes *= 3;
		if (block)
			heap_model_expect_bytes(block, bytes, 0);
		break;
	case 2:
		block = heap_alloc_back(model->heap, bytes);
		break;
	default:
		block = heap_alloc(model->heap, bytes);
	}
	enter(model, block, bytes, align < HEAP_ALIGN ? HEAP_ALIGN : align);
}

static struct live leave(struct model *model, size_t i)
{
	struct live live = model->live[i];

	heap_model_expect_bytes(live.block, live.bytes, live.pattern);
	model->live[i] = model->live[--model->count];
	return live;
}

static void step_realloc(struct model *model)
{
	size_t bytes = random_size(), i = draw(model->count);
	struct live old = leave(model, i);
	unsigned char *block = heap_realloc(model->heap, old.block, bytes);

	if (block)
		heap_model_expect_bytes(block, bytes < old.bytes ? bytes : old.bytes, old.pattern);
	else
		EXPECT(bytes > old.bytes); // shrinking never fails
	enter(model, block, bytes, HEAP_ALIGN);
	if (!block) // the old block is as it was
		model->live[model->count++] = old;
}

static void step(struct model *model, bool growing)
{
	uint64_t dice = draw(100);

	if (dice < (growing ? 60 : 35))
		step_alloc(model);
	else if (model->count == 0)
		return;
	else if (dice < 75)
		step_realloc(model);
	else if (dice < 99)
		heap_free(model->heap, leave(model, draw(model->count)).block);
	else
		heap_trim(model->heap);
}

size_t heap_model_live_blocks(const struct heap *heap)
{
	struct heap_report report;

	heap_report(heap, &report);
	return report.blocks;
}

// The sanitizers' run time knows names and lines; a build without it prints addresses.
void __sanitizer_symbolize_pc(void *place, const char *format, char *text, size_t room) __attribute__((weak));

size_t heap_model_describe(const struct heap *heap, char *text, size_t room)
{
	struct heap_place places[8];
	size_t count = heap_places(heap, places, 8), used = 0, blocks = 0;

	text[0] = '\0';
	for (size_t i = 0; i < count; i++) {
		char name[200];

		blocks += places[i].blocks;
		snprintf(name, sizeof name, "%p", places[i].caller);
		if (__sanitizer_symbolize_pc && places[i].caller)
			__sanitizer_symbolize_pc((char *)(uintptr_t)places[i].caller - 1, "%f in %s:%l", name, sizeof name);
		if (used < room)
			used += (size_t)snprintf(text + used, room - used, "%s %zu bytes in %zu blocks, asked for by %s", i ? ";" : "",
						 places[i].bytes, places[i].blocks, places[i].caller ? name : "others, or at level 0");
	}
	return blocks;
}

static void finish(struct model *model)
{
	while (model->count > 0)
		heap_free(model->heap, leave(model, draw(model->count)).block);
	heap_trim(model->heap);
	EXPECT_VERDICT(heap_check(model->heap), NULL);
	EXPECT_ALL_FREED(model->heap);
}

bool heap_model_run(const struct heap_ops *ops, heap_model_draw *from, unsigned steps, uint64_t fail_after)
{
	static struct model model;
	size_t pages = heap_model_machine(fail_after == UINT64_MAX ? 32 : 8), reserved = host_reserved();

	draw = from;
	model = (struct model){ .may_fail = fail_after != UINT64_MAX };
	host_fail_after(fail_after);
	model.heap = heap_create(ops, heap_model_arena(), HEAP_MODEL_ARENA);
	if (!model.heap) {
		EXPECT(model.may_fail);
		return true;
	}
	if (heap_model_wrap)
		model.heap = heap_model_wrap(model.heap);
	for (unsigned i = 0; i < steps; i++) {
		step(&model, i / 256 % 2 == 0);
		if (i % 64 == 0) {
			EXPECT_VERDICT(heap_check(model.heap), NULL);
			EXPECT_EQ(heap_model_live_blocks(model.heap), model.count);
		}
	}
	host_fail_after(UINT64_MAX);
	finish(&model);
	EXPECT_EQ(host_reserved(), reserved);
	page_drain();
	EXPECT_EQ(page_free_count(), pages);
	return model.failed;
}
