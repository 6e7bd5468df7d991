// page_model.h: physical pages beside a shadow that knows the owner of each page: used by test_page.c and fuzz_page.c.
//
//     a machine (ranges of RAM, reservations in them, a DMA limit)  --memblock--> page_init --> page_alloc, page_free, ...
//                                                                                     |  each call is compared
//     shadow[page] = NOT_OURS, FREE, or its block                                     v
//
// Tested at each step: blocks are in range, aligned and disjoint; zeroed where asked; nobody else writes into them; the free count
// is exact; memory is refused exactly when nothing fits. At the end everything is back and the largest block allocates again.
#pragma once

#include "../page.h"
#include "test.h"

#define MODEL_BLOCKS 4096u // the most live blocks

struct machine {
	const char *name;
	struct memblock_range ram[9], reserved[9]; // ended by an empty one
	uint64_t dma_limit;
};
extern const struct machine MODEL_MACHINES[];
extern const unsigned MODEL_MACHINE_COUNT;
extern const char *const MODEL_FLAGS[8]; // names of what page_alloc takes

struct model_block {
	pa_t start;
	unsigned order, refs;
	bool filled; // with its own pattern
};

struct page_model {
	const struct machine *machine;
	struct memblock mb;
	unsigned cpus;
	size_t reserve;
	size_t total, free; // pages
	size_t zone_free[PAGE_ZONES];
	struct model_block block[MODEL_BLOCKS]; // order and refs of live ones; refs 0: not used
	unsigned live;
	uint64_t (*random)(uint64_t limit);
};
extern struct page_model page_model;

void page_model_boot(const struct machine *machine, struct memblock *mb); // RAM and reservations only
void page_model_start(const char *engine, const struct machine *machine, unsigned cpus, size_t reserve, uint64_t (*random)(uint64_t limit));
void page_model_step(void);  // one call, drawn from `random`
void page_model_finish(void);
unsigned page_model_alloc(unsigned order, unsigned flags); // index of the block, MODEL_BLOCKS when refused
void page_model_free(unsigned index);
