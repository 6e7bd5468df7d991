// slab_stock.c: the upper half of slab.c: each CPU's own stock of a cache, filled from below, flushed, and lent to others.
//
//    NEW ──first use──► OPEN ⇄ CLAIMED        NEW ⇄ FROZEN
//
// Who may touch a stock when is said in slab_magazine.h, which has the short ways. Here everybody claims a stock first, its own CPU as
// well; what is in it then ends at `kept`, and top is SLAB_NOTHING. The invariants S6 and S7 are stated in slab.c.
#include "slab_magazine.h"

struct stock slab_stocks[PORT_MAX_CPUS][SLAB_CACHES];
struct stock slab_no_stocks[SLAB_CACHES] = { [0 ... SLAB_CACHES - 1] = { .top = SLAB_NOTHING } };
void *slab_nothing[2 * MAGAZINE_SLOTS] __attribute__((aligned(sizeof(struct magazine))));

struct stock *kmem_no_stocks(void)
{
	return slab_no_stocks;
}

extern struct stock *slab_rows[PORT_MAX_CPUS]; // for ports without PORT_STOCKS
struct stock *slab_rows[PORT_MAX_CPUS] = { [0 ... PORT_MAX_CPUS - 1] = slab_no_stocks };

void stocks_drop(const struct kmem_cache *cache)
{
	for (unsigned cpu = 0; cpu < PORT_MAX_CPUS; cpu++)
		if (stock_top(slab_stocks[cpu]))
			*stock_of(cache, cpu) = (struct stock){ .top = SLAB_NOTHING };
}

void stocks_forget(void)
{
	__builtin_memset(slab_stocks, 0, sizeof slab_stocks);
	for (unsigned cpu = 0; cpu < PORT_MAX_CPUS; cpu++)
		slab_rows[cpu] = slab_no_stocks;
}

// ---- claims

static bool change(struct stock *stock, uint32_t from, uint32_t to)
{
	return __atomic_compare_exchange_n(&stock->state, &from, to, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

// Whoever puts an end to a claim under which top was replaced puts kept there, unless the owner came later (see slab_magazine.h).
static void release(struct stock *stock)
{
	void **nothing = SLAB_NOTHING;

	if (change(stock, STOCK_FROZEN, STOCK_NEW))
		return;
	__atomic_compare_exchange_n(&stock->top, &nothing, stock->kept, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
	__atomic_store_n(&stock->state, STOCK_OPEN, __ATOMIC_RELEASE);
}

static void take_top(struct stock *stock)
{
	stock->kept = __atomic_exchange_n(&stock->top, SLAB_NOTHING, __ATOMIC_ACQ_REL);
}

static bool claim(struct stock *stock) // one that is open
{
	if (!change(stock, STOCK_OPEN, STOCK_CLAIMED))
		return false;
	take_top(stock);
	return true;
}

// A row of stocks for a CPU that comes new. CPUs that share a number have none.
static struct stock *row(struct pin pin)
{
	struct stock *stocks = slab_stocks[pin.cpu];

	if (PORT_STOCKS(pin) != slab_no_stocks || pin.cpu == PORT_SHARED_CPU)
		return PORT_STOCKS(pin);
	for (size_t number = SLAB_CACHES; !stock_top(stocks) && number-- > 0;) // the first last: the row is ready then
		stock_set_top(&stocks[number], SLAB_NOTHING);
	return PORT_STOCKS(pin) = stocks;
}

// This CPU's own stock; NULL when somebody else has it. Nothing runs in between, so it is not busy.
static struct stock *claim_own(const struct kmem_cache *cache, struct pin pin)
{
	struct stock *stock = &row(pin)[cache->number];

	if (stock == &slab_no_stocks[cache->number])
		return NULL;
	if (change(stock, STOCK_NEW, STOCK_CLAIMED)) {
		stock->mask = (PAGE_BYTES << cache->order) - 1;
		stock->inverse = cache->inverse;
		stock->magazine = NULL;
		stock->kept = SLAB_NOTHING;
		return stock;
	}
	return claim(stock) ? stock : NULL;
}

// ---- the long ways

// Makes the magazine, where that is yet to be done; false when there is no memory.
static bool load(struct kmem_cache *cache, struct stock *stock)
{
	if (stock->magazine)
		return true;
	stock->magazine = slabs_take_one(&slab_magazines);
	if (!stock->magazine)
		return false;
	stock->kept = stock_objects(cache, stock);
	stock->kept[-1] = NULL;
	return true;
}

// Half a magazine of objects, those that the depot and the slabs have ready; false when they have none.
static bool refill(struct kmem_cache *cache, struct stock *stock)
{
	size_t had = stock_count(cache, stock), half = (cache->slots + 1) / 2;

	lock_acquire(&cache->lock);
	if (had < half)
		stock->kept += depot_take(cache, stock->kept, half - had);
	lock_release(&cache->lock);
	return stock_count(cache, stock) > 0;
}

void *cache_take_slowly(size_t number)
{
	struct kmem_cache *cache = slab_cache_of[number];
	struct pin pin = port_pin();
	struct stock *stock = claim_own(cache, pin);
	bool loaded = stock && load(cache, stock);
	void *object;

	if (loaded && refill(cache, stock)) {
		object = *--stock->kept;
	} else {
		object = slabs_take_one(cache); // out of a new slab
		if (object && loaded)
			refill(cache, stock);
	}
	if (stock)
		release(stock);
	port_unpin(pin);
	return object;
}

// Moves the older half of a full magazine into the depot.
static void flush(struct kmem_cache *cache, struct stock *stock)
{
	void **slot = stock_objects(cache, stock);
	size_t count = (cache->slots + 1) / 2, rest = stock_count(cache, stock) - count;

	lock_acquire(&cache->lock);
	depot_give(cache, slot, count);
	struct slab *chain = slabs_drop(cache, SLABS_KEEP);
	lock_release(&cache->lock);
	__builtin_memmove(slot, slot + count, rest * sizeof *slot);
	stock->kept = slot + rest;
	slabs_delete(chain);
}

void cache_give_slowly(size_t number, void *object)
{
	struct kmem_cache *cache = slab_cache_of[number];
	struct pin pin = port_pin();
	struct stock *stock = claim_own(cache, pin);
	bool loaded = stock && load(cache, stock), twice = loaded && stock->kept[-1] == object;

	if (loaded && !twice) {
		if ((uintptr_t)stock->kept % sizeof(struct magazine) == 0)
			flush(cache, stock);
		*stock->kept++ = object;
	}
	if (stock)
		release(stock);
	port_unpin(pin);
	if (twice)
		port_panic("slab: double free", (uintptr_t)object);
	if (!loaded)
		slabs_give_one(cache, object);
}

void stock_empty(struct kmem_cache *cache, struct stock *stock)
{
	struct magazine *magazine = stock->magazine;

	if (!magazine)
		return;
	lock_acquire(&cache->lock);
	while (stock_count(cache, stock) > 0)
		slabs_give(cache, *--stock->kept);
	lock_release(&cache->lock);
	stock->magazine = NULL;
	stock->kept = SLAB_NOTHING;
	slabs_give_one(&slab_magazines, magazine);
}

// ---- stocks in other hands

static bool is_busy(const struct stock *stock)
{
	return __atomic_load_n(&stock->busy, __ATOMIC_ACQUIRE);
}

static bool is_taken(const struct stock *stock) // its top, and for good, when this is said after the barriers
{
	return __atomic_load_n(&stock->top, __ATOMIC_ACQUIRE) == SLAB_NOTHING;
}

void stocks_claim(const struct kmem_cache *cache, bool claimed[PORT_MAX_CPUS])
{
	bool idle[PORT_MAX_CPUS];

	for (unsigned cpu = 0; cpu < PORT_MAX_CPUS; cpu++)
		claimed[cpu] = claim(stock_of(cache, cpu));
	port_barrier();
	for (unsigned cpu = 0; cpu < PORT_MAX_CPUS; cpu++)
		idle[cpu] = claimed[cpu] && !is_busy(stock_of(cache, cpu));
	port_barrier();
	for (unsigned cpu = 0; cpu < PORT_MAX_CPUS; cpu++) {
		if (claimed[cpu] && !(idle[cpu] && is_taken(stock_of(cache, cpu)))) {
			release(stock_of(cache, cpu));
			claimed[cpu] = false;
		}
	}
}

void stocks_release(const struct kmem_cache *cache, const bool claimed[PORT_MAX_CPUS])
{
	for (unsigned cpu = 0; cpu < PORT_MAX_CPUS; cpu++)
		if (claimed[cpu])
			release(stock_of(cache, cpu));
}

// Takes the tops, again where the owner came later, until all stand.
static bool all_taken(const struct kmem_cache *cache)
{
	bool all = true;

	for (unsigned cpu = 0; cpu < PORT_MAX_CPUS; cpu++) {
		struct stock *stock = stock_of(cache, cpu);

		if (stock->state != STOCK_CLAIMED || is_taken(stock))
			continue;
		take_top(stock);
		all = false;
	}
	port_barrier();
	for (unsigned cpu = 0; cpu < PORT_MAX_CPUS; cpu++)
		while (is_busy(stock_of(cache, cpu)))
			;
	port_barrier();
	return all;
}

// A stock that somebody else has comes free again, a busy one as well: neither waits for us.
static void freeze(struct kmem_cache *cache)
{
	for (unsigned cpu = 0; cpu < PORT_MAX_CPUS; cpu++) {
		struct stock *stock = stock_of(cache, cpu);

		while (!change(stock, STOCK_OPEN, STOCK_CLAIMED) && !change(stock, STOCK_NEW, STOCK_FROZEN))
			;
	}
	while (!all_taken(cache))
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

// Leaves alone a stock that is claimed: it is out of memory, and that is why we are here.
void kmem_reap_cpu(void)
{
	struct pin pin = port_pin();

	for (unsigned number = 1; number < SLAB_CACHES; number++) {
		struct kmem_cache *cache = slab_cache_of[number];
		struct stock *stock = cache ? &row(pin)[number] : NULL;

		if (!cache)
			continue;
		if (claim(stock)) {
			stock_empty(cache, stock);
			release(stock);
		}
		cache_shrink(cache, SLABS_KEEP);
	}
	port_unpin(pin);
}
