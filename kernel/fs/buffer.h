// buffer.h: the cache of disk blocks in memory. Each block has at most one buffer, and each buffer's contents fill one page.
//
//	struct buffer *b = buffer_read(block);   // locked
//	if (b && buffer_change(b))               // inside an operation of the journal
//		... write through buffer_data(b) ...
//	buffer_release(b);
#pragma once

#include "kernel/process/sched.h"
#include "mm/addr.h"

struct buffer {
	struct sleep_lock lock; // guards `page`, `valid` and the contents
	uint32_t block;         // 0: none yet; cache.lock, and fixed while users > 0
	uint32_t users;         // cache.lock: holders of a pointer to it
	uint32_t pins;          // lock: shared mappings of the page
	uint32_t slot;          // journal.lock: place in the running transaction
	bool valid;             // the contents are those of the block
	bool joined;            // journal.lock: belongs to the running transaction
	bool committing;        // journal.lock: belongs to the one that is being written
	pa_t page;              // PA_NONE when there was no memory for one
	struct buffer *chain;   // cache.lock: next with the same hash
	struct buffer *older, *newer; // cache.lock: in the list of unused ones
};

bool buffer_init(uint32_t disk_blocks) __attribute__((warn_unused_result)); // false: no memory
size_t buffer_count(void);  // buffers in the pool
size_t buffer_cached(void); // of those, how many hold a block

// The buffer of a block, locked, with its contents read. NULL: beyond the disk, unreadable, or no memory.
struct buffer *buffer_read(uint32_t block) __attribute__((warn_unused_result));
// The same without reading, filled with zeroes and changed already. NULL: beyond the disk, no memory, or the journal has failed.
struct buffer *buffer_zeroed(uint32_t block) __attribute__((warn_unused_result));
// As buffer_zeroed, but what it contains is undefined: the caller overwrites all of it.
struct buffer *buffer_overwrite(uint32_t block) __attribute__((warn_unused_result));
void buffer_release(struct buffer *buffer);

// Makes the locked buffer one that may be written, as part of the running transaction: the contents get a page of their own first when
// others look at the present one. False: no memory, or the journal has failed. Metadata never meets a lack of memory here.
bool buffer_change(struct buffer *buffer) __attribute__((warn_unused_result));

// The block has been freed: what the cache and the running transaction hold of it is of no use any more.
void buffer_forget(uint32_t block);
// Reads `count` blocks in a row into the cache, as far as they are not there. For speed only.
void buffer_prefetch(uint32_t block, uint32_t count);
bool buffer_is_cached(uint32_t block); // or on its way in

// The page of the locked buffer, with a reference for the caller. borrow: a snapshot. pin: the page stays the block's until buffer_unpin;
// PA_NONE when too many are pinned or there is no memory.
pa_t buffer_borrow(struct buffer *buffer);
pa_t buffer_pin(struct buffer *buffer);
void buffer_unpin(struct buffer *buffer); // the caller drops its reference to the page itself

void buffer_committed(void); // the journal calls it when transactions are out, or have failed: wakes who waits for a buffer

static inline void *buffer_data(const struct buffer *buffer)
{
	return pa_pointer(buffer->page);
}
