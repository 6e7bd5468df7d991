// table_fixture.h: a kernel's table and a user's, for the tests of page tables.
#pragma once

#include "../page.h"
#include "../table.h"
#include "mmu.h"
#include "test.h"

#define RAM_START 0x80000000u
#define RAM_BYTES ((uint64_t)8 << 20)

static struct memblock mb;
static struct table kernel, user;

static inline void start(void)
{
	host_reset();
	memset(&mb, 0, sizeof mb);
	host_ram(RAM_START, RAM_BYTES, &mb);
	EXPECT(page_init(&mb, &(struct page_config){ .cpus = 4, .dma_limit = PA(RAM_START) }));
	EXPECT(table_create(&kernel, NULL));
	EXPECT(table_map_range(&kernel, VA(0xffffffc080000000), PA(RAM_START), RAM_BYTES, PTE_R | PTE_W | PTE_G) == TABLE_OK);
	EXPECT(table_create(&user, &kernel));
	user.asid = 7;
	mmu_reset();
}

static inline void finish(size_t before)
{
	EXPECT_VERDICT(table_check(&kernel), NULL);
	EXPECT_EQ(page_free_count(), before);
}
