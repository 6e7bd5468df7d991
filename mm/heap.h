// heap.h: what every heap can do, the list of them, and the one checked entry through which they are used.
//
//    caller -> heap_alloc -> [observer, red zones, poison, tag by level] -> ops->alloc -> the allocator
//
// Level 0 (MM_CHECK=0) compiles the bracketed part away; 1 poisons and guards; 2 also runs the heap's check around each call: a fault found
// before it is the caller's, one found after it the allocator's (Plan 9's pool.c does so at lock and unlock).
#pragma once

#include "check.h"
#include "port.h"

#ifndef MM_CHECK
#define MM_CHECK 0
#endif

#define HEAP_ALIGN 16u // every block is aligned at least so

// A heap's own state stands at the head of its arena and starts with this.
struct heap {
	const struct heap_ops *ops;
	struct lock lock;   // guards the allocator's state, unless ops->own_locking, and
	const void *caller; // who asks, during a call: for wrappers
};

typedef bool heap_visitor(void *context, void *block, size_t bytes, bool used); // false: stop

struct heap_ops {
	const char *name;
	bool own_locking; // the allocator is safe to call from many CPUs by itself
	// Builds a heap in [arena, arena + bytes), 16-byte aligned; NULL when that is too small. A heap that can grow calls port_reserve.
	struct heap *(*create)(void *arena, size_t bytes);
	// bytes > 0; align: a power of two >= HEAP_ALIGN. NULL when there is no memory.
	void *(*alloc)(struct heap *heap, size_t bytes, size_t align);
	// The same for a block that will stay: away from the others. NULL op: alloc.
	void *(*alloc_back)(struct heap *heap, size_t bytes, size_t align);
	// block: one that alloc returned. Panics, naming the rule, on what it can tell is not.
	void (*free)(struct heap *heap, void *block);
	// Bytes that may be used in the block, >= those asked for.
	size_t (*usable)(const struct heap *heap, const void *block);
	// Changes the size in place, bytes > 0; false when that cannot be (NULL op: never can).
	bool (*resize)(struct heap *heap, void *block, size_t bytes);
	// Panics when `place` is in no live block: for a heap whose dead blocks the entry must not look at. NULL op: it may.
	void (*inspect)(const struct heap *heap, const void *place);
	// Gives back what is empty. NULL op: nothing to give.
	void (*trim)(struct heap *heap);
	struct verdict (*check)(const struct heap *heap);
	void (*walk)(const struct heap *heap, heap_visitor *visit, void *context);
};

extern const struct heap_ops heap_bump, heap_first_fit, heap_next_fit, heap_best_fit, heap_worst_fit, heap_slab, heap_segregated,
	heap_fixed, heap_buddy, heap_guard, heap_guard_pages, heap_lazy_fit, heap_bitmap_fit;

// All heaps, ended by NULL, by name: "slab" and so on. The list is in kmalloc.c: a program that names its heap's ops itself (as user/
// does with &heap_first_fit) links heap.c and that heap alone.
extern const struct heap_ops *const HEAPS[];
const struct heap_ops *heap_named(const char *name); // NULL when there is none

struct heap *heap_create(const struct heap_ops *ops, void *arena, size_t bytes) __attribute__((warn_unused_result));
// For an allocator that stands on another: that one, in what the arena has behind `own` bytes.
struct heap *heap_create_behind(const struct heap_ops *ops, void *arena, size_t bytes, size_t own) __attribute__((warn_unused_result));
void *heap_alloc(struct heap *heap, size_t bytes) __attribute__((warn_unused_result, malloc));              // bytes == 0: NULL
void *heap_alloc_aligned(struct heap *heap, size_t bytes, size_t align) __attribute__((warn_unused_result, malloc));
void *heap_alloc_zeroed(struct heap *heap, size_t count, size_t bytes) __attribute__((warn_unused_result, malloc)); // overflow: NULL
void *heap_alloc_back(struct heap *heap, size_t bytes) __attribute__((warn_unused_result, malloc)); // it will stay: from the other end
// The old block stays as it is on failure. NULL block: alloc. bytes == 0: free, returns NULL.
void *heap_realloc(struct heap *heap, void *block, size_t bytes) __attribute__((warn_unused_result));
void heap_free(struct heap *heap, void *block); // NULL is allowed
size_t heap_usable(const struct heap *heap, const void *block);
void heap_trim(struct heap *heap);

// The same for wrappers that know better who asks: `caller` is the place that the block is tagged with at level 1 and above.
void *heap_alloc_for(struct heap *heap, size_t bytes, size_t align, const void *caller) __attribute__((warn_unused_result, malloc));
void *heap_realloc_for(struct heap *heap, void *block, size_t bytes, const void *caller) __attribute__((warn_unused_result));
void heap_free_for(struct heap *heap, void *block, const void *caller);

// Told of each block that the entry gives out and is about to take back, at level 1 and above: tracing, accounting, address checking.
struct heap_observer {
	void (*given)(struct heap *heap, void *block, size_t bytes, const void *caller);
	void (*taken)(struct heap *heap, void *block, size_t bytes, const void *caller);
};
extern const struct heap_observer *heap_observer; // NULL: nobody

struct verdict heap_check(const struct heap *heap);

// The kernel's heap: any of HEAPS. kmalloc of more than it can hold fails with NULL.
bool kmalloc_init(const char *name) __attribute__((warn_unused_result)); // false: no such heap, or no memory; NULL: "slab"
static inline void *kmalloc(size_t bytes) __attribute__((warn_unused_result, malloc));
void *kzalloc(size_t bytes) __attribute__((warn_unused_result, malloc));
void *krealloc(void *block, size_t bytes) __attribute__((warn_unused_result));
void kfree(void *block);
struct heap *kmalloc_heap(void);
void kmalloc_use(struct heap *heap); // a wrapper around kmalloc_heap(), say: kmalloc goes there from now on; blocks must be its own, too

// kmalloc's two ways: a size that the compiler knows is looked up where it is asked for. `stock`: as kmalloc_stock has it, or 0.
#define KMALLOC_SMALL 8192u // as SLAB_SMALL
extern uint16_t kmalloc_stock[KMALLOC_SMALL / HEAP_ALIGN + 1]; // in this many units of HEAP_ALIGN: where in a CPU's row of stocks
void *kmalloc_from(size_t stock, size_t bytes) __attribute__((warn_unused_result, malloc));
void *kmalloc_any(size_t bytes) __attribute__((warn_unused_result, malloc));

static inline __attribute__((always_inline)) void *kmalloc(size_t bytes)
{
	if (MM_CHECK == 0 && __builtin_constant_p(bytes) && bytes <= KMALLOC_SMALL)
		return kmalloc_from(kmalloc_stock[(bytes + HEAP_ALIGN - 1) / HEAP_ALIGN], bytes);
	return kmalloc_any(bytes);
}
