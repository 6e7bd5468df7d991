// wrapper.h: a heap around another: what fault.c, quota.c and trace.c have in common.
#pragma once

#include "heap.h"

// A wrapper's own struct begins with this; pass &heap to heap_alloc and so on. From then on the inner heap is used through the wrapper
// alone, whose entry locks and dresses: the blocks are the inner heap's as they are, and the wrapper's lock guards the inner heap as well.
struct wrapper {
	struct heap heap;
	struct heap *inner;
};

// What an operation does that the wrapper has nothing to add to.
void *wrapper_alloc(struct heap *heap, size_t bytes, size_t align) __attribute__((warn_unused_result));
void wrapper_free(struct heap *heap, void *block);
size_t wrapper_usable(const struct heap *heap, const void *block);
bool wrapper_resize(struct heap *heap, void *block, size_t bytes); // false as well when the inner heap never can
void wrapper_inspect(const struct heap *heap, const void *place);
void wrapper_trim(struct heap *heap);
struct verdict wrapper_check(const struct heap *heap);
void wrapper_walk(const struct heap *heap, heap_visitor *visit, void *context);

// The first member of a wrapper with these operations.
struct wrapper wrapper_around(struct heap *inner, const struct heap_ops *ops);

// The heap inside all wrappers; the heap itself when it is none.
const struct heap *wrapper_core(const struct heap *heap);
