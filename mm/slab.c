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
// Cost: one atomic exchange and no lock on the fast path; the lock once in half a magazine of calls.
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
struct magazine slab_nothing = { &slab_nothing.slot[1], &slab_nothing.slot[1], { NULL } };

// ---- the slow paths ----

// This CPU's magazine, made now when it has none yet; NULL when there is none to be had.
static struct magazine *magazine_ready(struct kmem_cache *cache, struct magazine *magazine)
{
	if (magazine != &slab_nothing)
		return magazine;
	magazine = slabs_take_one(&magazines);
	if (magazine) {
		magazine->slot[0] = NULL;
		magazine->top = &magazine->slot[1];
		magazine->end = &magazine->slot[1 + cache->slots];
	}
	return magazine;
}

static void put_back(struct kmem_cache *cache, struct magazine *owned, struct magazine *ready_one, struct pin pin)
{
	if (owned)
		magazine_disown(cache, pin.cpu, ready_one ? ready_one : &slab_nothing);
	port_unpin(pin);
}

void *cache_take_slowly(struct kmem_cache *cache, struct magazine *owned, struct pin pin)
{
	struct magazine *magazine = magazine_ready(cache, owned);
	void *object = slabs_take_one(cache), *more;

	if (object && magazine) {
		lock_acquire(&cache->lock);
		for (unsigned n = cache->slots / 2; n > 0 && (more = slabs_take(cache)); n--)
			*magazine->top++ = more;
		lock_release(&cache->lock);
	}
	put_back(cache, owned, magazine, pin);
	return object;
}

// Moves the `count` oldest objects of a magazine into the slabs.
static void flush(struct kmem_cache *cache, struct magazine *magazine, size_t count, size_t keep)
{
	size_t rest = (size_t)(magazine->top - &magazine->slot[1]) - count;

	lock_acquire(&cache->lock);
	for (size_t i = 1; i <= count; i++)
		slabs_give(cache, magazine->slot[i]);
	struct slab *chain = slabs_drop(cache, keep);
	lock_release(&cache->lock);
	for (size_t i = 1; i <= rest; i++)
		magazine->slot[i] = magazine->slot[i + count];
	magazine->top = &magazine->slot[1 + rest];
	slabs_delete(chain);
}

void cache_give_slowly(struct kmem_cache *cache, struct magazine *owned, struct pin pin, void *object)
{
	struct magazine *magazine = magazine_ready(cache, owned);

	if (magazine && magazine->top[-1] == object) {
		put_back(cache, owned, magazine, pin);
		port_panic("slab: double free", (uintptr_t)object);
	}
	if (magazine) {
		if (magazine->top == magazine->end)
			flush(cache, magazine, (cache->slots + 1) / 2, SLABS_KEEP);
		*magazine->top++ = object;
	} else {
		slabs_give_one(cache, object);
	}
	put_back(cache, owned, magazine, pin);
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
		cache->magazine[cpu] = &slab_nothing;
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

// Empties every CPU's magazine and gives it back, then every empty slab.
static void reap(struct kmem_cache *cache)
{
	for (unsigned cpu = 0; cpu < PORT_MAX_CPUS; cpu++) {
		struct magazine *magazine = magazine_own(cache, cpu);

		if (!magazine)
			continue; // in use right now on its CPU
		if (magazine != &slab_nothing) {
			flush(cache, magazine, (size_t)(magazine->top - &magazine->slot[1]), 0);
			slabs_give_one(&magazines, magazine);
		}
		magazine_disown(cache, cpu, &slab_nothing);
	}
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
