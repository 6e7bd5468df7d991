// slab_pages.c: the lower half of slab.c: pages cut into objects, and the lists of a cache's slabs.
//
//    page_alloc ──► slab_new ──► EMPTY ⇄ PARTIAL ⇄ FULL ──► EMPTY ──► slabs_drop (under the lock) ──► slabs_delete ──► page_free
//
// The invariants S1 to S8 are stated in slab.c. Pages are taken and given back while no lock is held; only the records of slabs that stand
// apart come from another cache, whose own slabs hold their records themselves.
#include "bits.h"
#include "slab_record.h"

static void link_slab(struct slab *slab)
{
	struct kmem_cache *cache = slab->cache;
	struct slab **head = &cache->list[slab_list_for(slab)];

	slab->previous = NULL;
	slab->next = *head;
	if (*head)
		(*head)->previous = slab;
	*head = slab;
	cache->empties += slab->free == slab->count;
}

static void unlink_slab(struct slab *slab)
{
	struct kmem_cache *cache = slab->cache;

	if (slab->previous)
		slab->previous->next = slab->next;
	else
		cache->list[slab_list_for(slab)] = slab->next;
	if (slab->next)
		slab->next->previous = slab->previous;
	cache->empties -= slab->free == slab->count;
}

size_t slab_first(const struct kmem_cache *cache)
{
	return cache == &slab_records ? round_up(sizeof(struct slab), cache->align) : 0;
}

uint16_t slab_capacity(const struct kmem_cache *cache, unsigned order)
{
	size_t first = slab_first(cache), bytes = PAGE_BYTES << order;
	size_t count = bytes > first ? (bytes - first) / cache->stride : 0;

	return (uint16_t)(count < SLAB_OBJECTS ? count : SLAB_OBJECTS);
}

// Says in every page's record whose it is; NULL: nobody's. The mark is for the short way: slab_record.h tells what must be true then.
static void mark_pages(uintptr_t start, unsigned order, const struct slab *slab)
{
	bool plain = slab && slab->cache != &slab_records && order == slab->cache->order;

	for (size_t i = 0; i < (size_t)1 << order; i++) {
		struct page *page = page_of(pa_of((void *)(start + i * PAGE_BYTES)));

		page->owner = slab ? (uint32_t)(pa_of(slab).raw / SLAB_ALIGN) : 0;
		page->tag = slab ? (uint16_t)(SLAB_TAG + slab->cache->number) : 0;
		page->extra = slab ? (uint32_t)i : 0;
		*mark_at(frame_of(page)) = plain ? (uint8_t)slab->cache->number : 0;
	}
}

// A new slab with all objects free, in no list; NULL when there is no memory. Smaller than preferred when that is all there is.
static struct slab *slab_new(struct kmem_cache *cache)
{
	unsigned order = cache->order;
	pa_t pages = page_alloc(order, PAGE_KERNEL);

	while (pa_is_none(pages) && order > 0 && slab_capacity(cache, order - 1) > 0)
		pages = page_alloc(--order, PAGE_KERNEL);
	if (pa_is_none(pages))
		return NULL;
	struct slab *slab = cache == &slab_records ? pa_pointer(pages) : slabs_take_one(&slab_records);
	if (!slab) {
		page_free(pages);
		return NULL;
	}
	uint16_t count = slab_capacity(cache, order);

	*slab = (struct slab){ .cache = cache, .order = order, .count = count, .free = count };
	slab->first = (uintptr_t)pa_pointer(pages) + slab_first(cache);
	slab->limit = (uint32_t)(count * cache->stride);
	for (unsigned i = 0; i < count; i++) {
		slab->is_free[i / 64] |= 1ULL << i % 64;
		if (cache->construct)
			cache->construct((void *)(slab->first + i * cache->stride));
	}
	mark_pages(slab_start(slab), order, slab);
	return slab;
}

static void slab_delete(struct slab *slab)
{
	uintptr_t pages = slab_start(slab);

	mark_pages(pages, slab->order, NULL);
	if (slab->cache != &slab_records)
		slabs_give_one(&slab_records, slab);
	page_free(pa_of((void *)pages));
}

// ---- under the cache's lock ----

static void add_slab(struct slab *slab)
{
	slab->cache->slabs++;
	slab->cache->pages += (size_t)1 << slab->order;
	link_slab(slab);
}

// Takes empty slabs beyond `keep` out of the cache, as a chain for delete_chain to free after the lock's release.
struct slab *slabs_drop(struct kmem_cache *cache, size_t keep)
{
	struct slab *chain = NULL;

	while (cache->empties > keep) {
		struct slab *slab = cache->list[EMPTY];

		unlink_slab(slab);
		cache->slabs--;
		cache->pages -= (size_t)1 << slab->order;
		slab->next = chain;
		chain = slab;
	}
	return chain;
}

// Out of one slab, which is in no list meanwhile.
static size_t take_from(struct slab *slab, void **objects, size_t count)
{
	size_t taken = 0, stride = slab->cache->stride;

	for (unsigned word = 0; taken < count && word < SLAB_OBJECTS / 64; word++)
		for (; taken < count && slab->is_free[word]; slab->is_free[word] &= slab->is_free[word] - 1)
			objects[taken++] = (void *)(slab->first + (word * 64 + lowest_bit(slab->is_free[word])) * stride);
	slab->free = (uint16_t)(slab->free - taken);
	return taken;
}

size_t slabs_take(struct kmem_cache *cache, void **objects, size_t count)
{
	size_t taken = 0;
	struct slab *slab;

	while (taken < count && (slab = cache->list[PARTIAL] ? cache->list[PARTIAL] : cache->list[EMPTY])) {
		unlink_slab(slab);
		taken += take_from(slab, objects + taken, count - taken);
		link_slab(slab);
	}
	cache->taken += taken;
	return taken;
}

void slabs_give(struct kmem_cache *cache, void *object)
{
	struct slab *slab = slab_of(page_under(object));
	size_t i = slab_index(cache, (uintptr_t)object - slab->first);

	if (i >= slab->count)
		port_panic("slab: foreign pointer, behind the last object", (uintptr_t)object);
	if (slab->is_free[i / 64] >> i % 64 & 1)
		port_panic("slab: double free", (uintptr_t)object);
	bool moves = slab->free == 0 || slab->free == slab->count - 1;
	if (moves)
		unlink_slab(slab);
	slab->is_free[i / 64] |= 1ULL << i % 64;
	slab->free++;
	if (moves)
		link_slab(slab);
	cache->taken--;
}

// ---- single objects, without a magazine ----

void slabs_delete(struct slab *chain)
{
	while (chain) {
		struct slab *next = chain->next;

		slab_delete(chain);
		chain = next;
	}
}

void *slabs_take_one(struct kmem_cache *cache)
{
	void *object;

	lock_acquire(&cache->lock);
	bool taken = slabs_take(cache, &object, 1);
	lock_release(&cache->lock);
	if (taken)
		return object;
	struct slab *slab = slab_new(cache);
	if (!slab)
		return NULL;
	lock_acquire(&cache->lock);
	add_slab(slab);
	taken = slabs_take(cache, &object, 1);
	lock_release(&cache->lock);
	return taken ? object : NULL;
}

void slabs_give_one(struct kmem_cache *cache, void *object)
{
	lock_acquire(&cache->lock);
	slabs_give(cache, object);
	struct slab *chain = slabs_drop(cache, SLABS_KEEP);
	lock_release(&cache->lock);
	slabs_delete(chain);
}
