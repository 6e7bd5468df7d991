// slab_stock.c: the upper half of slab.c: each CPU's own stock of a cache, filled from the slabs, flushed to them, and lent to others.
//
//    NEW ──first use──► OPEN ──seize──► SEIZED        NEW ──freeze──► FROZEN
//                         ▲───release──────'           ▲───release─────'
//
// Who may touch a stock when is said in slab_magazine.h, which has the short ways; here are those that take the cache's lock. The
// invariants S6 and S7 are stated in slab.c.
#include "slab_magazine.h"

struct stock slab_stocks[PORT_MAX_CPUS][SLAB_CACHES];
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
		stock_set(stock, slabs_take_one(&slab_magazines), cache->slots);
	return stock->magazine;
}

// Half a magazine of objects, those that the depot and the slabs have ready; false when they have none.
static bool refill(struct kmem_cache *cache, struct stock *stock)
{
	size_t had = stock_count(stock), half = (cache->slots + 1) / 2;

	lock_acquire(&cache->lock);
	if (had < half)
		stock->top += depot_take(cache, stock->top, half - had);
	lock_release(&cache->lock);
	return stock_count(stock) > 0;
}

void *cache_take_slowly(size_t number, uintptr_t cpu, uintptr_t saved)
{
	struct kmem_cache *cache = slab_cache_of[number];
	struct stock *stock = stock_of(cache, cpu);
	bool ready = stock_ready(cache, stock, cpu);
	void *object;

	if (ready && refill(cache, stock)) {
		object = *--stock->top;
	} else {
		object = slabs_take_one(cache); // out of a new slab
		if (object && ready)
			refill(cache, stock);
	}
	stock_leave(stock);
	port_unpin((struct pin){ cpu, saved });
	return object;
}

// Moves the older half of a full magazine into the depot.
static void flush(struct kmem_cache *cache, struct stock *stock)
{
	void **slot = &stock->magazine->slot[1];
	size_t count = (cache->slots + 1) / 2, rest = stock_count(stock) - count;

	lock_acquire(&cache->lock);
	depot_give(cache, slot, count);
	struct slab *chain = slabs_drop(cache, SLABS_KEEP);
	lock_release(&cache->lock);
	__builtin_memmove(slot, slot + count, rest * sizeof *slot);
	stock->top = slot + rest;
	slabs_delete(chain);
}

void cache_give_slowly(size_t number, void *object, uintptr_t cpu, uintptr_t saved)
{
	struct kmem_cache *cache = slab_cache_of[number];
	struct stock *stock = stock_of(cache, cpu);
	bool own = stock_ready(cache, stock, cpu), twice = own && stock->top[-1] == object;

	if (!own || twice) {
		stock_leave(stock);
		port_unpin((struct pin){ cpu, saved });
		if (twice)
			port_panic("slab: double free", (uintptr_t)object);
		slabs_give_one(cache, object);
		return;
	}
	if (stock->top == stock->end)
		flush(cache, stock);
	*stock->top++ = object;
	stock_leave(stock);
	port_unpin((struct pin){ cpu, saved });
}

void stock_empty(struct kmem_cache *cache, struct stock *stock)
{
	struct magazine *magazine = stock->magazine;

	if (!magazine)
		return;
	lock_acquire(&cache->lock);
	for (size_t i = 1; i <= stock_count(stock); i++)
		slabs_give(cache, magazine->slot[i]);
	lock_release(&cache->lock);
	stock_set(stock, NULL, 0);
	slabs_give_one(&slab_magazines, magazine);
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

void kmem_reap_cpu(void)
{
	struct pin pin = port_pin();

	for (unsigned number = 1; number < SLAB_CACHES; number++) {
		struct kmem_cache *cache = slab_cache_of[number];
		struct stock *stock = &slab_stocks[pin.cpu][number];

		if (!cache)
			continue;
		if (!stock->busy) { // busy: it is out of memory, and that is why we are here
			if (stock_enter(stock))
				stock_empty(cache, stock);
			stock_leave(stock);
		}
		cache_shrink(cache, SLABS_KEEP);
	}
	port_unpin(pin);
}
