// slab.c: caches of equal objects: slabs of pages below, magazines of ready objects above.
//
//    kmem_cache_alloc ──► this CPU's magazine ──(empty)──► half a magazine from the slabs ──(none)──► page_alloc, cut, construct
//    kmem_cache_free  ──► this CPU's magazine ──(full)───► half a magazine to the slabs ──(one empty slab too many)──► page_free
//
//    PARTIAL ──► slab ⇄ slab ⇄ …       +------+------+--------+--------+----- - - --+--------+------+
//    EMPTY   ──► slab                  | slab | pad  | object | object |            | object | rest |     every page's record names
//    FULL    ──► slab ⇄ …              +------+------+--------+--------+----- - - --+--------+------+     the slab (owner, tag)
//
//    S1  slabs in a cache's lists name that cache and link both ways      S2  the free count is the number of free bits, none beyond count
//    S3  a slab is in the list that its free count says                   S4  each page of a slab carries its tag and owner
//    S5  the counts of slabs, empties, pages and taken objects are right  S6  a magazine is well-formed and holds taken objects
//    S7  no object is in magazines twice                                  S8  objects are aligned and lie inside the slab's pages
//    S9  (slab_heap.c) kmalloc serves each size from the smallest class that holds it
//
// Cost: neither lock nor atomic instruction on the fast path; the lock once in half a magazine of calls; a barrier on all CPUs to reap.
// Weakness: an object keeps its slab; a slab keeps its size class. Reports: kmem_report.
// Lock order: the list of caches, then a cache, then the cache of records or of magazines, then page.c's zones.
// Sources: Bonwick, "The slab allocator", USENIX 1994; Bonwick and Adams, "Magazines and vmem", USENIX 2001.
#include "slab_magazine.h"

#define MAGAZINE_BYTES 8192u // objects of more than a few bytes get shorter magazines

static struct kmem_cache caches, magazines; // of struct kmem_cache, of struct magazine
struct kmem_cache slab_records;
static bool ready;

struct kmem_cache *slab_caches;
struct lock slab_caches_lock = { .name = "slab caches" };
void *slab_nothing[2];

// ---- the slow paths ----

static void stock_set(struct stock *stock, struct magazine *magazine, size_t slots)
{
	__atomic_store_n(&stock->magazine, magazine, __ATOMIC_RELAXED); // stocks_seize looks at it
	stock->top = stock->end = &slab_nothing[1];
	if (magazine) {
		magazine->slot[0] = NULL;
		stock->top = &magazine->slot[1];
		stock->end = &magazine->slot[1 + slots];
	}
}

// Makes the magazine, when there is none yet; false when there is none to be had.
static bool stock_ready(struct kmem_cache *cache, struct stock *stock)
{
	if (!stock->magazine)
		stock_set(stock, slabs_take_one(&magazines), cache->slots);
	return stock->magazine;
}

void *cache_take_slowly(struct kmem_cache *cache, struct stock *stock, struct pin pin)
{
	void *object = slabs_take_one(cache), *more;

	if (object && stock_enter(stock) && stock_ready(cache, stock)) {
		lock_acquire(&cache->lock);
		while (stock_count(stock) < cache->slots / 2 && (more = slabs_take(cache)))
			*stock->top++ = more;
		lock_release(&cache->lock);
	}
	stock_leave(stock);
	port_unpin(pin);
	return object;
}

// Moves the `count` oldest objects of a magazine into the slabs.
static void flush(struct kmem_cache *cache, struct stock *stock, size_t count, size_t keep)
{
	void **slot = &stock->magazine->slot[1];
	size_t rest = stock_count(stock) - count;

	lock_acquire(&cache->lock);
	for (size_t i = 0; i < count; i++)
		slabs_give(cache, slot[i]);
	struct slab *chain = slabs_drop(cache, keep);
	lock_release(&cache->lock);
	for (size_t i = 0; i < rest; i++)
		slot[i] = slot[i + count];
	stock->top = slot + rest;
	slabs_delete(chain);
}

void cache_give_slowly(struct kmem_cache *cache, struct stock *stock, struct pin pin, void *object)
{
	bool own = stock_enter(stock), twice = own && stock->top[-1] == object;

	if (twice || !own || !stock_ready(cache, stock)) {
		stock_leave(stock);
		port_unpin(pin);
		if (twice)
			port_panic("slab: double free", (uintptr_t)object);
		slabs_give_one(cache, object);
		return;
	}
	if (stock->top == stock->end)
		flush(cache, stock, (cache->slots + 1) / 2, SLABS_KEEP);
	*stock->top++ = object;
	stock_leave(stock);
	port_unpin(pin);
}

void stocks_seize(struct kmem_cache *cache, bool seized[PORT_MAX_CPUS])
{
	bool any = false;

	__builtin_memset(seized, 0, PORT_MAX_CPUS * sizeof *seized);
	for (unsigned cpu = PORT_SHARED_CPUS; cpu < PORT_MAX_CPUS; cpu++) {
		struct stock *stock = &cache->stock[cpu];

		seized[cpu] = __atomic_load_n(&stock->magazine, __ATOMIC_RELAXED) &&
			__atomic_exchange_n(&stock->seized, 1, __ATOMIC_ACQUIRE) == 0;
		any |= seized[cpu];
	}
	if (any)
		port_barrier();
	for (unsigned cpu = PORT_SHARED_CPUS; cpu < PORT_MAX_CPUS; cpu++) {
		struct stock *stock = &cache->stock[cpu];

		if (seized[cpu] && __atomic_load_n(&stock->busy, __ATOMIC_ACQUIRE)) {
			__atomic_store_n(&stock->seized, 0, __ATOMIC_RELEASE);
			seized[cpu] = false;
		}
	}
}

void stocks_release(struct kmem_cache *cache, const bool seized[PORT_MAX_CPUS])
{
	for (unsigned cpu = PORT_SHARED_CPUS; cpu < PORT_MAX_CPUS; cpu++)
		if (seized[cpu])
			__atomic_store_n(&cache->stock[cpu].seized, 0, __ATOMIC_RELEASE);
}

// ---- caches ----

static bool choose_order(struct kmem_cache *cache)
{
	uint64_t best = UINT64_MAX;

	for (unsigned order = 0; order <= SLAB_ORDER_MAX; order++) {
		for (unsigned apart = 0; apart <= (cache != &slab_records); apart++) {
			size_t bytes = PAGE_BYTES << order, objects = slab_capacity(cache, order, apart);
			uint64_t waste = ((bytes - objects * cache->stride + apart * sizeof(struct slab)) << 10) / bytes;

			if (objects == 0 || waste >= best)
				continue;
			cache->order = order;
			cache->apart = apart;
			best = waste;
		}
		if (best <= 1024 / 10) // a tenth lost is good enough: larger slabs are harder to get
			break;
	}
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
	cache->slots = (unsigned)(MAGAZINE_BYTES / cache->stride);
	cache->slots = cache->slots < 2 ? 2 : cache->slots > MAGAZINE_SLOTS ? MAGAZINE_SLOTS : cache->slots;
	for (unsigned cpu = 0; cpu < PORT_MAX_CPUS; cpu++)
		stock_set(&cache->stock[cpu], NULL, 0);
	for (unsigned cpu = 0; cpu != PORT_SHARED_CPUS; cpu++)
		cache->stock[cpu].seized = 1; // for good
	return choose_order(cache);
}

void cache_register(struct kmem_cache *cache)
{
	lock_acquire(&slab_caches_lock);
	if (!ready) {
		ready = cache_setup(&slab_records, "slab records", sizeof(struct slab), (size_t)1 << OWNER_SHIFT, NULL) &&
			cache_setup(&magazines, "slab magazines", sizeof(struct magazine), 64, NULL) &&
			cache_setup(&caches, "slab caches", sizeof(struct kmem_cache), 64, NULL);
		caches.next = &magazines;
		magazines.next = &slab_records; // last: kmem_reap frees records of other caches' slabs
		slab_caches = &caches;
	}
	if (cache) {
		cache->next = slab_caches;
		slab_caches = cache;
	}
	lock_release(&slab_caches_lock);
}

void slab_forget(void)
{
	slab_caches = NULL;
	ready = false;
	slab_caches_lock = (struct lock){ .name = "slab caches" };
}

struct kmem_cache *kmem_cache_create(const char *name, size_t bytes, size_t align, void (*construct)(void *object))
{
	cache_register(NULL);
	struct kmem_cache *cache = slabs_take_one(&caches);

	if (!cache)
		return NULL;
	if (!cache_setup(cache, name, bytes, align, construct)) {
		slabs_give_one(&caches, cache);
		return NULL;
	}
	cache_register(cache);
	return cache;
}

void *kmem_cache_alloc(struct kmem_cache *cache)
{
	void *object = cache_take(cache);

	if (PORT_REDZONE && object)
		port_shadow_alloc(object, cache->bytes, cache->stride);
	return object;
}

void kmem_cache_free(struct kmem_cache *cache, void *object)
{
	const struct page *page = page_of(pa_of(object));

	if (!page || page->tag != SLAB_TAG)
		port_panic("kmem_cache_free: foreign pointer", (uintptr_t)object);
	if (slab_of(page)->cache != cache)
		port_panic("kmem_cache_free: an object of another cache", (uintptr_t)object);
	if (!slab_has_object_at(slab_of(page), cache, (uintptr_t)object))
		port_panic("kmem_cache_free: misaligned pointer, not the start of an object", (uintptr_t)object);
	port_shadow_free(object, cache->stride);
	cache_give(cache, object);
}

// Empties a stock, which is the caller's, and gives its magazine back.
static void empty(struct kmem_cache *cache, struct stock *stock, size_t keep)
{
	struct magazine *magazine = stock->magazine;

	if (!magazine)
		return;
	flush(cache, stock, stock_count(stock), keep);
	stock_set(stock, NULL, 0);
	slabs_give_one(&magazines, magazine);
}

// Empties every stock, then gives back every empty slab. What a CPU uses right now stays.
static void reap(struct kmem_cache *cache)
{
	bool seized[PORT_MAX_CPUS];

	stocks_seize(cache, seized);
	for (unsigned cpu = 0; cpu < PORT_MAX_CPUS; cpu++)
		if (seized[cpu])
			empty(cache, &cache->stock[cpu], 0);
	stocks_release(cache, seized);
	lock_acquire(&cache->lock);
	struct slab *chain = slabs_drop(cache, 0);
	lock_release(&cache->lock);
	slabs_delete(chain);
}

void kmem_cache_destroy(struct kmem_cache *cache)
{
	reap(cache);
	if (cache->taken > 0)
		port_panic("kmem_cache_destroy: objects are still in use", (uintptr_t)cache);
	lock_acquire(&slab_caches_lock);
	struct kmem_cache **link = &slab_caches;
	while (*link && *link != cache)
		link = &(*link)->next;
	if (!*link)
		port_panic("kmem_cache_destroy: no such cache", (uintptr_t)cache);
	*link = cache->next;
	lock_release(&slab_caches_lock);
	slabs_give_one(&caches, cache);
}

void kmem_reap(void)
{
	lock_acquire(&slab_caches_lock);
	for (struct kmem_cache *cache = slab_caches; cache; cache = cache->next)
		reap(cache);
	lock_release(&slab_caches_lock);
}

void kmem_reap_cpu(void)
{
	lock_acquire(&slab_caches_lock);
	struct pin pin = port_pin();
	for (struct kmem_cache *cache = slab_caches; cache; cache = cache->next) {
		struct stock *stock = &cache->stock[pin.cpu];

		if (stock_enter(stock))
			empty(cache, stock, SLABS_KEEP);
		stock_leave(stock);
	}
	port_unpin(pin);
	lock_release(&slab_caches_lock);
}

// A stock that is seized already (by a reaper) comes free again, a busy one as well: neither waits for us.
static void freeze(struct kmem_cache *cache)
{
	for (unsigned cpu = PORT_SHARED_CPUS; cpu < PORT_MAX_CPUS; cpu++)
		while (__atomic_exchange_n(&cache->stock[cpu].seized, 1, __ATOMIC_ACQUIRE))
			;
	port_barrier();
	for (unsigned cpu = PORT_SHARED_CPUS; cpu < PORT_MAX_CPUS; cpu++)
		while (__atomic_load_n(&cache->stock[cpu].busy, __ATOMIC_ACQUIRE))
			;
}

void kmem_freeze(void)
{
	lock_acquire(&slab_caches_lock);
	for (struct kmem_cache *cache = slab_caches; cache; cache = cache->next)
		freeze(cache);
	lock_release(&slab_caches_lock);
}

void kmem_thaw(void)
{
	for (struct kmem_cache *cache = slab_caches; cache; cache = cache->next)
		for (unsigned cpu = PORT_SHARED_CPUS; cpu < PORT_MAX_CPUS; cpu++)
			__atomic_store_n(&cache->stock[cpu].seized, 0, __ATOMIC_RELEASE);
}
