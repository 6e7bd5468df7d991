// slab.c: caches of equal objects: slabs of pages below, magazines of ready objects above.
//
//    kmem_cache_alloc ──► this CPU's magazine ──(empty)──► half a magazine from depot or slabs ──(none)──► page_alloc, cut, construct
//    kmem_cache_free  ──► this CPU's magazine ──(full)───► half a magazine to depot or slabs ──(one empty slab too many)──► page_free
//
//    PARTIAL ──► slab ⇄ slab ⇄ …              +--------+--------+----- - - --+--------+------+
//    EMPTY   ──► slab ──first────────────────► | object | object |            | object | rest |     every page's record names
//    FULL    ──► slab ⇄ …                     +--------+--------+----- - - --+--------+------+     the slab and the cache
//
//    S1  slabs in a cache's lists name that cache and link both ways      S2  the free count is the number of free bits, none beyond count
//    S3  a slab is in the list that its free count says                   S4  each page of a slab carries its tag, owner and mark
//    S5  the counts of slabs, empties, pages and taken objects are right  S6  magazines and depot are well-formed and hold taken objects
//    S7  no object is in them twice                                       S8  objects are aligned and lie inside the slab's pages
//    S9  (slab_heap.c) kmalloc serves each size from the smallest class that holds it
//
// Cost: neither lock nor atomic instruction on the fast path; the lock once in half a magazine of calls; two barriers on all CPUs to reap.
// Weakness: an object keeps its slab; a slab keeps its size class. Reports: kmem_report.
// Lock order: the list of caches, then a cache, then the cache of records or of magazines, then page.c's zones.
// Sources: Bonwick, "The slab allocator", USENIX 1994; Bonwick and Adams, "Magazines and vmem", USENIX 2001.
#include "slab_magazine.h"

static struct kmem_cache caches; // of struct kmem_cache
struct kmem_cache slab_magazines;
struct kmem_cache slab_records;
static bool begun;

struct kmem_cache *slab_caches;
struct kmem_cache *slab_cache_of[SLAB_CACHES];
struct lock slab_caches_lock = { .name = "slab caches" };

// ---- caches ----

// The smallest slab of which at most a tenth is lost, or else that which loses least: larger slabs are harder to get.
static bool choose_order(struct kmem_cache *cache)
{
	size_t record = cache == &slab_records ? 0 : sizeof(struct slab);
	uint64_t best = UINT64_MAX;

	for (unsigned order = PORT_SLAB_ORDER; order <= SLAB_ORDER_MAX && best > 1024 / 10; order++) {
		size_t bytes = PAGE_BYTES << order, objects = slab_capacity(cache, order);
		uint64_t waste = ((bytes - objects * cache->stride + record) << 10) / bytes;

		if (objects == 0 || waste >= best)
			continue;
		cache->order = order;
		best = waste;
	}
	cache->limit = record ? (uint32_t)(slab_capacity(cache, cache->order) * cache->stride) : 0;
	return best != UINT64_MAX;
}

bool cache_setup(struct kmem_cache *cache, const char *name, size_t bytes, size_t align, void (*construct)(void *object))
{
	align = align > HEAP_ALIGN ? align : HEAP_ALIGN;
	if (bytes == 0 || bytes > PAGE_BYTES << SLAB_ORDER_MAX || align > PAGE_BYTES || (align & (align - 1)))
		return false;
	*cache = (struct kmem_cache){ .lock = { .name = name }, .name = name, .bytes = bytes, .align = align, .construct = construct };
	cache->stride = round_up(bytes, align);
	cache->inverse = UINT64_MAX / cache->stride + 1;
	cache->slots = (unsigned)(PORT_STOCK_BYTES / cache->stride);
	cache->slots = cache->slots < 2 ? 2 : cache->slots > PORT_STOCK_OBJECTS ? PORT_STOCK_OBJECTS : cache->slots;
	return choose_order(cache);
}

static void enter(struct kmem_cache *cache, uint32_t number)
{
	cache->number = number;
	slab_cache_of[number] = cache;
	cache->next = slab_caches;
	slab_caches = cache;
}

bool cache_register(struct kmem_cache *cache)
{
	lock_acquire(&slab_caches_lock);
	if (!begun) { // records last in the list: kmem_reap frees records of other caches' slabs
		begun = cache_setup(&slab_records, "slab records", sizeof(struct slab), SLAB_ALIGN, NULL) &&
			cache_setup(&slab_magazines, "slab magazines", sizeof(struct magazine), sizeof(struct magazine), NULL) &&
			cache_setup(&caches, "slab caches", sizeof(struct kmem_cache), 64, NULL);
		enter(&slab_records, 1);
		enter(&slab_magazines, 2);
		enter(&caches, 3);
	}
	uint32_t number = 1;
	while (cache && number < SLAB_CACHES && slab_cache_of[number])
		number++;
	if (cache && number < SLAB_CACHES)
		enter(cache, number);
	lock_release(&slab_caches_lock);
	return number < SLAB_CACHES;
}

void cache_unregister(struct kmem_cache *cache)
{
	lock_acquire(&slab_caches_lock);
	struct kmem_cache **link = &slab_caches;
	while (*link && *link != cache)
		link = &(*link)->next;
	if (!*link)
		port_panic("kmem_cache_destroy: no such cache", (uintptr_t)cache);
	*link = cache->next;
	slab_cache_of[cache->number] = NULL;
	stocks_drop(cache);
	lock_release(&slab_caches_lock);
}

void slab_forget(void)
{
	begun = false;
	slab_caches = NULL;
	__builtin_memset(slab_cache_of, 0, sizeof slab_cache_of);
	stocks_forget();
}

struct kmem_cache *kmem_cache_create(const char *name, size_t bytes, size_t align, void (*construct)(void *object))
{
	cache_register(NULL);
	struct kmem_cache *cache = slabs_take_one(&caches);

	if (!cache)
		return NULL;
	if (!cache_setup(cache, name, bytes, align, construct) || !cache_register(cache)) {
		slabs_give_one(&caches, cache);
		return NULL;
	}
	return cache;
}

PORT_FRAMELESS void *kmem_cache_alloc(struct kmem_cache *cache)
{
	void *object = cache_take(cache->number);

	if (PORT_REDZONE && object)
		port_shadow_alloc(object, cache->bytes, cache->stride);
	return object;
}

static __attribute__((noinline, cold)) void free_rarely(struct kmem_cache *cache, void *object)
{
	const struct page *page = page_under(object);
	const struct kmem_cache *owner = cache_of(page);

	if (!owner)
		port_panic("kmem_cache_free: foreign pointer", (uintptr_t)object);
	if (owner != cache)
		port_panic("kmem_cache_free: an object of another cache", (uintptr_t)object);
	if (!slab_has_object_at(page, cache, (uintptr_t)object))
		port_panic("kmem_cache_free: misaligned pointer, not the start of an object", (uintptr_t)object);
	port_shadow_free(object, cache->stride);
	cache_give_slowly(cache->number, object);
}

PORT_FRAMELESS void kmem_cache_free(struct kmem_cache *cache, void *object)
{
	if (PORT_REDZONE || !stock_give(&page_state.window, object, cache->number))
		free_rarely(cache, object);
}

void cache_shrink(struct kmem_cache *cache, size_t keep)
{
	lock_acquire(&cache->lock);
	depot_empty(cache);
	struct slab *chain = slabs_drop(cache, keep);
	lock_release(&cache->lock);
	slabs_delete(chain);
}

// Empties every stock, then gives back every empty slab. What a CPU uses right now stays.
static void reap(struct kmem_cache *cache)
{
	bool claimed[PORT_MAX_CPUS];

	stocks_claim(cache, claimed);
	for (unsigned cpu = 0; cpu < PORT_MAX_CPUS; cpu++)
		if (claimed[cpu])
			stock_empty(cache, stock_of(cache, cpu));
	stocks_release(cache, claimed);
	cache_shrink(cache, 0);
}

void kmem_cache_destroy(struct kmem_cache *cache)
{
	reap(cache);
	if (cache->taken > 0)
		port_panic("kmem_cache_destroy: objects are still in use", (uintptr_t)cache);
	cache_unregister(cache);
	slabs_give_one(&caches, cache);
}

void kmem_reap(void)
{
	lock_acquire(&slab_caches_lock);
	for (struct kmem_cache *cache = slab_caches; cache; cache = cache->next)
		reap(cache);
	lock_release(&slab_caches_lock);
}
