// virtio_blk.h: the disk: reads and writes of whole blocks, many at a time, scattered over any pages.
//
//	struct disk_request r = { .kind = DISK_READ, .block = 7, .count = 2, .pages = pages };
//	disk_start(&r);          // several may be under way
//	if (!disk_wait(&r)) ...  // the device reported an error
//
// The request and its pages belong to the disk between the two calls.
#pragma once

#include "kernel/process/sched.h"
#include "mm/addr.h"

#define DISK_REQUEST_PAGES 64 // the most blocks in one request

enum disk_kind { DISK_READ, DISK_WRITE, DISK_FLUSH };

struct disk_request {
	enum disk_kind kind;
	uint32_t block;    // first one, in units of 4096 bytes
	uint32_t count;    // blocks, 1 .. DISK_REQUEST_PAGES; not used by DISK_FLUSH
	const pa_t *pages; // one for each block
	bool done, failed; // disk's lock; filled in by the disk
	struct wait_queue waiting;
};

bool disk_init(void) __attribute__((warn_unused_result)); // false: there is no usable disk, and the console says why
uint64_t disk_blocks(void);                               // how many there are
void disk_start(struct disk_request *request);            // sleeps while the device's queue is full
bool disk_wait(struct disk_request *request) __attribute__((warn_unused_result)); // false: it failed; sleeps until it is done

// Everything that was written before this call is on the medium when it returns true. At once when the device has no cache.
bool disk_flush(void) __attribute__((warn_unused_result));

// One block, start to end.
bool disk_transfer(enum disk_kind kind, uint32_t block, pa_t page) __attribute__((warn_unused_result));
