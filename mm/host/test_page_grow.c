// test_page_grow.c: memory that comes after page_init: every engine takes it over, up to the limit and no further.
#include "../page_engine.h"
#include "page_model.h"

#define START ((uint64_t)0x80000000)
#define BLOCK ((uint64_t)PAGE_BYTES << PAGE_MAX_ORDER)
#define LIMIT (START + 16 * BLOCK)

static pa_t chain; // pages that are held, each naming the next

static size_t take_all(void)
{
	size_t count = 0;
	for (pa_t page = page_alloc(0, PAGE_KERNEL); !pa_is_none(page); page = page_alloc(0, PAGE_KERNEL), count++) {
		EXPECT(page.raw >= START && page.raw < LIMIT);
		*(pa_t *)pa_pointer(page) = chain;
		chain = page;
	}
	return count;
}

static void give_all(void)
{
	while (!pa_is_none(chain)) {
		pa_t next = *(pa_t *)pa_pointer(chain);
		page_free(chain);
		chain = next;
	}
	page_drain();
}

static void start(const char *engine, size_t reserve, bool limited)
{
	struct memblock mb = { 0 };
	host_reset();
	chain = PA_NONE;
	host_ram(START, 2 * BLOCK, &mb);
	host_ram(LIMIT, BLOCK, &mb); // for the tables
	struct page_config config = { .engine = engine, .cpus = 2, .reserve = reserve, .limit = limited ? PA(LIMIT) : PA_NONE };
	EXPECT(page_init(&mb, &config));
	host_ram(START + 2 * BLOCK, LIMIT - START - 2 * BLOCK, NULL);
}

TEST(page_grow)
{
	for (unsigned e = 0; PAGE_ENGINES[e]; e++) {
		for (size_t reserve = 0; reserve <= 16; reserve += 16) {
			start(PAGE_ENGINES[e]->name, reserve, true);
			EXPECT_EQ(take_all(), 2 * 1024 - reserve);
			EXPECT(page_grow(BLOCK));
			EXPECT_VERDICT(page_check(), NULL);
			EXPECT_EQ(take_all(), 1024);
			EXPECT(page_grow(5 * BLOCK));
			EXPECT_EQ(take_all(), 5 * 1024);
			EXPECT(!page_grow(BLOCK / 2));
			EXPECT(!page_grow(9 * BLOCK));
			EXPECT(page_grow(8 * BLOCK));
			EXPECT(!page_grow(BLOCK));
			give_all();
			EXPECT_VERDICT(page_check(), NULL);
			EXPECT_EQ(page_free_count(), 16 * 1024);
			EXPECT_EQ(page_total_count(), 16 * 1024);
			for (unsigned i = 0; i < 16 - (reserve > 0); i++)
				EXPECT(!pa_is_none(page_alloc(PAGE_MAX_ORDER, PAGE_KERNEL)));
		}
	}
}

TEST(page_grow_without_limit)
{
	start("buddy", 0, false);
	EXPECT(!page_grow(BLOCK));
	EXPECT_VERDICT(page_check(), NULL);
}
