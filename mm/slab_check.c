// slab_check.c: looking into caches without disturbing them: check, walk and reports.
//
//    all stocks of a cache ──claimed──► held ──► the lists, under the lock ──► everything let go
//
// While the stocks are held, their CPUs go to the slabs directly. A stock that is in use on its CPU at that very moment is not seen;
// what it holds then counts as used. The invariants S1 to S8 are stated in slab.c.
#include "slab_magazine.h"

struct held {
	struct kmem_cache *cache;
	bool claimed[PORT_MAX_CPUS];
};

static void hold(struct kmem_cache *cache, struct held *held)
{
	held->cache = cache;
	stocks_claim(cache, held->claimed);
	lock_acquire(&cache->lock);
}

static void let_go(const struct held *held)
{
	lock_release(&held->cache->lock);
	stocks_release(held->cache, held->claimed);
}

// Who has objects outside the slabs: the CPUs, and after them the depot.
#define HOLDERS (PORT_MAX_CPUS + 1)

// Those of one of them; *count: how many.
static void **objects_of(const struct held *held, unsigned holder, size_t *count)
{
	const struct kmem_cache *cache = held->cache;

	if (holder == PORT_MAX_CPUS) {
		*count = cache->stored;
		return slab_depots[cache->number];
	}
	*count = held->claimed[holder] ? stock_count(cache, stock_of(cache, holder)) : 0;
	return *count ? stock_objects(cache, stock_of(cache, holder)) : NULL;
}

static size_t stock_of_all(const struct held *held)
{
	size_t objects = 0, count;

	for (unsigned holder = 0; holder < HOLDERS; holder++) {
		objects_of(held, holder, &count);
		objects += count;
	}
	return objects;
}

static bool is_held(const struct held *held, const void *object)
{
	for (unsigned holder = 0; holder < HOLDERS; holder++) {
		size_t count;
		void **objects = objects_of(held, holder, &count);

		for (size_t i = 0; i < count; i++)
			if (objects[i] == object)
				return true;
	}
	return false;
}

static bool is_free(const struct slab *slab, size_t i)
{
	return slab->is_free[i / 64] >> i % 64 & 1;
}

// ---- check ----

static struct verdict check_slab(const struct kmem_cache *cache, const struct slab *slab)
{
	uintptr_t start = slab_start(slab);
	bool marked = cache != &slab_records && slab->order == cache->order;
	size_t bits = 0;

	HOLDS("S8", slab->order <= SLAB_ORDER_MAX && slab->first % cache->align == 0 && slab->limit == slab->count * cache->stride, slab);
	HOLDS("S8", !marked || start % (PAGE_BYTES << slab->order) == 0, slab);
	HOLDS("S8", slab->first >= start && slab->first + slab->limit <= start + (PAGE_BYTES << slab->order), slab);
	for (unsigned word = 0; word < SLAB_OBJECTS / 64; word++)
		for (uint64_t rest = slab->is_free[word]; rest; rest &= rest - 1)
			bits++;
	for (size_t i = slab->count; i < SLAB_OBJECTS; i++)
		HOLDS("S2", !is_free(slab, i), slab);
	HOLDS("S2", bits == slab->free && slab->free <= slab->count, slab);
	for (size_t i = 0; i < (size_t)1 << slab->order; i++) {
		const struct page *page = page_of(pa_of((void *)(start + i * PAGE_BYTES)));

		HOLDS("S4", page && cache_of(page) == cache && slab_of(page) == slab && page->extra == i, start + i * PAGE_BYTES);
		HOLDS("S4", *mark_at(frame_of(page)) == (marked ? cache->number : 0), start + i * PAGE_BYTES);
		HOLDS("S4", page->use == (i == 0 ? PAGE_USED : PAGE_USED_TAIL), start + i * PAGE_BYTES);
	}
	return ALL_HOLD;
}

static struct verdict check_lists(const struct kmem_cache *cache, size_t *taken)
{
	size_t slabs = 0, empties = 0, pages = 0;

	for (unsigned list = 0; list < SLAB_LISTS; list++) {
		const struct slab *previous = NULL;

		for (const struct slab *slab = cache->list[list]; slab; previous = slab, slab = slab->next) {
			HOLDS("S1", ++slabs <= cache->slabs, slab); // else the list is longer than the cache: perhaps a ring
			HOLDS("S1", page_of(pa_of(slab)) && slab->cache == cache && slab->previous == previous, slab);

			struct verdict verdict = check_slab(cache, slab);
			if (verdict.broken)
				return verdict;
			HOLDS("S3", slab_list_for(slab) == list, slab);
			empties += slab->free == slab->count;
			pages += (size_t)1 << slab->order;
			*taken += (size_t)(slab->count - slab->free);
		}
	}
	HOLDS("S5", slabs == cache->slabs && empties == cache->empties && pages == cache->pages && *taken == cache->taken, cache);
	return ALL_HOLD;
}

static struct verdict check_magazine(const struct kmem_cache *cache, const struct stock *stock)
{
	const struct magazine *magazine = stock->magazine;

	if (!magazine)
		return ALL_HOLD;
	HOLDS("S6", (uintptr_t)magazine % sizeof *magazine == 0 && !stock_objects(cache, stock)[-1], magazine);
	HOLDS("S6", stock->kept >= stock_objects(cache, stock) && stock->kept <= &magazine->slot[MAGAZINE_SLOTS], magazine);
	HOLDS("S6", stock->mask == (PAGE_BYTES << cache->order) - 1 && stock->inverse == cache->inverse, magazine);
	return ALL_HOLD;
}

static struct verdict check_objects(const struct kmem_cache *cache, void *const *objects, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		void *object = objects[i];
		const struct page *page = page_of(pa_of(object));

		HOLDS("S6", page && cache_of(page) == cache, object);
		HOLDS("S6", slab_has_object_at(page, cache, (uintptr_t)object), object);
		HOLDS("S6", !is_free(slab_of(page), slab_index(cache, (uintptr_t)object - slab_of(page)->first)), object);
	}
	return ALL_HOLD;
}

static struct verdict check_held(const struct held *held)
{
	const struct kmem_cache *cache = held->cache;
	struct verdict verdict = ALL_HOLD;

	HOLDS("S6", cache->stored <= cache->room && cache->room <= PORT_DEPOT_OBJECTS, cache);
	for (unsigned holder = 0; !verdict.broken && holder < HOLDERS; holder++) {
		size_t count;

		if (holder < PORT_MAX_CPUS && held->claimed[holder])
			verdict = check_magazine(cache, stock_of(cache, holder));
		if (verdict.broken)
			break;
		void **objects = objects_of(held, holder, &count);
		verdict = check_objects(cache, objects, count);
	}
	return verdict;
}

// Marks each held object as free in its slab for a moment: one that is marked already is held twice.
static struct verdict check_twice(const struct kmem_cache *cache, const struct held *held)
{
	struct verdict verdict = ALL_HOLD;

	for (unsigned turn = 0; turn < 2 * HOLDERS; turn++) { // mark, then unmark
		size_t count;
		void **objects = objects_of(held, turn % HOLDERS, &count);

		for (size_t i = 0; i < count; i++) {
			struct slab *slab = slab_of(page_of(pa_of(objects[i])));
			size_t n = slab_index(cache, (uintptr_t)objects[i] - slab->first);

			if (turn < HOLDERS && is_free(slab, n))
				verdict = (struct verdict){ "S7", (uintptr_t)objects[i] };
			if (turn < HOLDERS)
				slab->is_free[n / 64] |= 1ULL << n % 64;
			else
				slab->is_free[n / 64] &= ~(1ULL << n % 64);
		}
	}
	return verdict;
}

struct verdict cache_check(struct kmem_cache *cache)
{
	struct held held;
	size_t taken = 0;

	hold(cache, &held);
	struct verdict verdict = check_lists(cache, &taken);
	if (!verdict.broken)
		verdict = check_held(&held);
	if (!verdict.broken)
		verdict = check_twice(cache, &held);
	if (!verdict.broken && stock_of_all(&held) > taken)
		verdict = (struct verdict){ "S5", (uintptr_t)cache };
	let_go(&held);
	return verdict;
}

struct verdict kmem_check(void)
{
	struct verdict verdict = ALL_HOLD;

	lock_acquire(&slab_caches_lock);
	for (struct kmem_cache *cache = slab_caches; cache && !verdict.broken; cache = cache->next)
		verdict = cache_check(cache);
	lock_release(&slab_caches_lock);
	return verdict;
}

// ---- walk and report ----

bool cache_walk(struct kmem_cache *cache, heap_visitor *visit, void *context)
{
	struct held held;
	bool more = true;

	hold(cache, &held);
	for (unsigned list = 0; list < SLAB_LISTS; list++)
		for (const struct slab *slab = cache->list[list]; slab; slab = slab->next)
			for (size_t i = 0; more && i < slab->count; i++) {
				void *object = (void *)(slab->first + i * cache->stride);

				more = visit(context, object, cache->stride, !is_free(slab, i) && !is_held(&held, object));
			}
	let_go(&held);
	return more;
}

static void report_cache(struct kmem_cache *cache, struct kmem_report *report)
{
	struct held held;

	hold(cache, &held);
	*report = (struct kmem_report){ .name = cache->name, .object_bytes = cache->bytes, .pages = cache->pages };
	report->cached = stock_of_all(&held);
	report->used = cache->taken - report->cached;
	for (unsigned list = 0; list < SLAB_LISTS; list++)
		for (const struct slab *slab = cache->list[list]; slab; slab = slab->next)
			report->capacity += slab->count;
	let_go(&held);
}

size_t kmem_report(struct kmem_report *report, size_t max)
{
	size_t count = 0;

	lock_acquire(&slab_caches_lock);
	for (struct kmem_cache *cache = slab_caches; cache; cache = cache->next) {
		struct kmem_report one;

		report_cache(cache, &one);
		if (one.pages == 0)
			continue;
		if (count < max)
			report[count] = one;
		count++;
	}
	lock_release(&slab_caches_lock);
	return count;
}
