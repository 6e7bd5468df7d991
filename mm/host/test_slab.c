// test_slab.c: caches and their magazines: constructed objects, threads that free each other's, memory given back, each invariant broken.
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "../slab_magazine.h"
#include "random.h"
#include "test.h"

#define THREADS 4
#define SHARED  256
#define OBJECTS 1000
#define STEPS   (MM_CHECK > 1 ? 1000u : 40000u) // of each thread; at level 2 each of them checks every cache twice
#define TYPICAL (MM_CHECK > 1 ? 9000u : 500u) // bytes of a block when memory is filled

uint64_t host_allocations(void);

static size_t machine(void) // returns its free pages
{
	static struct memblock mb;
	struct page_config config = { .dma_limit = PA(0x80800000), .cpus = THREADS + 1, .reserve = 0 };

	slab_forget();
	host_reset();
	memset(&mb, 0, sizeof mb);
	host_ram(0x80000000, (uint64_t)16 << 20, &mb);
	EXPECT(page_init(&mb, &config));
	return page_free_count();
}

static size_t free_pages(void) // after all that is cached went back
{
	kmem_reap();
	page_drain();
	return page_free_count();
}

// ---- caches ----

struct thing {
	uint64_t sign; // set by the constructor and left alone by everybody
	char rest[52];
};

static size_t constructed;

static void construct(void *object)
{
	((struct thing *)object)->sign = (uintptr_t)object ^ 0x7e57;
	constructed++;
}

TEST(slab_constructor_runs_once)
{
	size_t pages = machine();
	struct kmem_cache *cache = kmem_cache_create("thing", sizeof(struct thing), 0, construct);
	struct thing *thing[300];

	constructed = 0;
	for (unsigned round = 0; round < 5; round++) {
		for (unsigned i = 0; i < 300; i++) {
			EXPECT((thing[i] = kmem_cache_alloc(cache)));
			EXPECT_EQ(thing[i]->sign, (uintptr_t)thing[i] ^ 0x7e57);
			memset(thing[i]->rest, (int)round, sizeof thing[i]->rest);
		}
		for (unsigned i = 0; i < 300; i++)
			kmem_cache_free(cache, thing[(i * 7) % 300]);
		EXPECT_VERDICT(kmem_check(), NULL);
	}
	EXPECT(constructed < 5 * 300); // some slabs were kept
	kmem_cache_destroy(cache);
	EXPECT_EQ(free_pages(), pages);
}

// Every size and alignment: objects are aligned, disjoint and whole.
static void try_shape(size_t bytes, size_t align)
{
	struct kmem_cache *cache = kmem_cache_create("shape", bytes, align, NULL);
	unsigned char *object[40];

	EXPECT(cache);
	for (unsigned i = 0; i < 40; i++) {
		EXPECT((object[i] = kmem_cache_alloc(cache)));
		EXPECT((uintptr_t)object[i] % (align > HEAP_ALIGN ? align : HEAP_ALIGN) == 0);
		memset(object[i], (int)i, bytes);
	}
	EXPECT_VERDICT(kmem_check(), NULL);
	for (unsigned i = 0; i < 40; i++) {
		for (size_t at = 0; at < bytes; at++)
			EXPECT_EQ(object[i][at], i);
		kmem_cache_free(cache, object[i]);
	}
	kmem_cache_destroy(cache);
}

TEST(slab_shapes)
{
	size_t pages = machine();

	for (size_t bytes = 1; bytes <= 9000; bytes += bytes < 200 ? 7 : bytes / 5)
		for (size_t align = 0; align <= 4096; align = align ? align * 4 : 16)
			try_shape(bytes, align);
	try_shape(32768, 4096);
	EXPECT(!kmem_cache_create("too large", 32769, 0, NULL));
	EXPECT(!kmem_cache_create("empty", 0, 0, NULL));
	EXPECT(!kmem_cache_create("odd", 64, 48, NULL));
	EXPECT_EQ(free_pages(), pages);
}

TEST(slab_little_is_lost)
{
	machine();
	for (size_t bytes = 16; bytes <= 3584; bytes += 16) {
		struct kmem_cache *cache = kmem_cache_create("loss", bytes, 0, NULL);
		struct kmem_report report[64];
		void *object = kmem_cache_alloc(cache);
		size_t count = kmem_report(report, 64), i = 0;

		EXPECT(object && count <= 64);
		while (strcmp(report[i].name, "loss"))
			i++;
		EXPECT(report[i].capacity * bytes * 100 >= report[i].pages * PAGE_BYTES * 87); // a tenth, rounding, the slab's record
		EXPECT(report[i].used == 1 && report[i].object_bytes == bytes);
		kmem_cache_free(cache, object);
		kmem_cache_destroy(cache);
	}
}

// A cache at the edge of a slab asks page.c for nothing at each pair of calls.
TEST(slab_hysteresis)
{
	machine();
	struct kmem_cache *cache = kmem_cache_create("edge", 512, 0, NULL);
	void *held[200];

	for (unsigned count = 0; count < 200; count++) {
		EXPECT((held[count] = kmem_cache_alloc(cache)));
		host_fail_after(UINT64_MAX); // sets the count of page_alloc calls to zero
		for (unsigned i = 0; i < 100; i++) {
			void *object = kmem_cache_alloc(cache), *other = kmem_cache_alloc(cache);

			kmem_cache_free(cache, other);
			kmem_cache_free(cache, object);
		}
		EXPECT(host_allocations() <= 1);
	}
	host_fail_after(UINT64_MAX);
	for (unsigned round = 0; round < 50; round++) {
		for (unsigned i = 0; i < 8; i++)
			kmem_cache_free(cache, held[i]);
		for (unsigned i = 0; i < 8; i++)
			EXPECT((held[i] = kmem_cache_alloc(cache)));
	}
	EXPECT(host_allocations() <= 2);
}

TEST(slab_gives_empties_back)
{
	size_t pages = machine();
	struct kmem_cache *cache = kmem_cache_create("many", 256, 0, NULL);
	static void *object[OBJECTS];

	for (unsigned i = 0; i < OBJECTS; i++)
		EXPECT((object[i] = kmem_cache_alloc(cache)));
	for (unsigned i = 0; i < OBJECTS; i++)
		kmem_cache_free(cache, object[i]);
	page_drain();
	EXPECT(pages - page_free_count() <= 12); // without a reap: two empties, the magazines' slabs, the caches of records
	kmem_cache_destroy(cache);
	EXPECT_EQ(free_pages(), pages);
}

// ---- no memory ----

TEST(slab_exhaustion)
{
	size_t pages = machine();
	EXPECT(kmalloc_init("slab"));
	void **chain = NULL, **block;
	size_t count = 0, bytes = 16;

	while ((block = kmalloc(bytes))) {
		*block = chain;
		chain = block;
		bytes = 16 + random_below(random_below(20) ? TYPICAL : 20000);
		count++;
	}
	EXPECT(count > (MM_CHECK > 1 ? 1000 : 10000));
	for (bytes = (size_t)4 << 20; bytes >= 16; bytes /= 2) { // then all that is left, in ever smaller blocks
		while ((block = kmalloc(bytes))) {
			*block = chain;
			chain = block;
		}
	}
	EXPECT_VERDICT(kmem_check(), NULL);
	EXPECT(page_free_count() <= 1);
	while (chain) {
		void **next = *chain;

		kfree(chain);
		chain = next;
	}
	EXPECT_VERDICT(kmem_check(), NULL);
	EXPECT_EQ(free_pages(), pages);
}

TEST(slab_create_faults)
{
	for (uint64_t n = 1;; n++) {
		size_t pages = machine();

		host_fail_after(n);
		struct kmem_cache *cache = kmem_cache_create("faulty", 2048, 0, NULL);
		void *object = cache ? kmem_cache_alloc(cache) : NULL;
		host_fail_after(UINT64_MAX);
		if (object)
			kmem_cache_free(cache, object);
		if (cache)
			kmem_cache_destroy(cache);
		EXPECT_EQ(free_pages(), pages);
		if (object && n > 4)
			break;
	}
}

// ---- mistakes ----

TEST(slab_mistakes)
{
	machine();
	struct kmem_cache *cache = kmem_cache_create("one", 100, 0, NULL), *other = kmem_cache_create("other", 100, 0, NULL);
	char *object = kmem_cache_alloc(cache);
	pa_t page = page_alloc(0, PAGE_KERNEL);

	EXPECT_PANIC("another cache", kmem_cache_free(other, object));
	EXPECT_PANIC("misaligned", kmem_cache_free(cache, object + 8));
	EXPECT_PANIC("foreign", kmem_cache_free(cache, pa_pointer(page)));
	EXPECT_PANIC("foreign", kmem_cache_free(cache, &object));
	EXPECT_PANIC("still in use", kmem_cache_destroy(cache));
	kmem_cache_free(cache, object);
	EXPECT_PANIC("double free", kmem_cache_free(cache, object));
	kmem_reap();
	object = kmem_cache_alloc(cache);
	kmem_cache_free(cache, object);
	kmem_cache_destroy(cache);
}

// A double free that the magazine does not see is seen when the second copy reaches the slab.
TEST(slab_late_double_free)
{
	machine();
	struct kmem_cache *cache = kmem_cache_create("late", 100, 0, NULL);
	void *one = kmem_cache_alloc(cache), *two = kmem_cache_alloc(cache);

	kmem_cache_free(cache, one);
	kmem_cache_free(cache, two);
	kmem_cache_free(cache, one);
	EXPECT_VERDICT(kmem_check(), "S7");
	EXPECT_PANIC("double free", kmem_reap());
}

// ---- threads that free each other's objects ----

static _Atomic(unsigned char *) shared[SHARED]; // each holds a block, its length at its start
static atomic_bool stop;
static atomic_uint ready_count;

static void release(unsigned char *block)
{
	uint32_t bytes;

	if (!block)
		return;
	memcpy(&bytes, block, sizeof bytes);
	for (size_t i = sizeof bytes; i < bytes; i++)
		if (block[i] != (unsigned char)bytes)
			abort(); // somebody else wrote into it: given out twice
	kfree(block);
}

static void *juggle(void *argument)
{
	uint64_t state = (uintptr_t)argument; // the test's own stream is not for threads

	host_cpu((unsigned)(uintptr_t)argument);
	atomic_fetch_add(&ready_count, 1);
	for (unsigned i = 0; i < STEPS; i++) {
		uint32_t bytes = (uint32_t)(4 + random_step(&state) % (random_step(&state) % 64 ? 700 : 9000));
		unsigned char *block = kmalloc(bytes);

		if (block) {
			memset(block, (unsigned char)bytes, bytes);
			memcpy(block, &bytes, sizeof bytes);
		}
		release(atomic_exchange(&shared[random_step(&state) % SHARED], block));
	}
	return NULL;
}

static void *disturb(void *argument)
{
	host_cpu((unsigned)(uintptr_t)argument);
	while (!atomic_load(&stop)) {
		struct kmem_report report[8];

		kmem_reap();
		if (kmem_check().broken)
			abort();
		(void)!kmem_report(report, 8);
	}
	return NULL;
}

TEST(slab_threads)
{
	size_t pages = machine();
	pthread_t thread[THREADS], reaper;

	EXPECT(kmalloc_init("slab"));
	for (uintptr_t i = 0; i < THREADS; i++)
		EXPECT(pthread_create(&thread[i], NULL, juggle, (void *)i) == 0);
	EXPECT(pthread_create(&reaper, NULL, disturb, (void *)THREADS) == 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	atomic_store(&stop, true);
	pthread_join(reaper, NULL);
	EXPECT_VERDICT(heap_check(kmalloc_heap()), NULL);
	for (unsigned i = 0; i < SHARED; i++)
		release(shared[i]);
	EXPECT_VERDICT(kmem_check(), NULL);
	EXPECT_EQ(free_pages(), pages);
}

// ---- each invariant, broken on purpose ----

#define BREAK(id, place, value)                                                        \
	do {                                                                           \
		__typeof__(place) saved_ = (place);                                    \
		(place) = (value);                                                     \
		EXPECT_VERDICT(kmem_check(), id);                                      \
		(place) = saved_;                                                      \
		EXPECT_VERDICT(kmem_check(), NULL);                                    \
	} while (0)

TEST(slab_invariants)
{
	machine();
	struct kmem_cache *cache = kmem_cache_create("broken", 512, 0, NULL), *other = kmem_cache_create("other", 512, 0, NULL);
	void *object[20];

	for (unsigned i = 0; i < 20; i++)
		EXPECT((object[i] = kmem_cache_alloc(cache)));
	kmem_cache_free(cache, object[3]);
	kmem_cache_free(cache, object[7]);
	EXPECT_VERDICT(kmem_check(), NULL);

	struct page *page = page_of(pa_of(object[0]));
	struct slab *slab = slab_of(page);
	struct stock *stock = stock_of(cache, 0);
	void **objects = stock_objects(cache, stock), **top = stock->top;
	enum slab_list list = slab_list_for(slab);

	BREAK("S1", slab->cache, other);
	BREAK("S1", slab->previous, slab);
	BREAK("S1", cache->slabs, 1);
	BREAK("S2", slab->is_free[3], 1);
	BREAK("S2", slab->is_free[0], slab->is_free[0] ^ 1);
	BREAK("S3", cache->list[PARTIAL], cache->list[list == PARTIAL ? FULL : list]);
	BREAK("S4", page->tag, 0);
	BREAK("S4", page->owner, page->owner + 2);
	BREAK("S5", cache->taken, cache->taken + 1);
	BREAK("S5", cache->empties, 7);
	BREAK("S5", cache->pages, 99);
	BREAK("S4", *mark_at(frame_of(page)), 0);
	BREAK("S6", objects[-1], object[3]);
	BREAK("S6", stock->top, objects - 1);
	BREAK("S6", stock->mask, 0);
	BREAK("S6", top[-1], (char *)object[7] + 16);
	BREAK("S7", top[-1], object[3]);
	BREAK("S8", slab->first, slab->first + 8);
	BREAK("S8", slab->limit, slab->limit + 512);
}

TEST(slab_heap_invariants)
{
	machine();
	EXPECT(kmalloc_init("slab"));
	uint8_t *fit = (uint8_t *)(kmalloc_heap() + 1), saved = fit[3];

	EXPECT_VERDICT(heap_check(kmalloc_heap()), NULL);
	fit[3] = fit[2]; // too small a class for its sizes
	EXPECT_VERDICT(heap_check(kmalloc_heap()), "S9");
	fit[3] = fit[4]; // too large a one
	EXPECT_VERDICT(heap_check(kmalloc_heap()), "S9");
	fit[3] = saved;
	EXPECT_VERDICT(heap_check(kmalloc_heap()), NULL);
}

// There are so many caches and no more; a heap that finds too few numbers for its classes leaves none of them behind.
TEST(slab_cache_numbers_run_out)
{
	static struct kmem_cache *caches[SLAB_CACHES];
	static _Alignas(64) char arena[1 << 18];
	size_t pages = machine(), count = 0;

	while (count < SLAB_CACHES && (caches[count] = kmem_cache_create("many", 32, 0, NULL)))
		count++;
	EXPECT_EQ(count, SLAB_CACHES - 4); // number 0 and slab.c's own three
	kmem_cache_destroy(caches[--count]);
	EXPECT(!heap_create(&heap_slab, arena, sizeof arena));
	EXPECT_VERDICT(kmem_check(), NULL);
	EXPECT((caches[count++] = kmem_cache_create("again", 48, 0, NULL)));
	while (count > 0)
		kmem_cache_destroy(caches[--count]);
	EXPECT(heap_create(&heap_slab, arena, sizeof arena));
	kmem_reap();
	EXPECT_EQ(free_pages(), pages);
}
