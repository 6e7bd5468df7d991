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


static struct kmem_cache caches, magazines; // of struct kmem_cache, of struct magazine
struct kmem_cache slab_records;
static bool begun;

struct kmem_cache *slab_caches;
struct kmem_cache *slab_cache_of[SLAB_CACHES];
struct stock slab_stocks[PORT_MAX_CPUS][SLAB_CACHES];
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

static bool change(struct stock *stock, uint32_t from, uint32_t to)
{
	return __atomic_compare_exchange_n(&stock->state, &from, to, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

// Opens it, when it is new. CPUs that share a number have no stock.
static bool stock_open(const struct kmem_cache *cache, struct stock *stock, uintptr_t cpu)
{
	if (__atomic_load_n(&stock->state, __ATOMIC_RELAXED) == STOCK_NEW && cpu != PORT_SHARED_CPU) {
		stock_set(stock, NULL, 0);
		stock->limit = cache->limit;
		stock->inverse = cache->inverse;
		change(stock, STOCK_NEW, STOCK_OPEN);
	}
	return stock_enter(stock);
}

// Opens the stock and makes the magazine, where that is yet to be done; false when the stock is seized or there is no memory.
static bool stock_ready(struct kmem_cache *cache, struct stock *stock, uintptr_t cpu)
{
	if (!stock_open(cache, stock, cpu))
		return false;
	if (!stock->magazine)
		stock_set(stock, slabs_take_one(&magazines), cache->slots);
	return stock->magazine;
}

// Half a magazine of objects, those that the slabs have ready; false when they have none.
static bool refill(struct kmem_cache *cache, struct stock *stock)
{
	size_t had = stock_count(stock), half = (cache->slots + 1) / 2;

	lock_acquire(&cache->lock);
	if (had < half)
		stock->top += slabs_take(cache, stock->top, half - had);
	lock_release(&cache->lock);
	return stock_count(stock) > 0;
}

void *cache_take_slowly(struct kmem_cache *cache, struct pin pin)
{
	struct stock *stock = stock_of(cache, pin.cpu);
	void *object;

	if (stock_ready(cache, stock, pin.cpu) && refill(cache, stock)) {
		object = *--stock->top;
	} else {
		object = slabs_take_one(cache); // out of a new slab; the way there may have emptied the stock (kmem_reap_cpu)
		if (object && stock_ready(cache, stock, pin.cpu))
			refill(cache, stock);
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

void cache_give_slowly(struct kmem_cache *cache, struct pin pin, void *object)
{
	struct stock *stock = stock_of(cache, pin.cpu);
	bool own = stock_ready(cache, stock, pin.cpu), twice = own && stock->top[-1] == object;

	if (!own || twice) {
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

// ---- stocks in other hands ----

static bool seize(struct stock *stock)
{
	return change(stock, STOCK_OPEN, STOCK_SEIZED);
}

static void release(struct stock *stock)
{
	if (!change(stock, STOCK_SEIZED, STOCK_OPEN))
		change(stock, STOCK_FROZEN, STOCK_NEW);
}

void stocks_seize(const struct kmem_cache *cache, bool seized[PORT_MAX_CPUS])
{
	bool any = false;

	for (unsigned cpu = 0; cpu < PORT_MAX_CPUS; cpu++)
		any |= seized[cpu] = seize(stock_of(cache, cpu));
	if (any)
		port_barrier();
	for (unsigned cpu = 0; cpu < PORT_MAX_CPUS; cpu++) {
		if (seized[cpu] && __atomic_load_n(&stock_of(cache, cpu)->busy, __ATOMIC_ACQUIRE)) {
			release(stock_of(cache, cpu));
			seized[cpu] = false;
		}
	}
}

void stocks_release(const struct kmem_cache *cache, const bool seized[PORT_MAX_CPUS])
{
	for (unsigned cpu = 0; cpu < PORT_MAX_CPUS; cpu++)
		if (seized[cpu])
			release(stock_of(cache, cpu));
}

// A stock that somebody else has comes free again, a busy one as well: neither waits for us.
static void freeze(struct kmem_cache *cache)
{
	for (unsigned cpu = 0; cpu < PORT_MAX_CPUS; cpu++) {
		struct stock *stock = stock_of(cache, cpu);

		while (!seize(stock) && !change(stock, STOCK_NEW, STOCK_FROZEN))
			;
	}
	port_barrier();
	for (unsigned cpu = 0; cpu < PORT_MAX_CPUS; cpu++)
		while (__atomic_load_n(&stock_of(cache, cpu)->busy, __ATOMIC_ACQUIRE))
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
		for (unsigned cpu = 0; cpu < PORT_MAX_CPUS; cpu++)
			release(stock_of(cache, cpu));
}

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
			cache_setup(&magazines, "slab magazines", sizeof(struct magazine), 64, NULL) &&
			cache_setup(&caches, "slab caches", sizeof(struct kmem_cache), 64, NULL);
		enter(&slab_records, 1);
		enter(&magazines, 2);
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

void slab_forget(void)
{
	begun = false;
	slab_caches = NULL;
	__builtin_memset(slab_cache_of, 0, sizeof slab_cache_of);
	__builtin_memset(slab_stocks, 0, sizeof slab_stocks);
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

void *kmem_cache_alloc(struct kmem_cache *cache)
{
	void *object = cache_take(cache->number);

	if (PORT_REDZONE && object)
		port_shadow_alloc(object, cache->bytes, cache->stride);
	return object;
}

void kmem_cache_free(struct kmem_cache *cache, void *object)
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
	cache_give(cache->number, object);
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
			empty(cache, stock_of(cache, cpu), 0);
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
	slab_cache_of[cache->number] = NULL;
	for (unsigned cpu = 0; cpu < PORT_MAX_CPUS; cpu++)
		*stock_of(cache, cpu) = (struct stock){ 0 };
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
	struct pin pin = port_pin();

	for (unsigned number = 1; number < SLAB_CACHES; number++) {
		struct stock *stock = &slab_stocks[pin.cpu][number];

		if (slab_cache_of[number] && stock_enter(stock))
			empty(slab_cache_of[number], stock, SLABS_KEEP);
		stock_leave(stock);
	}
	port_unpin(pin);
}
