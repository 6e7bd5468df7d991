// slab_heap.c: the kernel's default heap: size classes that are slab caches, large blocks straight from pages.
//
//    bytes   1 .. 8192   ──► fit[bytes / 16] ──► one of 32 caches: 16, 32, 48 … 128, then four to each doubling
//            .. 4 MiB    ──► page_alloc, rounded up to a power of two of pages
//            more, or no contiguous block ──► vmalloc, when vmalloc_init was called
//
//    free: block ──► its page's mark: a cache's number
//                └─► or, without one, its record ──► tag: a slab's, a large block's, or neither: vmalloc's
//
// Cost: a table look-up and a magazine on each side. At most a fifth is lost to rounding above 64 bytes, half above 8192.
// Weakness: large blocks that are not a power of two; vmalloc's blocks are not visited by walk.
// Sources: as slab.c; for the classes, Evans, "A scalable concurrent malloc(3) implementation", 2006.
#include "slab_magazine.h"
#include "vmalloc.h"

#define CLASSES   32u

struct slab_heap {
	struct heap heap;
	uint8_t fit[SLAB_SMALL / HEAP_ALIGN + 1]; // the number of the class for each size in units of HEAP_ALIGN
	struct kmem_cache class[CLASSES];
};

static const struct class {
	uint16_t bytes;
	char name[14];
} classes[CLASSES] = {
	{ 16, "kmalloc-16" }, { 32, "kmalloc-32" }, { 48, "kmalloc-48" }, { 64, "kmalloc-64" },
	{ 80, "kmalloc-80" }, { 96, "kmalloc-96" }, { 112, "kmalloc-112" }, { 128, "kmalloc-128" },
	{ 160, "kmalloc-160" }, { 192, "kmalloc-192" }, { 224, "kmalloc-224" }, { 256, "kmalloc-256" },
	{ 320, "kmalloc-320" }, { 384, "kmalloc-384" }, { 448, "kmalloc-448" }, { 512, "kmalloc-512" },
	{ 640, "kmalloc-640" }, { 768, "kmalloc-768" }, { 896, "kmalloc-896" }, { 1024, "kmalloc-1024" },
	{ 1280, "kmalloc-1280" }, { 1536, "kmalloc-1536" }, { 1792, "kmalloc-1792" }, { 2048, "kmalloc-2048" },
	{ 2560, "kmalloc-2560" }, { 3072, "kmalloc-3072" }, { 3584, "kmalloc-3584" }, { 4096, "kmalloc-4096" },
	{ 5120, "kmalloc-5120" }, { 6144, "kmalloc-6144" }, { 7168, "kmalloc-7168" }, { 8192, "kmalloc-8192" },
};

static uint32_t owner_id(const struct slab_heap *heap)
{
	return (uint32_t)((uintptr_t)heap >> 4);
}

static struct heap *slab_create(void *arena, size_t bytes)
{
	struct slab_heap *slabs = arena;
	unsigned class = 0;

	if (bytes < sizeof *slabs || (uintptr_t)arena % HEAP_ALIGN)
		return NULL;
	for (unsigned i = 0; i < CLASSES; i++) { // natural alignment: the largest power of two in the size, up to a page
		size_t size = classes[i].bytes, align = size & (~size + 1);

		if (!cache_setup(&slabs->class[i], classes[i].name, size, align < PAGE_BYTES ? align : PAGE_BYTES, NULL))
			return NULL;
	}
	for (unsigned i = CLASSES; i-- > 0;) {
		if (cache_register(&slabs->class[i]))
			continue;
		while (++i < CLASSES)
			cache_unregister(&slabs->class[i]);
		return NULL;
	}
	for (unsigned units = 0; units <= SLAB_SMALL / HEAP_ALIGN; units++) {
		if (units * HEAP_ALIGN > classes[class].bytes)
			class++;
		slabs->fit[units] = (uint8_t)slabs->class[class].number;
	}
	return &slabs->heap;
}

size_t slab_class(const struct heap *heap, size_t bytes)
{
	return ((const struct slab_heap *)heap)->fit[(bytes + HEAP_ALIGN - 1) / HEAP_ALIGN];
}

static void *large_alloc(struct slab_heap *slabs, size_t bytes, size_t align)
{
	size_t wanted = bytes > align ? bytes : align;
	unsigned order = 0;

	while (order <= PAGE_MAX_ORDER && PAGE_BYTES << order < wanted)
		order++;
	pa_t pages = order <= PAGE_MAX_ORDER ? page_alloc(order, PAGE_KERNEL) : PA_NONE;
	if (pa_is_none(pages))
		return order > 0 && align <= PAGE_BYTES ? vmalloc(bytes) : NULL;
	page_of(pages)->owner = owner_id(slabs);
	page_of(pages)->tag = LARGE_TAG;
	return pa_pointer(pages);
}

// The class for an alignment above HEAP_ALIGN, NULL when only whole pages will do.
static struct kmem_cache *aligned_class(struct slab_heap *slabs, size_t bytes, size_t align)
{
	for (struct kmem_cache *cache = slabs->class; cache < slabs->class + CLASSES; cache++)
		if (cache->bytes >= bytes && cache->align >= align)
			return cache;
	return NULL;
}

static __attribute__((noinline, cold)) void *alloc_rarely(struct slab_heap *slabs, size_t bytes, size_t align)
{
	struct kmem_cache *cache = aligned_class(slabs, bytes, align);

	return cache ? cache_take(cache->number) : large_alloc(slabs, bytes, align);
}

PORT_FRAMELESS void *slab_alloc(struct heap *heap, size_t bytes, size_t align)
{
	struct slab_heap *slabs = (struct slab_heap *)heap;

	if (__builtin_expect(bytes > SLAB_SMALL || align > HEAP_ALIGN, 0))
		return alloc_rarely(slabs, bytes, align);
	return cache_take(slabs->fit[(bytes + HEAP_ALIGN - 1) / HEAP_ALIGN]);
}

static void free_object(struct kmem_cache *cache, const struct page *page, void *block)
{
	if (!slab_has_object_at(page, cache, (uintptr_t)block))
		port_panic("slab: misaligned pointer, not the start of an object", (uintptr_t)block);
	cache_give_slowly(cache->number, block);
}

static void free_large(struct page *page, void *block)
{
	if (!is_aligned((uintptr_t)block, PAGE_BYTES))
		port_panic("slab: misaligned pointer, not the start of a block", (uintptr_t)block);
	page->tag = 0;
	page_free(pa_of(block));
}

static __attribute__((noinline, cold)) void free_rarely(struct heap *heap, void *block)
{
	struct slab_heap *slabs = (struct slab_heap *)heap;
	struct page *page = page_of(pa_of(block));

	if (page && cache_of(page))
		free_object(cache_of(page), page, block);
	else if (page && page->tag == LARGE_TAG && page->owner == owner_id(slabs))
		free_large(page, block);
	else if (page && page->use == PAGE_FREE)
		port_panic("slab: double free or foreign pointer: the page is free", (uintptr_t)block);
	else if (page || vmalloc_bytes(block) == 0)
		port_panic("slab: foreign pointer", (uintptr_t)block);
	else
		vfree(block);
}

PORT_FRAMELESS void slab_free(struct heap *heap, void *block)
{
	if (!stock_give(&page_state.window, block, 0))
		free_rarely(heap, block);
}

static size_t slab_usable(const struct heap *heap, const void *block)
{
	const struct page *page = page_of(pa_of(block));

	(void)heap;
	if (!page)
		return vmalloc_bytes(block);
	return cache_of(page) ? cache_of(page)->stride : PAGE_BYTES << page_order(pa_of(block));
}

static void slab_trim(struct heap *heap)
{
	(void)heap;
	kmem_reap();
}

static struct verdict slab_check(const struct heap *heap)
{
	struct slab_heap *slabs = (struct slab_heap *)(uintptr_t)heap;

	for (unsigned units = 1; units <= SLAB_SMALL / HEAP_ALIGN; units++) {
		const struct kmem_cache *fit = slabs->fit[units] < SLAB_CACHES ? slab_cache_of[slabs->fit[units]] : NULL;

		HOLDS("S9", fit >= slabs->class && fit < slabs->class + CLASSES && fit->stride >= units * HEAP_ALIGN, &slabs->fit[units]);
		HOLDS("S9", fit == slabs->class || fit[-1].stride < units * HEAP_ALIGN, &slabs->fit[units]);
	}
	for (unsigned i = 0; i < CLASSES; i++) {
		struct verdict verdict = cache_check(&slabs->class[i]);

		if (verdict.broken)
			return verdict;
	}
	return ALL_HOLD;
}

// Large blocks are found by their page records: every frame is looked at.
static void walk_large(const struct slab_heap *slabs, heap_visitor *visit, void *context)
{
	struct page_zone_report zones[PAGE_ZONES];
	unsigned count = page_report(zones);

	for (unsigned zone = 0; zone < count; zone++) {
		for (uint64_t at = zones[zone].start; at < zones[zone].end; at += PAGE_BYTES) {
			const struct page *page = page_of(PA(at));

			if (!page || page->use != PAGE_USED || page->tag != LARGE_TAG || page->owner != owner_id(slabs))
				continue;
			if (!visit(context, pa_pointer(PA(at)), PAGE_BYTES << page->order, true))
				return;
		}
	}
}

static void slab_walk(const struct heap *heap, heap_visitor *visit, void *context)
{
	struct slab_heap *slabs = (struct slab_heap *)(uintptr_t)heap;

	for (unsigned i = 0; i < CLASSES; i++)
		if (!cache_walk(&slabs->class[i], visit, context))
			return;
	walk_large(slabs, visit, context);
}

const struct heap_ops heap_slab = {
	.name = "slab",
	.own_locking = true,
	.create = slab_create,
	.alloc = slab_alloc,
	.free = slab_free,
	.usable = slab_usable,
	.trim = slab_trim,
	.check = slab_check,
	.walk = slab_walk,
};
