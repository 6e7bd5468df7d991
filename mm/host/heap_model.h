// heap_model.h: a heap beside its shadow, driven by any source of numbers: test_heap.c's random stream or fuzz_heap.c's input.
#pragma once

#include "../heap_entry.h"
#include "../heap_report.h"

#define HEAP_MODEL_ARENA ((size_t)64 << 10)

typedef uint64_t heap_model_draw(uint64_t limit); // 0 .. limit - 1

void *heap_model_arena(void);    // HEAP_MODEL_ARENA bytes of dirty memory, the same in each run
size_t heap_model_machine(unsigned mib); // a fresh machine with that much memory; returns its free pages

extern struct heap *(*heap_model_wrap)(struct heap *inner); // the model goes through what this puts around its heap; NULL: nothing

// Random calls on a fresh heap of this kind; then everything is freed and no memory may be kept. Allocating calls fail from the
// fail_after-th on; UINT64_MAX: none does, and 32 MiB are enough for all, else there are 8. True when a call was refused.
bool heap_model_run(const struct heap_ops *ops, heap_model_draw *from, unsigned steps, uint64_t fail_after);

size_t heap_model_live_blocks(const struct heap *heap); // as the heap's own walk counts them
size_t heap_model_describe(const struct heap *heap, char *text, size_t room); // the same; the text says who asked for how much
void heap_model_expect_bytes(const unsigned char *block, size_t bytes, unsigned char value);

// The allocator's own block behind what the entry gave for it, for an alignment of HEAP_ALIGN.
static inline void *heap_model_inner(void *payload)
{
	return (char *)payload - (MM_CHECK ? FRONT_MIN : 0);
}

// Expects that all blocks were freed; else the test ends with the places that asked for those which are live.
#define EXPECT_ALL_FREED(heap)                                                                 \
	do {                                                                                   \
		char text_[800];                                                               \
		size_t live_ = heap_model_describe(heap, text_, sizeof text_);                 \
		if (live_ > 0)                                                                 \
			test_fail(__FILE__, __LINE__, "%zu blocks are still live:%s", live_, text_); \
	} while (0)

// Breaks one invariant of `heap`, expects its id, and mends it.
#define BREAK(id, place, value)                                                        \
	do {                                                                           \
		__typeof__(place) saved_ = (place);                                    \
		(place) = (value);                                                     \
		EXPECT_VERDICT(heap_check(heap), id);                                  \
		(place) = saved_;                                                      \
		EXPECT_VERDICT(heap_check(heap), NULL);                                \
	} while (0)
