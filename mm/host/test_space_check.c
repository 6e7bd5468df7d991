// test_space_check.c: memory running out at each place in turn, and each invariant of areas and spaces broken once.
//
//      n = 1, 2, ...: the n-th request for memory fails, and all after it; whatever that breaks, nothing may be lost
#include "space_fixture.h"

// ---- memory runs out at each place in turn

static void scenario(void) // every call may fail; whatever happens, nothing may be lost
{
	uint64_t old, a = 0, b = 0;
	enum space_result ignored;
	ignored = space_sbrk(&space, 5 * 4096, &old);
	ignored = space_touch(&space, HEAP, 5 * PAGE_BYTES, ACCESS_WRITE);
	ignored = space_map(&space, 0, 6 * PAGE_BYTES, RW, false, &file.source, 0, &a);
	if (a) {
		ignored = space_touch(&space, a, 6 * PAGE_BYTES, ACCESS_READ);
		ignored = space_touch(&space, a, 3 * PAGE_BYTES, ACCESS_WRITE);
		ignored = space_unmap(&space, a + 2 * PAGE_BYTES, PAGE_BYTES);
		ignored = space_protect(&space, a + 4 * PAGE_BYTES, PAGE_BYTES, ACCESS_READ);
	}
	ignored = space_map(&space, 0, 3 * PAGE_BYTES, RW, true, NULL, 0, &b);
	if (b)
		ignored = space_touch(&space, b, 2 * PAGE_BYTES, ACCESS_WRITE);
	EXPECT_VERDICT(space_check(&space), NULL);
	if (space_create(&child, &kernel)) {
		child.table.asid = 2;
		if (space_fork(&child, &space) == SPACE_OK) {
			ignored = space_touch(&child, HEAP, 5 * PAGE_BYTES, ACCESS_WRITE);
			if (b)
				ignored = space_touch(&child, b, 3 * PAGE_BYTES, ACCESS_WRITE);
		} else {
			EXPECT(!child.areas && child.resident == 0 && child.table.pages == 1);
		}
		EXPECT_VERDICT(space_check(&child), NULL);
	}
	ignored = space_touch(&space, HEAP, 5 * PAGE_BYTES, ACCESS_WRITE);
	(void)ignored;
}

// Runs `what` with the n-th request for memory failing and all after it, for every n, the heap having `records` objects left.
static void run_out(void (*what)(void), unsigned records)
{
	uint64_t sites = 1;
	for (uint64_t n = 1; n <= sites; n++) {
		void *held[300];
		size_t count = 0;
		start();
		host_fail_after(1);
		while (count < 300 && (held[count] = kmalloc(sizeof(struct area))))
			count++;
		for (unsigned i = 0; i < records && count; i++)
			kfree(held[--count]);
		host_fail_after(n);
		what();
		sites = host_allocations();
		host_fail_after(UINT64_MAX);
		while (count)
			kfree(held[--count]);
		finish();
	}
}

TEST(space_out_of_memory_everywhere)
{
	for (unsigned records = 0; records < 16; records++)
		run_out(scenario, records);
}

// ---- each invariant broken once

static struct area *sample(void) // heap of four touched pages, a mapping, a stack
{
	start();
	uint64_t old;
	EXPECT(space_sbrk(&space, 4 * 4096, &old) == SPACE_OK);
	EXPECT(space_touch(&space, HEAP, 4 * PAGE_BYTES, ACCESS_WRITE) == SPACE_OK);
	EXPECT(space_touch(&space, map(0, 2, RW, true, NULL), PAGE_BYTES, ACCESS_WRITE) == SPACE_OK);
	EXPECT_VERDICT(space_check(&space), NULL);
	return space.areas;
}

static pte_t *leaf_at(uint64_t va)
{
	return table_find(&space.table, VA(va)).entry;
}

TEST(space_check_A1)
{
	struct area *heap = sample();
	heap->end = heap->next->start + PAGE_BYTES;
	EXPECT_VERDICT(space_check(&space), "A1");
	heap->next->end = heap->next->start;
	EXPECT_VERDICT(space_check(&space), "A1");
	heap->next->end = heap->next->start + 2 * PAGE_BYTES;
	heap->end = HEAP + 4 * PAGE_BYTES + 8;
	EXPECT_VERDICT(space_check(&space), "A1");
	heap->end = HEAP + 4 * PAGE_BYTES;
	struct area *next = heap->next;
	heap->next = heap; // a circle
	EXPECT_VERDICT(space_check(&space), "A1");
	heap->next = (struct area *)3;
	EXPECT_VERDICT(space_check(&space), "A1");
	heap->next = next;
	EXPECT_VERDICT(space_check(&space), NULL);
}

TEST(space_check_A2)
{
	struct area *heap = sample();
	heap->rights = ACCESS_WRITE;
	EXPECT_VERDICT(space_check(&space), "A2");
	heap->rights = heap->most = 8;
	EXPECT_VERDICT(space_check(&space), "A2");
	heap->rights = RW;
	heap->most = ACCESS_READ;
	EXPECT_VERDICT(space_check(&space), "A2");
}

TEST(space_check_A3)
{
	struct area *heap = sample();
	heap->next->offset = 100;
	EXPECT_VERDICT(space_check(&space), "A3");
	heap->next->offset = 0;
	heap->shared = true;
	EXPECT_VERDICT(space_check(&space), "A3");
}

TEST(space_check_A4)
{
	struct area *heap = sample();
	heap->source_bytes = 1;
	EXPECT_VERDICT(space_check(&space), "A4");
	heap->source_bytes = 0;
	heap->next->source_bytes = 2 * PAGE_BYTES + 1;
	EXPECT_VERDICT(space_check(&space), "A4");
	heap->next->source_bytes = PAGE_BYTES;
	EXPECT_VERDICT(space_check(&space), "A4");
}

TEST(space_check_A5)
{
	struct area stranger = *sample();
	space.recent = &stranger;
	EXPECT_VERDICT(space_check(&space), "A5");
}

TEST(space_check_S1)
{
	struct area *heap = sample();
	heap->start += PAGE_BYTES;
	EXPECT_VERDICT(space_check(&space), "S1");
	heap->start -= PAGE_BYTES;
	pte_t kept = *leaf_at(HEAP);
	*leaf_at(HEAP) = pte_make(PA(0x40000000), kept.raw & 0x3ff);
	EXPECT_VERDICT(space_check(&space), "S1");
}

TEST(space_check_S2)
{
	struct area *heap = sample();
	leaf_at(HEAP)->raw |= PTE_X;
	EXPECT_VERDICT(space_check(&space), "S2");
	leaf_at(HEAP)->raw &= ~(uint64_t)(PTE_X | PTE_W); // read-only, but neither is the area nor says PTE_COW why
	EXPECT_VERDICT(space_check(&space), "S2");
	leaf_at(HEAP)->raw |= PTE_COW;
	EXPECT_VERDICT(space_check(&space), NULL);
	leaf_at(heap->next->start)->raw |= PTE_COW;
	EXPECT_VERDICT(space_check(&space), "S2");
}

TEST(space_check_S3)
{
	sample();
	page_share(pte_pa(*leaf_at(HEAP)));
	EXPECT_VERDICT(space_check(&space), "S3");
}

TEST(space_check_S4)
{
	sample();
	space.resident++;
	EXPECT_VERDICT(space_check(&space), "S4");
}

TEST(space_check_S5)
{
	sample();
	space.heap_end = HEAP;
	EXPECT_VERDICT(space_check(&space), "S5");
	space.heap_end = HEAP + 4 * PAGE_BYTES;
	space.heap_start = space.heap_end + 1;
	EXPECT_VERDICT(space_check(&space), "S5");
}

TEST(space_check_S6)
{
	struct area *heap = sample();
	leaf_at(HEAP)->raw |= PTE_DIRTY;
	EXPECT_VERDICT(space_check(&space), "S6");
	leaf_at(HEAP)->raw &= ~(uint64_t)PTE_DIRTY;
	leaf_at(heap->next->start)->raw &= ~(uint64_t)PTE_DIRTY;
	EXPECT_VERDICT(space_check(&space), "S6");
}
