// mailbox.h: the memory that the judge outside and the driver inside the guest share: plan, calls and results.
//
//     0        struct mailbox    what the judge chose before the start; the batch's number; what the driver answers
//     4 KiB    slots             addresses of blocks, by the numbers that the plan gives them
//     260 KiB  calls, half A     a batch uses one half, the next batch the other: results that were read must never change again
//     1220 KiB calls, half B
//
// The judge (grading/mailbox.py) knows the same layout. Everything is little-endian; nobody follows a pointer.
#pragma once

#include <stddef.h>
#include <stdint.h>

#define MAILBOX_MAGIC 0x6567647571756972UL
#define MAILBOX_HARTS 16
#define MAILBOX_HOLES 16
#define MAILBOX_RANGES 64
#define MAILBOX_SLOTS 32768u
#define MAILBOX_CALLS 24576u // in each half

enum call_op {
	CALL_NOTHING,      // costs what the driver itself costs
	CALL_ALLOC,        // slot = page_alloc(order, flags)
	CALL_FREE,         // page_free(slot), when the slot has a block
	CALL_SHARE,        // page_share(slot), likewise
	CALL_REFS,         // page_refs(slot), likewise
	CALL_ORDER,        // page_order(slot), likewise
	CALL_IS_ALLOCATED, // page_is_allocated(argument)
	CALL_FREE_COUNT,
	CALL_TOTAL_COUNT,
	CALL_DRAIN,
	CALL_FREE_AT,      // page_free(argument), whatever it is
	CALL_INTERRUPT,    // interrupts the CPUs whose bits are set in the argument
	CALL_SHARE_STORM,  // page_share(slot) and page_free(slot), argument times
	CALL_CHURN,        // argument times: some blocks of up to `order` are taken, marked, looked at and freed; at most CHURN_MOST
};

#define CHURN_MOST 120
#define CALL_STAMP   1 // alloc: mark the block as mine; free: look whether the marks are still there
#define CALL_SKIPPED UINT64_MAX // result of a call on an empty slot

#define ODD_INTERRUPTS 1 // the call left interrupts off
#define ODD_LOCK       2 // the call left a lock held
#define ODD_STAMP      4 // somebody wrote over the block's marks while it was in use

struct call { // 40 bytes
	uint8_t op, order, flags, touch;
	uint32_t slot;
	uint64_t argument;
	// results
	uint64_t value;
	uint32_t begin, end; // tickets: which calls were over before which others began
	uint32_t cost;       // instructions
	uint32_t odd;
};

struct mailbox_range {
	uint64_t start, bytes;
};

struct mailbox {
	// the judge's, before the machine starts
	uint64_t magic, bytes;
	uint64_t dma_limit, reserve, harts;
	char engine[16];
	uint64_t holes;
	struct mailbox_range hole[MAILBOX_HOLES]; // reserved before page_init
	// the judge's, for a batch
	uint64_t go;    // the batch's number
	uint64_t calls; // where they are, from the mailbox's start
	struct {
		uint32_t first, count; // the hart's part
	} share[MAILBOX_HARTS];
	// the driver's
	uint64_t stage;          // 1: parked before page_init; 2: after it
	uint64_t tree;           // where the device tree is
	uint64_t started;        // what page_init returned
	uint64_t memories, reservations;
	uint64_t arrived;        // harts that have begun the batch, over all batches
	uint64_t ticket;         // the next
	uint64_t done[MAILBOX_HARTS];     // the last batch that the hart has ended
	uint64_t progress[MAILBOX_HARTS]; // calls that it has begun, over all batches
	struct mailbox_range memory[MAILBOX_RANGES], reserved[MAILBOX_RANGES];
};

_Static_assert(sizeof(struct call) == 40, "grading/mailbox.py");
_Static_assert(offsetof(struct mailbox, hole) == 64 && offsetof(struct mailbox, go) == 320, "grading/mailbox.py");
_Static_assert(offsetof(struct mailbox, stage) == 464 && offsetof(struct mailbox, done) == 520, "grading/mailbox.py");
_Static_assert(offsetof(struct mailbox, memory) == 776 && sizeof(struct mailbox) <= 4096, "grading/mailbox.py");

#define MAILBOX_SLOTS_AT 4096u
