// source.c: a file behind an area of memory: what page faults, exec and mmap see of it.
//
//	private area:  borrow ---> the cached page itself, as a snapshot: who changes the block afterwards does so in a fresh page
//	shared area:   pin ------> the cached page itself, kept the block's: writes through the mapping are the file's at once
//	               unpin ----> if it was written: joined to the journal's running transaction
//
// Contents that a shared mapping changed reach the disk after the unpin (munmap, exit). If the file was cut short meanwhile, the page is
// the mapping's alone and the changes go with it.
#include "kernel/fs/inode.h"
#include "kernel/fs/journal.h"
#include "kernel/machine/string.h"
#include "kernel/stat.h"
#include "mm/page.h"

static struct inode *inode_of(struct source *source)
{
	return (struct inode *)((char *)source - offsetof(struct inode, source));
}

static void get(struct source *source)
{
	inode_share(inode_of(source));
}

static void put(struct source *source)
{
	inode_drop(inode_of(source));
}

static bool read(struct source *source, uint64_t offset, void *to, size_t bytes)
{
	struct inode *in = inode_of(source);
	int got = -1;

	if (bytes > INT32_MAX || !inode_lock(in))
		return false;
	got = content_read(in, (struct memory){ false, (uint64_t)(uintptr_t)to }, offset, (uint32_t)bytes);
	inode_unlock(in);
	if (got >= 0)
		memset((char *)to + got, 0, bytes - (size_t)got);
	return got >= 0;
}

// The locked buffer of the file's block at `offset`; NULL behind the end.
static struct buffer *buffer_at(struct inode *in, uint64_t offset)
{
	uint32_t number = offset < in->disk.size ? block_find(in, (uint32_t)(offset / BLOCK_BYTES)) : 0;

	return number ? buffer_read(number) : NULL;
}

static pa_t page_at(struct source *source, uint64_t offset, pa_t (*reference)(struct buffer *))
{
	struct inode *in = inode_of(source);
	pa_t page = PA_NONE;

	if (!inode_lock(in))
		return PA_NONE;
	struct buffer *b = buffer_at(in, offset);
	if (b) {
		page = reference(b);
		buffer_release(b);
	}
	inode_unlock(in);
	return page;
}

static pa_t borrow(struct source *source, uint64_t offset)
{
	return page_at(source, offset, buffer_borrow);
}

static pa_t pin(struct source *source, uint64_t offset)
{
	return page_at(source, offset, buffer_pin);
}

// What the mapping wrote behind the end of the file is not the file's.
static void clear_tail(const struct inode *in, uint64_t offset, struct buffer *b)
{
	uint64_t end = in->disk.size - offset;

	if (end < BLOCK_BYTES)
		memset((char *)buffer_data(b) + end, 0, BLOCK_BYTES - end);
}

static void let_go(struct inode *in, uint64_t offset, pa_t page, bool dirty)
{
	struct buffer *b = buffer_at(in, offset);

	if (b && b->pins > 0 && b->page.raw == page.raw) {
		if (dirty && buffer_change(b))
			clear_tail(in, offset, b);
		buffer_unpin(b);
	}
	if (b)
		buffer_release(b);
}

static void unpin(struct source *source, uint64_t offset, pa_t page, bool dirty)
{
	struct inode *in = inode_of(source);
	bool begun = dirty && journal_begin(1);

	if (inode_lock(in)) {
		let_go(in, offset, page, begun);
		inode_unlock(in);
	}
	if (begun)
		journal_end(1);
	page_free(page);
}

const struct source_ops inode_source_ops = { .get = get, .put = put, .read = read, .borrow = borrow, .pin = pin, .unpin = unpin };

struct source *fs_program(const char *path, uint64_t *bytes)
{
	struct inode *in = path_find(path);

	if (!in)
		return NULL;
	bool good = inode_lock(in);
	if (good) {
		good = in->disk.type == T_FILE;
		*bytes = in->disk.size;
		inode_unlock(in);
	}
	if (good)
		return &in->source;
	inode_drop(in);
	return NULL;
}
