// test_slab_stock.c: who may use a CPU's stock of objects: its CPU, whoever seizes it, nobody while it is frozen.
#include "../slab_magazine.h"
#include "heap_model.h"
#include "test.h"

// A stock that is in use is left alone, and who finds its own one claimed is served from the slabs.
TEST(slab_busy_stock)
{
	size_t pages = heap_model_machine(16);
	struct kmem_cache *cache = kmem_cache_create("busy", 64, 0, NULL);
	void *one = kmem_cache_alloc(cache);
	struct stock *stock = stock_of(cache, 0);
	size_t count = stock_count(cache, stock);

	EXPECT(one && count > 2);
	stock->busy = 1;
	kmem_reap(); // leaves the busy one alone
	EXPECT_EQ(stock_count(cache, stock), count);
	EXPECT_EQ(stock->state, STOCK_OPEN);
	EXPECT(stock->top != SLAB_NOTHING);
	stock->busy = 0;

	bool claimed[PORT_MAX_CPUS];
	stocks_claim(cache, claimed);
	EXPECT(claimed[0]);
	void *two = kmem_cache_alloc(cache), *three = kmem_cache_alloc(cache);
	EXPECT(two && three && two != three);
	kmem_cache_free(cache, two);
	EXPECT_EQ(stock_count(cache, stock), count);
	stocks_release(cache, claimed);
	kmem_cache_free(cache, three);
	kmem_cache_free(cache, one);
	EXPECT_VERDICT(kmem_check(), NULL);
	kmem_cache_destroy(cache);
	kmem_reap();
	page_drain();
	EXPECT_EQ(page_free_count(), pages);
}

// While all stocks are frozen everybody goes to the slabs, CPUs that come new as well; afterwards they have stocks again.
TEST(slab_frozen_stocks)
{
	size_t pages = heap_model_machine(16);
	struct kmem_cache *cache = kmem_cache_create("frozen", 64, 0, NULL);
	void *object[4];

	EXPECT((object[0] = kmem_cache_alloc(cache)));
	size_t count = stock_count(cache, stock_of(cache, 0));
	EXPECT(count > 2);
	kmem_freeze();
	EXPECT_EQ(stock_of(cache, 0)->state, STOCK_CLAIMED);
	EXPECT_EQ(stock_of(cache, 1)->state, STOCK_FROZEN);
	EXPECT((object[1] = kmem_cache_alloc(cache)));
	host_cpu(1);
	EXPECT((object[2] = kmem_cache_alloc(cache)));
	kmem_cache_free(cache, object[2]);
	EXPECT_EQ(stock_count(cache, stock_of(cache, 0)), count);
	EXPECT(!stock_of(cache, 1)->magazine);
	kmem_thaw();
	EXPECT_EQ(stock_of(cache, 1)->state, STOCK_NEW);
	EXPECT((object[3] = kmem_cache_alloc(cache)));
	EXPECT_EQ(stock_of(cache, 1)->state, STOCK_OPEN);
	EXPECT(stock_of(cache, 1)->magazine != NULL);
	host_cpu(0);
	kmem_cache_free(cache, object[0]);
	EXPECT_EQ(stock_count(cache, stock_of(cache, 0)), count + 1);
	kmem_cache_free(cache, object[1]);
	kmem_cache_free(cache, object[3]);
	EXPECT_VERDICT(kmem_check(), NULL);
	kmem_cache_destroy(cache);
	kmem_reap();
	page_drain();
	EXPECT_EQ(page_free_count(), pages);
}

// A CPU that leaves gives up its own stocks only, and leaves alone the one on whose behalf it asks for memory.
TEST(slab_reap_of_one_cpu)
{
	heap_model_machine(16);
	struct kmem_cache *cache = kmem_cache_create("one", 64, 0, NULL), *other = kmem_cache_create("two", 64, 0, NULL);
	void *object[3];

	EXPECT((object[0] = kmem_cache_alloc(cache)) && (object[1] = kmem_cache_alloc(other)));
	host_cpu(1);
	EXPECT((object[2] = kmem_cache_alloc(cache)));
	size_t count = stock_count(cache, stock_of(cache, 1));
	host_cpu(0);
	bool claimed[PORT_MAX_CPUS];
	stocks_claim(other, claimed);
	kmem_reap_cpu();
	EXPECT_EQ(stock_count(cache, stock_of(cache, 0)), 0);
	EXPECT_EQ(stock_count(cache, stock_of(cache, 1)), count);
	EXPECT(stock_count(other, stock_of(other, 0)) > 0);
	stocks_release(other, claimed);
	EXPECT_VERDICT(kmem_check(), NULL);
	kmem_cache_free(cache, object[0]);
	kmem_cache_free(other, object[1]);
	kmem_cache_free(cache, object[2]);
	kmem_cache_destroy(cache);
	kmem_cache_destroy(other);
}
