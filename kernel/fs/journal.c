// journal.c: whole operations or nothing: changed blocks gather in a transaction, which is committed as one.
//
//	operations  -- buffer_change --> running transaction            (memory)
//	                                      | commit: closed, its pages shared, not copied
//	                                      v
//	                     1. copies into one half of the log         (one stream of writes)
//	                     2. flush, header, flush                    <- from here on it has happened
//	                     3. each block to its place                 (sorted, neighbours in one request)
//
//	time ->   [ T1 gathers ][ T2 gathers        ][ T3 gathers ...
//	                        [ T1: 1, 2, 3      ] [ T2: 1, 2, 3 ]
//
// The halves take turns. T2's step 1 leaves T1's half alone, and T2's first flush puts T1's step 3 on the medium before T2's header is
// written. So at any moment one replay repairs everything: that of the valid header with the highest sequence number. No header is
// ever cleared on the way; only a sync leaves an empty one, which spares the next mount the replay.
//
// File contents are journalled like everything else. A block that is freed may therefore be used again at once: its new contents come into
// force together with, or after, the freeing.
//
//  J1  A block that was changed reaches its place only after the transaction with the change is committed.
//  J2  A transaction holds whole operations: it is closed when none is open, and none opens while it is being closed.
//  J3  count + what open operations have reserved <= capacity: a transaction always fits into its half of the log.
//  J4  The header of transaction n is written when n's copies and all blocks of n - 1 in their places are on the medium.
//
// A commit starts when the log is half full, when someone waits for it, or a second after the first change. Cost: an operation that changes
// a block again costs no I/O; each block is written twice per commit. Weakness: twice is twice; one commit at a time.
// Source: S. Tweedie, Journaling the Linux ext2fs Filesystem, LinuxExpo 1998 (compound transactions, checkpointing).
#include "kernel/fs/journal.h"

#include "kernel/device/virtio_blk.h"
#include "kernel/machine/print.h"
#include "kernel/machine/string.h"
#include "mm/heap.h"
#include "mm/page.h"

#define IN_FLIGHT    16 // requests at a time
#define BUFFER_SHARE 4  // the running transaction may hold one buffer out of so many

static struct {
	struct lock lock;  // guards all down to the queues
	uint32_t count;    // blocks in the running transaction
	uint32_t reserved; // by open operations
	uint32_t open;     // operations
	uint32_t capacity;
	bool closing;      // a commit waits for open == 0
	bool wanted;       // someone asks for a commit
	bool retire;       // and for an empty header after it
	bool empty;        // the last header is such a one: a mount has nothing to replay
	bool failed;
	uint64_t sequence; // number that the next header gets
	uint64_t epoch;    // transactions closed so far, empty ones included
	uint64_t finished; // of those, how many are in place
	struct buffer *running[LOG_ENTRIES];
	struct wait_queue work, room, quiet, done, dirty;

	uint32_t start, half, disk_blocks, first_home; // set at mount
	struct buffer *writing[LOG_ENTRIES]; // the committer's own from here on
	pa_t pages[LOG_ENTRIES];
	uint32_t homes[LOG_ENTRIES];
	pa_t header_page;
} journal = { .lock = { .name = "journal" } };

static struct log_header *header(void)
{
	return pa_pointer(journal.header_page);
}

static uint32_t half_start(uint64_t sequence)
{
	return journal.start + (uint32_t)(sequence % 2) * journal.half;
}

static void want_commit(void) // journal.lock is held
{
	journal.wanted = true;
	sched_wakeup(&journal.work);
}

bool journal_has_failed(void)
{
	return __atomic_load_n(&journal.failed, __ATOMIC_ACQUIRE);
}

bool journal_begin(unsigned blocks)
{
	lock_acquire(&journal.lock);
	while (!journal.failed && (journal.closing || journal.count + journal.reserved + blocks > journal.capacity)) {
		if (!journal.closing && journal.count > 0)
			want_commit();
		sched_sleep_steadily(&journal.room, &journal.lock);
	}
	bool good = !journal.failed;
	if (good) {
		journal.reserved += blocks;
		journal.open++;
	}
	lock_release(&journal.lock);
	return good;
}

void journal_end(unsigned blocks)
{
	lock_acquire(&journal.lock);
	journal.reserved -= blocks;
	journal.open--;
	if (journal.count >= journal.capacity / 2 && !journal.wanted)
		want_commit();
	if (journal.closing && journal.open == 0)
		sched_wakeup(&journal.quiet);
	else if (journal.room.first) // who sleeps there came in under journal.lock
		sched_wakeup(&journal.room);
	lock_release(&journal.lock);
}

bool journal_join(struct buffer *b)
{
	if (b->joined) // only its holder, inside an operation, could change that
		return true;
	lock_acquire(&journal.lock);
	bool good = !journal.failed && journal.count < journal.capacity;
	if (good) {
		if (journal.count == 0)
			sched_wakeup(&journal.dirty);
		b->slot = journal.count;
		journal.running[journal.count++] = b;
		__atomic_store_n(&b->joined, true, __ATOMIC_RELEASE);
	}
	lock_release(&journal.lock);
	return good;
}

void journal_leave(struct buffer *b)
{
	lock_acquire(&journal.lock);
	if (b->joined) {
		struct buffer *last = journal.running[--journal.count];
		journal.running[b->slot] = last;
		last->slot = b->slot;
		__atomic_store_n(&b->joined, false, __ATOMIC_RELEASE);
	}
	lock_release(&journal.lock);
}

// Sorts buffers by block number: Shell's sort, with halved gaps.
static void sort(struct buffer **list, uint32_t count)
{
	for (uint32_t gap = count / 2; gap > 0; gap /= 2)
		for (uint32_t i = gap; i < count; i++) {
			struct buffer *b = list[i];
			uint32_t at = i;
			for (; at >= gap && list[at - gap]->block > b->block; at -= gap)
				list[at] = list[at - gap];
			list[at] = b;
		}
}

// Transfers `count` pages, the i-th to or from block home[i], or from block `first` on when home is NULL; neighbours share a request.
static bool transfer(enum disk_kind kind, const uint32_t *home, uint32_t first, const pa_t *pages, uint32_t count)
{
	struct disk_request requests[IN_FLIGHT];
	uint32_t started = 0, waited = 0, at = 0;
	bool good = true;

	while (at < count || waited < started) {
		if (at == count || started - waited == IN_FLIGHT) {
			good &= disk_wait(&requests[waited++ % IN_FLIGHT]);
			continue;
		}
		uint32_t block = home ? home[at] : first + at, run = 1;
		while (at + run < count && run < DISK_REQUEST_PAGES && (!home || home[at + run] == block + run))
			run++;
		struct disk_request *request = &requests[started++ % IN_FLIGHT];
		*request = (struct disk_request){ .kind = kind, .block = block, .count = run, .pages = pages + at };
		disk_start(request);
		at += run;
	}
	return good;
}

// Writes a header that names the first `count` of journal.homes into the sequence's half, between two flushes.
static bool write_header(uint64_t sequence, uint32_t count)
{
	struct log_header *h = header();

	memset(h, 0, PAGE_BYTES);
	h->magic = LOG_MAGIC;
	h->count = count;
	h->sequence = sequence;
	memcpy(h->block, journal.homes, count * sizeof h->block[0]);
	h->checksum = log_checksum(h);
	return disk_flush() && disk_transfer(DISK_WRITE, half_start(sequence), journal.header_page) && disk_flush();
}

// What a commit writes.
struct batch {
	uint32_t count;    // blocks
	uint64_t sequence; // of the transaction's header, then of the empty one
	bool retire;       // leave an empty header
};

// Closes the running transaction (J2) and takes its buffers, sorted, with their pages as they are now.
static struct batch close_transaction(void)
{
	lock_acquire(&journal.lock);
	journal.closing = true;
	while (journal.open > 0)
		sched_sleep_steadily(&journal.quiet, &journal.lock);
	struct batch batch = { journal.count, journal.sequence, journal.retire };
	memcpy(journal.writing, journal.running, batch.count * sizeof journal.running[0]);
	sort(journal.writing, batch.count);
	for (uint32_t i = 0; i < batch.count; i++) {
		struct buffer *b = journal.writing[i];
		page_share(b->page);
		journal.pages[i] = b->page;
		journal.homes[i] = b->block;
		__atomic_store_n(&b->committing, true, __ATOMIC_RELEASE); // first: one of the two is always seen
		__atomic_store_n(&b->joined, false, __ATOMIC_RELEASE);
	}
	batch.retire = batch.retire && (batch.count > 0 || !journal.empty);
	journal.sequence += (batch.count > 0) + batch.retire;
	journal.empty = batch.retire || (journal.empty && batch.count == 0);
	journal.count = 0;
	journal.epoch++;
	journal.closing = journal.wanted = journal.retire = false;
	sched_wakeup(&journal.room);
	lock_release(&journal.lock);
	return batch;
}

// After success the buffers are like the disk. After a failure they stay as they are: the only good copy.
static void finish(uint32_t count, bool good)
{
	if (!good)
		kprintf("journal: the disk failed; the file system is read-only from now on\n");
	lock_acquire(&journal.lock);
	for (uint32_t i = 0; i < count; i++) {
		page_free(journal.pages[i]);
		if (good)
			__atomic_store_n(&journal.writing[i]->committing, false, __ATOMIC_RELEASE);
	}
	journal.finished = journal.epoch;
	if (!good)
		__atomic_store_n(&journal.failed, true, __ATOMIC_RELEASE);
	sched_wakeup(&journal.done);
	sched_wakeup(&journal.room);
	lock_release(&journal.lock);
	buffer_committed();
}

static void commit(void)
{
	struct batch batch = close_transaction();
	bool good = true;

	if (batch.count > 0)
		good = transfer(DISK_WRITE, NULL, half_start(batch.sequence) + 1, journal.pages, batch.count) &&
		       write_header(batch.sequence++, batch.count) && transfer(DISK_WRITE, journal.homes, 0, journal.pages, batch.count);
	if (good && batch.retire)
		good = write_header(batch.sequence, 0);
	finish(batch.count, good);
}

// The kernel thread that commits.
static void committer(void *argument)
{
	(void)argument;
	for (;;) {
		lock_acquire(&journal.lock);
		while (!journal.wanted || journal.failed)
			sched_sleep_steadily(&journal.work, &journal.lock);
		lock_release(&journal.lock);
		commit();
	}
}

// The kernel thread that asks for a commit a second after something has changed.
static void clock(void *argument)
{
	(void)argument;
	for (;;) {
		lock_acquire(&journal.lock);
		while (journal.count == 0 || journal.failed)
			sched_sleep_steadily(&journal.dirty, &journal.lock);
		lock_release(&journal.lock);
		sched_sleep_ticks(10);
		lock_acquire(&journal.lock);
		if (journal.count > 0 && !journal.wanted)
			want_commit();
		lock_release(&journal.lock);
	}
}

static bool wait_finished(uint64_t epoch) // journal.lock is held
{
	while (journal.finished < epoch && !journal.failed)
		sched_sleep_steadily(&journal.done, &journal.lock);
	return !journal.failed;
}

void journal_wait_commit(void)
{
	lock_acquire(&journal.lock);
	(void)wait_finished(journal.epoch);
	lock_release(&journal.lock);
}

bool journal_sync(void)
{
	bool good = true;

	lock_acquire(&journal.lock);
	if (journal.count > 0 || journal.open > 0 || journal.finished < journal.epoch || !journal.empty) {
		journal.retire = true;
		want_commit();
		good = wait_finished(journal.epoch + 1);
	}
	lock_release(&journal.lock);
	return good;
}

// The sequence number of the valid header in this half, which then is in header(); 0: there is none. *read: false when the disk failed.
static uint64_t read_header(uint32_t half, bool *read)
{
	struct log_header *h = header();

	*read = disk_transfer(DISK_READ, half_start(half), journal.header_page);
	if (!*read || h->magic != LOG_MAGIC || h->count > LOG_ENTRIES || h->count >= journal.half || h->sequence % 2 != half ||
	    h->checksum != log_checksum(h))
		return 0;
	for (uint32_t i = 0; i < h->count; i++)
		if (h->block[i] < journal.first_home || h->block[i] >= journal.disk_blocks)
			return 0;
	return h->sequence;
}

// Copies what header() names to its places, some pages at a time.
static bool replay(uint64_t sequence)
{
	uint32_t count = header()->count, had = 0;
	bool good = true;

	memcpy(journal.homes, header()->block, count * sizeof journal.homes[0]);
	while (had < DISK_REQUEST_PAGES && !pa_is_none(journal.pages[had] = page_alloc(0, PAGE_KERNEL)))
		had++;
	for (uint32_t at = 0; good && at < count; at += had) {
		uint32_t part = count - at < had ? count - at : had;
		good = had > 0 && transfer(DISK_READ, NULL, half_start(sequence) + 1 + at, journal.pages, part) &&
		       transfer(DISK_WRITE, journal.homes + at, 0, journal.pages, part);
	}
	while (had > 0)
		page_free(journal.pages[--had]);
	return good && disk_flush();
}

static bool recover(void)
{
	bool read;
	uint64_t even = read_header(0, &read);
	if (!read)
		return false;
	uint64_t odd = read_header(1, &read);
	if (!read)
		return false;
	uint64_t last = even > odd ? even : odd;
	journal.sequence = last + 1;
	journal.empty = last == 0;
	if (last == 0)
		return true;
	if (last == even && read_header(0, &read) != even)
		return false;
	journal.empty = header()->count == 0;
	return journal.empty || replay(last);
}

bool journal_init(const struct superblock *super)
{
	journal.start = super->logstart;
	journal.half = super->nlog / 2;
	journal.disk_blocks = super->size;
	journal.first_home = super->inodestart;
	uint32_t capacity = journal.half - 1 < LOG_ENTRIES ? journal.half - 1 : LOG_ENTRIES;
	journal.capacity = buffer_count() / BUFFER_SHARE < capacity ? (uint32_t)buffer_count() / BUFFER_SHARE : capacity;
	journal.header_page = page_alloc(0, PAGE_KERNEL);
	if (journal.capacity < JOURNAL_OPERATION) {
		kprintf("journal: the log is too small\n");
		return false;
	}
	if (pa_is_none(journal.header_page) || !recover()) {
		kprintf("journal: the log cannot be replayed: no memory, or the disk failed\n");
		return false;
	}
	return kernel_thread("commit", committer, NULL) && kernel_thread("commit-clock", clock, NULL);
}
