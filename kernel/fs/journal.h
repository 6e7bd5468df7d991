// journal.h: operations on the disk that happen as a whole or not at all, whenever the power goes.
//
// Lock order in the file system, first to last; nothing waits for an earlier one while it holds a later one:
//
//   1. journal_begin      an operation's reservation (waits for a commit to make room)
//   2. inode->lock        a directory before what it contains; otherwise one at a time
//   3. buffer->lock       indirect block before data block; data, inode and bitmap blocks one at a time
//   4. journal.lock, cache.lock, inode table's lock, pipe->lock, disk's lock (spinlocks; none inside another, except that
//      cache.lock is the innermost), then the scheduler's own
//
// A user's page fault may come in anywhere that user memory is touched and takes 2 and 3: so user memory is made present before 1
// (memory_touch), and copies under a lock do not fault.
#pragma once

#include "kernel/fs/buffer.h"
#include "kernel/fs.h"

// Replays what a power cut left behind. False: the log is out of bounds or the disk failed; the console says so.
bool journal_init(const struct superblock *super) __attribute__((warn_unused_result));

// Brackets an operation that changes at most `blocks` different blocks (1 .. JOURNAL_OPERATION). Sleeps while the log is full.
// begin: false when the journal has failed: the disk is read-only from then on.
bool journal_begin(unsigned blocks) __attribute__((warn_unused_result));
void journal_end(unsigned blocks);
#define JOURNAL_OPERATION 36

// Adds the locked buffer to the running transaction / takes it out again.
bool journal_join(struct buffer *buffer) __attribute__((warn_unused_result));
void journal_leave(struct buffer *buffer);

// Returns when everything that was changed before this call is in its place on the disk. False: the disk failed.
bool journal_sync(void);
// Waits until the transaction that is being written, if any, is out.
void journal_wait_commit(void);
bool journal_has_failed(void);
