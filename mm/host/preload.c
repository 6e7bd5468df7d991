// preload.c: libquire.so: malloc and its family on top of the slab heap and pages, for any program: LD_PRELOAD=build/host/libquire.so
//
//    malloc ──► heap_slab.alloc ──► magazines ──► slabs ──► page_alloc ──► 4 MiB more of the reserved range
//           `──(4 MiB and more)──► a mapping of its own
//
// Nothing here calls the allocator that it replaces. The heap is built at the first call, which comes before main.
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "../slab.h"
#include "../vmalloc.h"
#include "preload.h"

#define EXPORT __attribute__((visibility("default")))
#define WHOLE  __attribute__((flatten)) // what it calls becomes part of it

static struct heap *heap;

static __attribute__((noinline)) void start(void)
{
	static _Alignas(64) char arena[1 << 20];
	static bool begun;

	if (begun)
		port_panic("the first allocation needs another one", 0);
	begun = true;
	preload_memory_init();
	heap = heap_create(&heap_slab, arena, sizeof arena);
	if (!heap)
		port_panic("no memory for the heap itself", sizeof arena);
	preload_threads_init();
}

static void *answer(void *block)
{
	if (__builtin_expect(!block, 0))
		errno = ENOMEM;
	return block;
}

static bool too_large(size_t bytes)
{
	return bytes > PTRDIFF_MAX;
}

static __attribute__((noinline, cold)) void *first_malloc(size_t bytes)
{
	start();
	return slab_alloc(heap, bytes, HEAP_ALIGN);
}

EXPORT WHOLE void *malloc(size_t bytes)
{
	if (__builtin_expect(!heap, 0))
		return first_malloc(bytes);
	return slab_alloc(heap, bytes, HEAP_ALIGN); // which has a place for 0 bytes, too; who refuses memory below sets errno
}

EXPORT WHOLE void free(void *block)
{
	if (__builtin_expect(block != NULL, 1))
		slab_free(heap, block);
}

EXPORT void *calloc(size_t count, size_t bytes)
{
	size_t total;

	if (__builtin_mul_overflow(count, bytes, &total))
		return answer(NULL);
	void *block = malloc(total);
	if (block && page_of(pa_of(block))) // a mapping of its own is clear already
		memset(block, 0, total);
	return block;
}

static bool is_mapped(const void *block)
{
	return !page_of(pa_of(block));
}

EXPORT void *realloc(void *block, size_t bytes)
{
	if (!block)
		return malloc(bytes);
	if (too_large(bytes))
		return answer(NULL);
	if (is_mapped(block) && bytes >= PAGE_BYTES << PAGE_MAX_ORDER) {
		if (vmalloc_bytes(block) == 0)
			port_panic("realloc: foreign pointer", (uintptr_t)block);
		return answer(map_resize(block, bytes));
	}
	void *moved = heap_realloc(heap, block, bytes);
	return bytes ? answer(moved) : NULL;
}

EXPORT void *reallocarray(void *block, size_t count, size_t bytes)
{
	size_t total;

	return __builtin_mul_overflow(count, bytes, &total) ? answer(NULL) : realloc(block, total);
}

// ---- aligned blocks

static void *aligned(size_t align, size_t bytes)
{
	if (!heap)
		start();
	if (too_large(bytes) || align > PTRDIFF_MAX / 2)
		return NULL;
	if (align < HEAP_ALIGN)
		align = HEAP_ALIGN;
	void *block = slab_alloc(heap, bytes, align);
	return block || align <= PAGE_BYTES ? block : map_alloc(bytes, align); // slab's own mappings are aligned to pages
}

static bool is_power_of_two(size_t n)
{
	return n && (n & (n - 1)) == 0;
}

EXPORT int posix_memalign(void **result, size_t align, size_t bytes)
{
	if (!is_power_of_two(align) || align % sizeof(void *))
		return EINVAL;
	void *block = aligned(align, bytes);
	if (!block)
		return ENOMEM;
	*result = block;
	return 0;
}

EXPORT void *memalign(size_t align, size_t bytes)
{
	if (is_power_of_two(align))
		return answer(aligned(align, bytes));
	errno = EINVAL;
	return NULL;
}

EXPORT void *aligned_alloc(size_t align, size_t bytes)
{
	return memalign(align, bytes);
}

EXPORT void *valloc(size_t bytes)
{
	return memalign(PAGE_BYTES, bytes);
}

EXPORT void *pvalloc(size_t bytes)
{
	return too_large(bytes) ? answer(NULL) : memalign(PAGE_BYTES, round_up(bytes, PAGE_BYTES));
}

// ---- looking and giving back

EXPORT size_t malloc_usable_size(void *block)
{
	return block ? heap_slab.usable(heap, block) : 0;
}

EXPORT int malloc_trim(size_t keep)
{
	(void)keep;
	kmem_reap();
	preload_purge();
	return 1;
}
