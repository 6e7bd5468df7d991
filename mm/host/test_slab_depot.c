// test_slab_depot.c: what CPUs leave for each other: its room follows the load, and it gives everything back when asked.
#include "../slab_magazine.h"
#include "heap_model.h"
#include "test.h"

#define MOST 62u // what fits, of objects of 64 bytes

_Static_assert(PORT_DEPOT_OBJECTS == MOST && PORT_DEPOT_BYTES / 64 >= MOST, "the numbers below");

static struct kmem_cache *begin(size_t *pages)
{
	*pages = heap_model_machine(16);
	return kmem_cache_create("depot", 64, 0, NULL);
}

static void end(struct kmem_cache *cache, size_t pages)
{
	EXPECT_VERDICT(kmem_check(), NULL);
	kmem_cache_destroy(cache);
	kmem_reap();
	page_drain();
	EXPECT_EQ(page_free_count(), pages);
}

// One CPU takes `count` objects, another one gives them back.
static void pass(struct kmem_cache *cache, unsigned count)
{
	static void *objects[2000];

	host_cpu(0);
	for (unsigned i = 0; i < count; i++)
		EXPECT((objects[i] = kmem_cache_alloc(cache)));
	host_cpu(1);
	for (unsigned i = 0; i < count; i++)
		kmem_cache_free(cache, objects[i]);
	host_cpu(0);
}

// From some time on nothing goes through the slabs: nobody misses them when they are hidden.
TEST(slab_depot_passes_objects_on)
{
	size_t pages;
	struct kmem_cache *cache = begin(&pages);
	struct slab *lists[SLAB_LISTS];

	for (unsigned i = 0; i < 4; i++)
		pass(cache, 40);
	size_t slabs = cache->slabs, taken = cache->taken;
	__builtin_memcpy(lists, cache->list, sizeof lists);
	__builtin_memset(cache->list, 0, sizeof lists);
	for (unsigned i = 0; i < 100; i++)
		pass(cache, 40);
	EXPECT_EQ(cache->slabs, slabs);
	EXPECT_EQ(cache->taken, taken);
	for (unsigned list = 0; list < SLAB_LISTS; list++)
		EXPECT(!cache->list[list]);
	__builtin_memcpy(cache->list, lists, sizeof lists);
	end(cache, pages);
}

// Objects that nobody wants again do not stay.
TEST(slab_depot_ends_empty_after_much_is_given)
{
	size_t pages;
	struct kmem_cache *cache = begin(&pages);

	pass(cache, 2000);
	EXPECT_EQ(cache->room, 0);
	EXPECT_EQ(cache->stored, 0);
	EXPECT_EQ(cache->empties, SLABS_KEEP);
	end(cache, pages);
}

TEST(slab_depot_is_reaped)
{
	size_t pages;
	struct kmem_cache *cache = begin(&pages);
	struct kmem_report report[8];

	for (unsigned i = 0; i < 4; i++)
		pass(cache, 40);
	EXPECT(cache->stored > 0);
	EXPECT(kmem_report(report, 8) > 0);
	EXPECT_EQ(report[0].used, 0);
	EXPECT_EQ(report[0].cached, cache->stored + stock_count(cache, stock_of(cache, 0)) + stock_count(cache, stock_of(cache, 1)));
	kmem_reap_cpu();
	EXPECT_EQ(cache->stored, 0);
	EXPECT(stock_count(cache, stock_of(cache, 1)) > 0);
	end(cache, pages);
}

TEST(slab_depot_check_finds)
{
	size_t pages;
	struct kmem_cache *cache = begin(&pages);

	for (unsigned i = 0; i < 4; i++)
		pass(cache, 40);
	void **depot = slab_depots[cache->number], *first = depot[0];
	EXPECT(cache->stored > 1);
	depot[0] = depot[1]; // twice
	EXPECT_VERDICT(kmem_check(), "S7");
	depot[0] = stock_of(cache, 1)->top[-1]; // in a magazine as well
	EXPECT_VERDICT(kmem_check(), "S7");
	depot[0] = (char *)first + 16; // inside an object
	EXPECT_VERDICT(kmem_check(), "S6");
	depot[0] = first;
	size_t room = cache->room;
	cache->room = cache->stored - 1;
	EXPECT_VERDICT(kmem_check(), "S6");
	cache->room = room;
	end(cache, pages);
}
