// mailbox.h: the memory that the judge outside and the driver inside the guest share: plan, calls and results.
//
//     0        struct mailbox    what the judge chose before the start; the batch's number; what the driver answers
//     4 KiB    slots             addresses of blocks, by the numbers that the plan gives them
//     260 KiB  calls, half A     a batch uses one half, the next batch the other: results that were read must never change again
//     1604 KiB calls, half B
//
// The judge (grading/guest/mailbox.py) knows the same layout. Everything is little-endian; nobody follows a pointer.
#pragma once

#include <stddef.h>
#include <stdint.h>

#define MAILBOX_MAGIC 0x6567647571756972UL
#define MAILBOX_HARTS 16
#define MAILBOX_HOLES 16
#define MAILBOX_REGIONS 16
#define MAILBOX_SLOTS 32768u
#define MAILBOX_CALLS 24576u // in each half

// A call's number: the subject's group, and a number in it (driver/subject.h).
#define CALL_GROUP 32

enum call_op {
	CALL_NOTHING,     // costs what the driver itself costs
	CALL_PAGE_INIT,   // page_init on memblock; 1: it said that all is well
	CALL_START_HARTS, // all others; they take part from the next batch on
	CALL_INTERRUPT,   // interrupts the CPUs whose bits are set in the argument
	CALL_TABLE_INIT,  // after that the kernel's page table and vmalloc; satp, 0: there is no memory for it
	CALL_PAGES = CALL_GROUP,
	CALL_HEAPS = 3 * CALL_GROUP,
	CALL_TABLES = 4 * CALL_GROUP,
	CALL_BOOT = 5 * CALL_GROUP,
};

#define CALL_SKIPPED UINT64_MAX // result of a call on an empty slot

#define ODD_INTERRUPTS 1 // the call left interrupts off
#define ODD_LOCK       2 // the call left a lock held
#define ODD_STAMP      4 // somebody wrote over the block's marks while it was in use

struct call { // 56 bytes
	uint8_t op, order, flags, touch;
	uint32_t slot;
	uint64_t argument, second, third;
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
	uint64_t holes, regions;
	struct mailbox_range hole[MAILBOX_HOLES];     // reserved before page_init
	struct mailbox_range region[MAILBOX_REGIONS]; // the memory that there is, when it shall not be all of it
	// the judge's, for a batch
	uint64_t go;    // the batch's number
	uint64_t calls; // where they are, from the mailbox's start
	struct {
		uint32_t first, count; // the hart's part
	} share[MAILBOX_HARTS];
	uint64_t arrivals; // what `arrived` is when all that take part in the batch are there
	// the driver's
	uint64_t stage;    // 1: parked, waits for the first batch
	uint64_t tree;     // where the device tree is
	uint64_t arrived;  // harts that have begun the batch, over all batches
	uint64_t ticket;   // the next
	uint64_t done[MAILBOX_HARTS];     // the last batch that the hart has ended
	uint64_t progress[MAILBOX_HARTS]; // calls that it has begun, over all batches
};

_Static_assert(sizeof(struct call) == 56, "grading/guest/mailbox.py");
_Static_assert(offsetof(struct mailbox, hole) == 72 && offsetof(struct mailbox, go) == 584, "grading/guest/mailbox.py");
_Static_assert(offsetof(struct mailbox, stage) == 736 && offsetof(struct mailbox, done) == 768, "grading/guest/mailbox.py");
_Static_assert(offsetof(struct mailbox, progress) == 896 && sizeof(struct mailbox) <= 4096, "grading/guest/mailbox.py");

#define MAILBOX_SLOTS_AT 4096u
