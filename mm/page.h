// page.h: physical pages: one interface over several engines, with zones, reference counts and per-CPU caches.
//
// Every function may be called on any CPU and from interrupt handlers; none sleeps. Locks are taken inside.
#pragma once

#include "addr.h"
#include "check.h"
#include "memblock.h"

#define PAGE_MAX_ORDER 10u // the largest block is 2^10 pages = 4 MiB

enum page_flags {
	PAGE_KERNEL = 0, // dirty memory from any zone, not from the reserve
	PAGE_ZERO = 1,   // all bytes zero
	PAGE_ATOMIC = 2, // may use the zone's reserve
	PAGE_DMA = 4,    // below the DMA limit
};

// What a page is used for; kept per page, so that a stray kfree or a report can tell.
enum page_use {
	PAGE_USED,      // head of an allocated block
	PAGE_USED_TAIL, // inside an allocated block
	PAGE_FREE,      // head of a free block (engine's)
	PAGE_FREE_TAIL, // inside a free block
	PAGE_CACHED,    // in a per-CPU cache
	PAGE_WAITING,   // in a free block that its engine has not merged yet
	PAGE_UNMANAGED, // not RAM, or reserved before page_init
};

struct page { // one per page frame: 12 bytes
	union {
		uint32_t next;  // free: next frame in the engine's list
		uint32_t owner; // used: free for the owner of the block (slab: its cache; table: unused); 0 after page_alloc
	};
	union {
		uint32_t previous; // free: previous frame in the engine's list
		uint32_t extra;    // used: references beyond the first; atomic
	};
	union {
		struct {
			uint8_t use;   // enum page_use
			uint8_t order; // of the block, valid at heads
			uint16_t tag;  // used: free for the owner (table: live entries; slab: mark); 0 after page_alloc
		};
		uint32_t state; // the three in one word, little-endian, to change them at once
	};
};

struct page_config {
	const char *engine;  // "buddy", "buddy_lazy", "bitmap", "stack"; NULL: buddy
	pa_t dma_limit;      // pages below it are the DMA zone
	unsigned cpus;       // CPUs that will call, 1 .. PORT_MAX_CPUS
	size_t reserve;      // pages a zone keeps for PAGE_ATOMIC
	pa_t limit;          // page_grow may add memory up to here, and none above is taken over; 0: what memblock has is all
};

// Takes over all that memblock has free; memblock must not be used afterwards. Its own tables are taken from memblock first.
// Cost: proportional to the number of frames (13 bytes each), never touching a free page itself (unless poisoning is on).
// False when the engine's name is unknown or there is no room for the tables: nothing was taken then.
bool page_init(struct memblock *mb, const struct page_config *config) __attribute__((warn_unused_result));

// Takes over `bytes` (a multiple of 4 MiB) of memory behind the last page, which must end at such a multiple. False at the limit.
bool page_grow(uint64_t bytes) __attribute__((warn_unused_result));

// A block of 2^order pages aligned to its size, with one reference; PA_NONE when nothing fits.
pa_t page_alloc(unsigned order, unsigned flags) __attribute__((warn_unused_result));

// One more reference to a used block, given by its first page.
void page_share(pa_t page);

// Drops one reference; the last one frees the block. A page that is free already, foreign, misaligned or inside a block panics
// with the rule's name.
void page_free(pa_t page);

// References to the block that starts here; 0 when it is not an allocated block's first page.
unsigned page_refs(pa_t page);

// True when the page is part of an allocated block.
bool page_is_allocated(pa_t page);

// The block's order; only for an allocated block's first page.
unsigned page_order(pa_t page);

// The record of the page that an address lies in, when page_init took that page over; NULL for any other address.
struct page *page_of(pa_t page);

// Free pages now: in the zones and in the per-CPU caches. Exact when nothing else runs.
size_t page_free_count(void);

// Pages under management (free or not).
size_t page_total_count(void);

// Returns every per-CPU cache's pages to the engines, so that they can coalesce.
void page_drain(void);

struct page_zone_report {
	const char *name;                  // "DMA", "normal"
	uint64_t start, end;               // physical addresses
	size_t total, free, cached;        // pages; `free` are the engine's, `cached` in per-CPU caches
	size_t reserve;                    // pages kept for PAGE_ATOMIC
	size_t blocks[PAGE_MAX_ORDER + 1]; // free blocks of each order
};

#define PAGE_ZONES 2
// Fills up to PAGE_ZONES reports, returns how many zones exist.
unsigned page_report(struct page_zone_report report[PAGE_ZONES]);

const char *page_engine_name(void);
const char *page_engine_choice(unsigned i); // the name of the i-th engine that there is, the default one first; NULL behind the last
size_t page_metadata_bytes(void);    // all tables of this module, in bytes
uint64_t page_lock_acquisitions(void); // how often a zone's lock was taken since page_init: what the per-CPU caches save

struct verdict page_check(void);
