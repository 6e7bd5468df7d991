// test_segregated.c: what the segregated heap promises beyond heap_model.c: each invariant, broken on purpose, and what a call touches.
#include "../segregated.h"
#include "heap_model.h"
#include "test.h"

static struct chunk *chunk_of(void *payload)
{
	return (struct chunk *)((char *)heap_model_inner(payload) - CHUNK_HEAD);
}

TEST(segregated_invariants)
{
	void *block[5];
	heap_model_machine(32);
	struct heap *heap = heap_create(&heap_segregated, heap_model_arena(), HEAP_MODEL_ARENA);
	struct segregated *own = (struct segregated *)heap;

	for (unsigned i = 0; i < 5; i++)
		EXPECT((block[i] = heap_alloc(heap, 96)));
	heap_free(heap, block[1]);
	heap_free(heap, block[3]);
	struct chunk *used = chunk_of(block[2]), *low = chunk_of(block[1]), *high = chunk_of(block[3]);

	BREAK("G1", own->total, own->total + 16);
	BREAK("G1", own->piece[0].end, own->piece[0].start);
	BREAK("G2", used->units, 0);
	BREAK("G2", used->units, 1u << 30);
	BREAK("G3", used->below, used->below + 1);
	BREAK("G4", used->cookie, used->cookie ^ 1024);
	BREAK("G4", used->cookie, chunk_cookie(used, CHUNK_FREE)); // touches the free one below
	BREAK("G5", high->link, &low->next);
	BREAK("G5", high->next, (struct chunk *)16);
	BREAK("G6", high->next, NULL); // the other one is in no list
	BREAK("G7", own->has[SEGREGATED_WORDS], 0);
	BREAK("G7", own->has[class_of(low->units) / WORD_BITS], 0);
	EXPECT_EQ(chunk_above(chunk_of(block[4]))->below, chunk_of(block[4])->units);
}

// Every class: chunks of a row's first and last length are found again, and none that is too short is.
TEST(segregated_classes)
{
	for (uint32_t units = 2; units < 1u << 20; units += 1 + units / 37) {
		unsigned class = class_of(units), next = class_of(units + 1);
		EXPECT(next < SEGREGATED_CLASSES && next - class <= 1);
	}
	heap_model_machine(32);
	struct heap *heap = heap_create(&heap_segregated, heap_model_arena(), HEAP_MODEL_ARENA);
	for (size_t bytes = 16; bytes < 20000; bytes += 16) {
		void *block = heap_alloc(heap, bytes), *wall = heap_alloc(heap, 16);
		EXPECT(block && wall);
		heap_free(heap, block);
		heap_free(heap, wall);
	}
	EXPECT_ALL_FREED(heap);
}
