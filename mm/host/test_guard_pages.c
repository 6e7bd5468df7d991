// test_guard_pages.c: what the heap of pages of their own promises beyond heap_model.c: who touches what is not his faults there and then.
#include "../guard_pages.h"
#include "heap_model.h"
#include "test.h"

static struct heap *made(void)
{
	heap_model_machine(32);
	struct heap *heap = heap_create(&heap_guard_pages, heap_model_arena(), HEAP_MODEL_ARENA);
	EXPECT(heap);
	return heap;
}

// Past the entry, whose zones would stand between the object and its page's end.
static volatile char *given(struct heap *heap, size_t bytes, size_t align)
{
	volatile char *block = heap->ops->alloc(heap, bytes, align);

	EXPECT(block && (uintptr_t)block % align == 0 && heap->ops->usable(heap, (void *)block) == bytes);
	for (size_t i = 0; i < bytes; i++)
		block[i] = (char)i;
	return block;
}

static __attribute__((noinline)) void commit(struct heap *heap, size_t bytes, size_t align)
{
	volatile char *block = given(heap, bytes, align), *end = block + bytes;
	size_t whole = (bytes + align - 1) & ~(align - 1);

	EXPECT(whole - bytes < align && (uintptr_t)(block + whole) % GUARD_PAGE == 0);
	EXPECT_PANIC("without memory", block[whole] = 1);
	EXPECT_PANIC("without memory", (void)block[whole]);
	if (whole > bytes) { // in the slack
		*end ^= 1;
		EXPECT_PANIC("past its end", heap->ops->free(heap, (void *)block));
		*end ^= 1;
	}
	if ((uintptr_t)block % GUARD_PAGE) {
		block[-1] ^= 1;
		EXPECT_PANIC("before its start", heap->ops->free(heap, (void *)block));
		block[-1] ^= 1;
	} else {
		EXPECT_PANIC("without memory", block[-1] = 1);
	}
	heap->ops->free(heap, (void *)block);
	EXPECT_PANIC("without memory", block[0] = 1);
	EXPECT_PANIC("without memory", (void)end[-1]);
	EXPECT_PANIC("double free", heap->ops->free(heap, (void *)block));
}

TEST(guard_pages_fault_at_the_first_byte)
{
	struct heap *heap = made();

	for (size_t bytes = 1; bytes < 70; bytes++)
		commit(heap, bytes, HEAP_ALIGN);
	for (size_t bytes = 4000; bytes < 4200; bytes += 7)
		commit(heap, bytes, HEAP_ALIGN);
	for (size_t align = HEAP_ALIGN; align <= GUARD_PAGE; align *= 2)
		commit(heap, 1 + (size_t)random_below(20000), align);
	EXPECT(!heap->ops->alloc(heap, 16, 2 * GUARD_PAGE)); // larger alignments are refused
	EXPECT_VERDICT(heap->ops->check(heap), NULL);
}

static __attribute__((noinline)) void free_wrongly(struct heap *heap, char *block)
{
	EXPECT_PANIC("misaligned", heap->ops->free(heap, block + 8));
	EXPECT_PANIC("not the start of", heap->ops->free(heap, block + 16));
	EXPECT_PANIC("not the start of", heap->ops->free(heap, block + GUARD_PAGE));
	EXPECT_PANIC("foreign", heap->ops->free(heap, block + 2 * GUARD_PAGE));
	EXPECT_PANIC("foreign", heap->ops->free(heap, heap));
	heap->ops->free(heap, block);
	EXPECT_PANIC("double free", heap->ops->free(heap, block + GUARD_PAGE));
}

TEST(guard_pages_mistakes)
{
	struct heap *heap = made();

	free_wrongly(heap, heap->ops->alloc(heap, 5000, HEAP_ALIGN));
}

// An address is not used again before the whole window was; dead objects keep no memory; and addresses come back for ever.
TEST(guard_pages_wait_for_the_whole_window)
{
	struct heap *heap = made();
	struct guard_pages *guard = (struct guard_pages *)heap;
	size_t reserved = host_reserved(), turn = (guard->pages - 1) / 2;
	void *keep = heap->ops->alloc(heap, 30000, HEAP_ALIGN), *first = heap->ops->alloc(heap, 100, HEAP_ALIGN);
	unsigned again = 0;

	heap->ops->free(heap, first);
	for (size_t i = 0; i < 3 * turn; i++) {
		void *block = heap->ops->alloc(heap, 100, HEAP_ALIGN);
		EXPECT(block && (block != first || i > turn - 20));
		again += block == first;
		heap->ops->free(heap, block);
		EXPECT_EQ(host_reserved(), reserved + 8 * GUARD_PAGE);
	}
	EXPECT_EQ(again, 3);
	heap->ops->free(heap, keep);
	EXPECT_EQ(host_reserved(), reserved);
}

TEST(guard_pages_run_out)
{
	static void *block[GUARD_LEAST];
	struct heap *heap = made();
	struct guard_pages *guard = (struct guard_pages *)heap;
	size_t count = 0, turn = (guard->pages - 1) / 2;

	while ((block[count] = heap->ops->alloc(heap, 1, HEAP_ALIGN)))
		count++;
	EXPECT_EQ(count, turn);
	EXPECT_VERDICT(heap->ops->check(heap), NULL);
	for (unsigned i = 0; i < 3; i++)
		heap->ops->free(heap, block[1000 + i]);
	EXPECT(!heap->ops->alloc(heap, 6 * GUARD_PAGE, HEAP_ALIGN));
	EXPECT(heap->ops->alloc(heap, 5 * GUARD_PAGE, HEAP_ALIGN)); // in the place of three, and their guards
	EXPECT(!heap->ops->alloc(heap, 1, HEAP_ALIGN));
	EXPECT_VERDICT(heap->ops->check(heap), NULL);
	EXPECT_PANIC("foreign", heap->ops->free(heap, block[1001])); // the addresses are the new one's
}

TEST(guard_pages_need_a_port_that_protects)
{
	heap_model_machine(32);
	host_fail_after(1);
	EXPECT(!heap_create(&heap_guard_pages, heap_model_arena(), HEAP_MODEL_ARENA));
	host_fail_after(UINT64_MAX);
	EXPECT(!heap_create(&heap_guard_pages, heap_model_arena(), GUARD_LEAST * sizeof(struct object)));
}

TEST(guard_pages_invariants)
{
	struct heap *heap = made();
	struct guard_pages *guard = (struct guard_pages *)heap;
	char *low = heap_alloc(heap, 5000), *high = heap_alloc(heap, 100);
	char *first = (char *)((uintptr_t)heap_model_inner(low) & ~(GUARD_PAGE - 1)), *inner = heap_model_inner(high);
	struct object *object = &guard->object[1];

	memset(high, 1, 100);

	EXPECT(first == (char *)guard->window + GUARD_PAGE && object->state == OBJECT_LIVE && object[3].state == OBJECT_LIVE);
	BREAK("W1", object->bytes, object->bytes + GUARD_PAGE);
	BREAK("W1", object->offset, 4099);
	BREAK("W1", object[1].state, OBJECT_DEAD);
	BREAK("W1", object[3].bytes, 1u << 31);
	BREAK("W2", guard->live, 3);
	BREAK("W2", object[3].state, OBJECT_DEAD);
	BREAK("W3", *first, 0);
	BREAK("W3", inner[-1], 0);
	BREAK("W3", object[3].bytes, object[3].bytes - 1);
}
