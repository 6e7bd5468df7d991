// inode.c: the table of inodes in use: one record in memory for each, found by number, gone with its last reference.
//
//	get --> [refs 1, not loaded] --lock--> [loaded] --drop, refs 0--> record freed
//	                                          | no name left and this is the last reference
//	                                          '--> blocks freed piece by piece, inode marked free on the disk
//
// The table is a hash over slab objects, so there is no limit but memory. An inode whose last name goes while it is open lives until the
// last drop; if the machine stops before that, the next mount finds it (type set, no links) and frees it.
//
//  I1  At most one record per number.
//  I2  refs counts descriptors, working directories, mappings and running calls; a record with refs 0 does not exist.
//  I3  Nobody can get a reference to an inode without names except from one that exists: names are looked up with the directory locked.
//
// Cost: a lookup is a hash probe. Weakness: an inode is read again from its (cached) block after nobody has used it for a moment.
#include "kernel/fs/inode.h"

#include "kernel/fs/journal.h"
#include "kernel/machine/string.h"
#include "kernel/stat.h"
#include "mm/slab.h"

#define SLOTS 64

static struct {
	struct lock lock; // guards slot, and in inodes what inode.h says
	struct inode *slot[SLOTS];
	struct kmem_cache *records;
	uint32_t free_hint; // where to begin to look for a free inode; a guess: not guarded, atomic
} table = { .lock = { .name = "inodes" } };

struct superblock super;
struct inode *root;

static void construct(void *record)
{
	memset(record, 0, sizeof(struct inode));
	((struct inode *)record)->source.ops = &inode_source_ops;
}

bool inode_init(void)
{
	table.records = kmem_cache_create("inode", sizeof(struct inode), 0, construct);
	table.free_hint = ROOTINO + 1;
	return table.records != NULL;
}

static struct inode *find_locked(uint32_t number)
{
	struct inode *in = table.slot[number % SLOTS];

	while (in && in->number != number)
		in = in->chain;
	if (in)
		in->refs++;
	return in;
}

struct inode *inode_get(uint32_t number)
{
	if (number == 0 || number >= super.ninodes)
		return NULL;
	lock_acquire(&table.lock);
	struct inode *in = find_locked(number);
	lock_release(&table.lock);
	if (in)
		return in;
	struct inode *fresh = kmem_cache_alloc(table.records);
	if (!fresh)
		return NULL;
	lock_acquire(&table.lock);
	in = find_locked(number); // someone may have been faster
	if (!in) {
		fresh->number = number;
		fresh->refs = 1;
		fresh->loaded = false;
		fresh->chain = table.slot[number % SLOTS];
		table.slot[number % SLOTS] = fresh;
	}
	lock_release(&table.lock);
	if (!in)
		return fresh;
	kmem_cache_free(table.records, fresh);
	return in;
}

struct inode *inode_share(struct inode *in)
{
	lock_acquire(&table.lock);
	in->refs++;
	lock_release(&table.lock);
	return in;
}

static struct dinode *record(struct buffer *b, uint32_t number)
{
	return (struct dinode *)buffer_data(b) + number % IPB;
}

static bool is_sound(const struct dinode *disk)
{
	return disk->type >= T_DIR && disk->type <= T_DEVICE && disk->size <= (uint64_t)FILE_BLOCKS * BLOCK_BYTES;
}

bool inode_lock(struct inode *in)
{
	sleep_lock_acquire(&in->lock);
	if (!in->loaded) {
		struct buffer *b = buffer_read((uint32_t)IBLOCK(in->number, super));
		if (b) {
			in->disk = *record(b, in->number);
			in->loaded = is_sound(&in->disk);
			buffer_release(b);
		}
	}
	if (!in->loaded)
		sleep_lock_release(&in->lock);
	return in->loaded;
}

void inode_unlock(struct inode *in)
{
	sleep_lock_release(&in->lock);
}

static bool write_record(uint32_t number, const struct dinode *content)
{
	struct buffer *b = buffer_read((uint32_t)IBLOCK(number, super));

	if (!b)
		return false;
	bool good = buffer_change(b);
	if (good)
		*record(b, number) = *content;
	buffer_release(b);
	return good;
}

bool inode_update(struct inode *in)
{
	return write_record(in->number, &in->disk);
}

// Marks a free inode among those of its block, from `number` on, as used. Returns its number, 0 when all are in use.
static uint32_t take_in_block(uint32_t number, short type)
{
	uint32_t end = (uint32_t)((number / IPB + 1) * IPB), found = 0;
	struct buffer *b = buffer_read((uint32_t)IBLOCK(number, super));

	if (!b)
		return 0;
	for (; !found && number < end && number < super.ninodes; number++)
		if (record(b, number)->type == 0 && number > ROOTINO)
			found = number;
	if (found && buffer_change(b))
		*record(b, found) = (struct dinode){ .type = type };
	else
		found = 0;
	buffer_release(b);
	return found;
}

static uint32_t take_free(short type)
{
	uint32_t start = __atomic_load_n(&table.free_hint, __ATOMIC_RELAXED);

	for (uint32_t looked = 0, at = start; looked <= super.ninodes / IPB + 1; looked++) {
		uint32_t found = take_in_block(at, type);
		if (found) {
			__atomic_store_n(&table.free_hint, found, __ATOMIC_RELAXED);
			return found;
		}
		at = (uint32_t)((at / IPB + 1) * IPB);
		if (at >= super.ninodes)
			at = ROOTINO + 1;
	}
	return 0;
}

// Makes the number free again, in memory and on the disk; op 1.
static void give_back(struct inode *in)
{
	in->disk = (struct dinode){ 0 };
	(void)inode_update(in);
	in->loaded = false;
	if (in->number < __atomic_load_n(&table.free_hint, __ATOMIC_RELAXED))
		__atomic_store_n(&table.free_hint, in->number, __ATOMIC_RELAXED);
}

struct inode *inode_create(short type, short major, short minor)
{
	uint32_t number = take_free(type);
	struct inode *in = number ? inode_get(number) : NULL;

	if (in && inode_lock(in)) {
		in->disk.major = major;
		in->disk.minor = minor;
		return in;
	}
	if (in)
		inode_drop(in); // not loaded: no operation of its own
	if (number)
		write_record(number, &(struct dinode){ 0 });
	return NULL;
}

// Frees blocks piece by piece, an operation each, and at the end the inode itself if asked. False: the disk failed.
static bool empty(struct inode *in, bool free_it)
{
	for (bool done = false; !done;) {
		if (!journal_begin(BLOCK_TRIM_OP))
			return false;
		bool locked = inode_lock(in);
		if (locked) {
			done = block_trim(in);
			if (done && free_it)
				give_back(in);
			inode_unlock(in);
		}
		journal_end(BLOCK_TRIM_OP);
		if (!locked)
			return false;
	}
	return true;
}

bool inode_truncate(struct inode *in)
{
	return empty(in, false);
}

void inode_drop(struct inode *in)
{
	lock_acquire(&table.lock);
	if (in->refs == 1 && in->loaded && in->disk.nlink == 0) { // I3: it stays so without the lock
		lock_release(&table.lock);
		(void)empty(in, true);
		lock_acquire(&table.lock);
	}
	if (--in->refs > 0) {
		lock_release(&table.lock);
		return;
	}
	struct inode **link = &table.slot[in->number % SLOTS];
	while (*link != in)
		link = &(*link)->chain;
	*link = in->chain;
	lock_release(&table.lock);
	kmem_cache_free(table.records, in);
}

// Collects the inodes of one block that have no name.
static unsigned orphans_in(uint32_t first, uint32_t found[IPB])
{
	unsigned count = 0;
	struct buffer *b = buffer_read((uint32_t)IBLOCK(first, super));

	for (uint32_t n = first; b && n < first + IPB && n < super.ninodes; n++)
		if (n > ROOTINO && record(b, n)->type != 0 && record(b, n)->nlink == 0)
			found[count++] = n;
	if (b)
		buffer_release(b);
	return count;
}

void inode_reclaim_orphans(void)
{
	uint32_t found[IPB];

	for (uint32_t first = 0; first < super.ninodes; first += IPB) {
		if (first / IPB % 16 == 0)
			buffer_prefetch((uint32_t)IBLOCK(first, super), 16);
		for (unsigned count = orphans_in(first, found); count > 0; count--) {
			struct inode *in = inode_get(found[count - 1]);
			if (in && inode_lock(in))
				inode_unlock(in);
			if (in)
				inode_drop(in);
		}
	}
}
