// buffer.c: the cache of disk blocks: a fixed pool of buffers, found by hash, replaced by age.
//
//	hash[block] -> buffer -> buffer ...               every buffer that holds a block
//	oldest <-> ... <-> newest                         those that nobody uses (users == 0)
//
//	              .--> the buffer's holder
//	page (refs) --+--> private mappings of the file (borrowed: a snapshot)
//	              '--> the commit that is being written
//
// Who changes a buffer whose page has other references gives it a fresh page first, so a commit goes on writing, and a private mapping
// goes on showing, what was there before: neither makes anyone wait. A pinned page (shared mapping) is the exception: it is everyone's.
//
//  B1  A block has at most one buffer.
//  B2  A buffer in the running transaction or the one being written, pinned or in use is not given to another block: what the disk does
//      not have yet stays in memory.
//  B3  A page with more references than the buffer's own is not written to, unless it is pinned.
//
// Cost: a hit is a hash probe and a sleep lock, about 150 instructions. Weakness: one lock for the whole cache; a scan of a large file
// drives out everything else.
#include "kernel/fs/buffer.h"

#include "kernel/device/virtio_blk.h"
#include "kernel/fs/journal.h"
#include "kernel/machine/string.h"
#include "mm/heap.h"
#include "mm/page.h"

#define POOL_MIN   256
#define POOL_MAX   8192
#define POOL_SHARE 16 // the pool gets one page out of so many
#define PIN_SHARE  4  // one buffer out of so many may be pinned
#define PREFETCH   32 // blocks at a time

static struct {
	struct lock lock; // guards all below, and in buffers what buffer.h says
	size_t count, pinned;
	uint32_t blocks;  // on the disk
	uint32_t mask;    // of the hash
	struct buffer **hash;
	struct buffer unused; // head of the ring: unused.newer is the oldest buffer
	struct wait_queue room;
	unsigned waiters;
} cache = { .lock = { .name = "cache" } };

static void list_remove(struct buffer *b)
{
	b->older->newer = b->newer;
	b->newer->older = b->older;
}

static void list_add_newest(struct buffer *b)
{
	b->newer = &cache.unused;
	b->older = cache.unused.older;
	b->older->newer = b;
	cache.unused.older = b;
}

bool buffer_init(uint32_t disk_blocks)
{
	size_t count = page_total_count() / POOL_SHARE;

	count = count < POOL_MIN ? POOL_MIN : count > POOL_MAX ? POOL_MAX : count;
	uint32_t slots = POOL_MIN;
	while (slots < count)
		slots *= 2;
	cache.hash = kzalloc(slots * sizeof *cache.hash);
	struct buffer *pool = kzalloc(count * sizeof *pool);
	if (!cache.hash || !pool)
		return false;
	cache.mask = slots - 1;
	cache.blocks = disk_blocks;
	cache.unused.older = cache.unused.newer = &cache.unused;
	for (size_t i = 0; i < count; i++) {
		pool[i].page = page_alloc(0, PAGE_KERNEL);
		if (pa_is_none(pool[i].page))
			break;
		list_add_newest(&pool[i]);
		cache.count++;
	}
	return cache.count >= POOL_MIN;
}

size_t buffer_count(void)
{
	return cache.count;
}

size_t buffer_cached(void)
{
	size_t cached = 0;

	lock_acquire(&cache.lock);
	for (uint32_t i = 0; cache.hash && i <= cache.mask; i++)
		for (struct buffer *b = cache.hash[i]; b; b = b->chain)
			cached++;
	lock_release(&cache.lock);
	return cached;
}

static struct buffer **slot_of(uint32_t block)
{
	return &cache.hash[block & cache.mask];
}

static struct buffer *find(uint32_t block)
{
	struct buffer *b = *slot_of(block);

	while (b && b->block != block)
		b = b->chain;
	return b;
}

static void use(struct buffer *b)
{
	if (b->users++ == 0)
		list_remove(b);
}

static bool is_needed(const struct buffer *b) // B2
{
	return b->pins > 0 || __atomic_load_n(&b->joined, __ATOMIC_ACQUIRE) || __atomic_load_n(&b->committing, __ATOMIC_ACQUIRE);
}

// The buffer to give to another block: the oldest that may go, preferably one whose page nobody else looks at.
static struct buffer *victim(void)
{
	struct buffer *shared = NULL;

	for (struct buffer *b = cache.unused.newer; b != &cache.unused; b = b->newer) {
		if (is_needed(b))
			continue;
		if (!pa_is_none(b->page) && page_refs(b->page) == 1)
			return b;
		if (!shared)
			shared = b;
	}
	return shared;
}

static void give(struct buffer *b, uint32_t block)
{
	if (b->block != 0) {
		struct buffer **link = slot_of(b->block);
		while (*link != b)
			link = &(*link)->chain;
		*link = b->chain;
	}
	b->block = block;
	b->valid = false;
	b->chain = *slot_of(block);
	*slot_of(block) = b;
	use(b);
}

// The block's buffer, in use by the caller too, not locked. NULL: there is no such block.
static struct buffer *get(uint32_t block)
{
	if (block == 0 || block >= cache.blocks)
		return NULL;
	lock_acquire(&cache.lock);
	struct buffer *b;
	while (!(b = find(block))) {
		b = victim();
		if (b) {
			give(b, block);
			lock_release(&cache.lock);
			return b;
		}
		cache.waiters++;
		sched_sleep_steadily(&cache.room, &cache.lock);
		cache.waiters--;
	}
	use(b);
	lock_release(&cache.lock);
	return b;
}

static void wake_waiters(void) // cache.lock is held
{
	if (cache.waiters > 0)
		sched_wakeup(&cache.room);
}

static void unuse(struct buffer *b)
{
	lock_acquire(&cache.lock);
	if (--b->users == 0) {
		list_add_newest(b);
		wake_waiters();
	}
	lock_release(&cache.lock);
}

void buffer_release(struct buffer *b)
{
	sleep_lock_release(&b->lock);
	unuse(b);
}

void buffer_committed(void)
{
	lock_acquire(&cache.lock);
	wake_waiters();
	lock_release(&cache.lock);
}

static bool is_shared(const struct buffer *b)
{
	return pa_is_none(b->page) || page_refs(b->page) > 1;
}

// Gives the locked buffer a page of its own (B3). False when there is no memory for it.
static bool separate(struct buffer *b, bool copy)
{
	while (b->pins == 0 && is_shared(b)) {
		pa_t fresh = page_alloc(0, PAGE_ATOMIC); // what is to be written to disk may use the reserve
		if (!pa_is_none(fresh)) {
			if (copy)
				memcpy(pa_pointer(fresh), buffer_data(b), PAGE_BYTES);
			if (!pa_is_none(b->page))
				page_free(b->page);
			b->page = fresh;
		} else if (__atomic_load_n(&b->committing, __ATOMIC_ACQUIRE) && !journal_has_failed()) {
			journal_wait_commit(); // it will drop its reference
		} else {
			return false;
		}
	}
	return true;
}

struct buffer *buffer_read(uint32_t block)
{
	struct buffer *b = get(block);

	if (!b)
		return NULL;
	sleep_lock_acquire(&b->lock);
	if (!b->valid)
		b->valid = separate(b, false) && disk_transfer(DISK_READ, block, b->page);
	if (b->valid)
		return b;
	buffer_release(b);
	return NULL;
}

struct buffer *buffer_overwrite(uint32_t block)
{
	struct buffer *b = get(block);

	if (!b)
		return NULL;
	sleep_lock_acquire(&b->lock);
	b->valid = separate(b, false) && journal_join(b);
	if (b->valid)
		return b;
	buffer_release(b);
	return NULL;
}

struct buffer *buffer_zeroed(uint32_t block)
{
	struct buffer *b = buffer_overwrite(block);

	if (b)
		memset(buffer_data(b), 0, PAGE_BYTES);
	return b;
}

bool buffer_change(struct buffer *b)
{
	return separate(b, true) && journal_join(b);
}

static void count_pinned(int change)
{
	lock_acquire(&cache.lock);
	cache.pinned += (size_t)change;
	lock_release(&cache.lock);
}

// The mappings keep the page; the buffer, whose block is free now, gets another.
static void detach(struct buffer *b)
{
	page_free(b->page); // not the last reference: each pin has one
	b->page = page_alloc(0, PAGE_ATOMIC); // PA_NONE will do: the next user tries again
	b->pins = 0;
	count_pinned(-1);
}

void buffer_forget(uint32_t block)
{
	lock_acquire(&cache.lock);
	struct buffer *b = find(block);
	if (b)
		use(b);
	lock_release(&cache.lock);
	if (!b)
		return;
	sleep_lock_acquire(&b->lock);
	journal_leave(b);
	if (b->pins > 0)
		detach(b);
	b->valid = false;
	buffer_release(b);
}

// A buffer for a block that has none, locked; NULL when it has one or none can be had at once.
static struct buffer *claim(uint32_t block)
{
	lock_acquire(&cache.lock);
	struct buffer *b = find(block) ? NULL : victim();
	if (b)
		give(b, block);
	lock_release(&cache.lock);
	if (!b)
		return NULL;
	sleep_lock_acquire(&b->lock);
	if (!b->valid && separate(b, false))
		return b;
	buffer_release(b);
	return NULL;
}

bool buffer_is_cached(uint32_t block)
{
	lock_acquire(&cache.lock);
	bool cached = find(block) != NULL;
	lock_release(&cache.lock);
	return cached;
}

void buffer_prefetch(uint32_t block, uint32_t count)
{
	struct buffer *claimed[PREFETCH];
	pa_t pages[PREFETCH];
	uint32_t got = 0;

	while (got < count && got < PREFETCH && block + got < cache.blocks && (claimed[got] = claim(block + got))) {
		pages[got] = claimed[got]->page;
		got++;
	}
	if (got == 0)
		return;
	struct disk_request request = { .kind = DISK_READ, .block = block, .count = got, .pages = pages };
	disk_start(&request);
	bool good = disk_wait(&request);
	for (uint32_t i = 0; i < got; i++) {
		claimed[i]->valid = good;
		buffer_release(claimed[i]);
	}
}

pa_t buffer_borrow(struct buffer *b)
{
	page_share(b->page);
	return b->page;
}

pa_t buffer_pin(struct buffer *b)
{
	if (b->pins == 0) {
		if (__atomic_load_n(&cache.pinned, __ATOMIC_RELAXED) >= cache.count / PIN_SHARE || !separate(b, true))
			return PA_NONE;
		count_pinned(1);
	}
	b->pins++;
	return buffer_borrow(b);
}

void buffer_unpin(struct buffer *b)
{
	if (--b->pins == 0)
		count_pinned(-1);
}
