// file.c: open files: what descriptors point to, and how reads and writes find their way from there.
//
//	descriptor --.                        .--> pipe
//	descriptor ---+--> file [refs, offset] --> inode --> disk
//	(fork, dup)  -'                       '--> inode --> devices[major]
//
//  L1  A file exists while refs > 0; at most NFILE do.
//  L2  offset changes only with the inode locked, so each byte written through a shared offset gets its own place.
//
// A large read or write is done in pieces, each under one hold of the inode's lock and each write piece one operation of the journal: after
// a crash a write is there up to the end of some piece. User memory is touched before the lock, never under it.
// Weakness: a read beside a write may see some pieces of it only.
#include "kernel/fs/file.h"

#include "kernel/fcntl.h"
#include "kernel/fs/inode.h"
#include "kernel/fs/journal.h"
#include "kernel/fs/open.h"
#include "kernel/fs/pipe.h"
#include "kernel/param.h"
#include "kernel/process/process.h"
#include "kernel/stat.h"
#include "mm/slab.h"

#define READ_PIECE  (32u * BLOCK_BYTES)
#define WRITE_PIECE ((uint32_t)CONTENT_BLOCKS * BLOCK_BYTES)

struct file {
	unsigned refs; // files' lock
	bool readable, writable, appending;
	struct pipe *pipe;   // either this
	struct inode *inode; // or this
	uint64_t offset;     // inode's lock to set
};

static struct {
	struct lock lock; // guards count, and refs of each
	unsigned count;
	struct kmem_cache *records;
} files = { .lock = { .name = "files" } };

struct device devices[DEVICES];

bool file_init(void)
{
	files.records = kmem_cache_create("file", sizeof(struct file), 0, NULL);
	return files.records && pipe_init();
}

bool memory_touch(struct memory range, size_t bytes, bool for_writing)
{
	enum access access = for_writing ? ACCESS_WRITE : ACCESS_READ;

	return !range.user || space_touch(&process_current()->space, range.address, bytes, access) == SPACE_OK;
}

static bool count_file(void)
{
	lock_acquire(&files.lock);
	bool room = files.count < NFILE;
	files.count += room;
	lock_release(&files.lock);
	return room;
}

static void uncount_file(void)
{
	lock_acquire(&files.lock);
	files.count--;
	lock_release(&files.lock);
}

static struct file *create_file(struct file content)
{
	if (!files.records || !count_file())
		return NULL;
	struct file *file = kmem_cache_alloc(files.records);
	if (!file) {
		uncount_file();
		return NULL;
	}
	*file = content;
	file->refs = 1;
	return file;
}

struct file *file_share(struct file *file)
{
	lock_acquire(&files.lock);
	file->refs++;
	lock_release(&files.lock);
	return file;
}

void file_close(struct file *file)
{
	lock_acquire(&files.lock);
	bool last = --file->refs == 0;
	files.count -= last;
	lock_release(&files.lock);
	if (!last)
		return;
	if (file->pipe)
		pipe_close(file->pipe, file->writable);
	if (file->inode)
		inode_drop(file->inode);
	kmem_cache_free(files.records, file);
}

static struct device *device_of(const struct inode *in)
{
	bool exists = in->disk.type == T_DEVICE && in->disk.major >= 0 && in->disk.major < DEVICES;

	return exists ? &devices[in->disk.major] : NULL;
}

static uint64_t offset_now(const struct file *file) // others who share the file may move it on at any time
{
	return __atomic_load_n(&file->offset, __ATOMIC_RELAXED);
}

static void set_offset(struct file *file, uint64_t offset) // inode locked
{
	__atomic_store_n(&file->offset, offset, __ATOMIC_RELAXED);
}

// One piece of a read. Bytes; 0 at the end; -1.
static int read_piece(struct file *file, struct memory to, uint32_t bytes)
{
	uint64_t size = inode_size_now(file->inode), offset = offset_now(file); // without the lock: only an estimate of what to touch
	uint32_t there = offset < size ? (size - offset < bytes ? (uint32_t)(size - offset) : bytes) : 0;

	if (there == 0)
		return 0;
	if (!memory_touch(to, there, true) || !inode_lock(file->inode))
		return -1;
	int got = content_read(file->inode, to, file->offset, there);
	if (got > 0)
		set_offset(file, file->offset + (uint32_t)got);
	inode_unlock(file->inode);
	return got;
}

static int read_inode(struct file *file, struct memory to, int bytes)
{
	int done = 0, got = 0;

	do {
		uint32_t left = (uint32_t)(bytes - done), part = left < READ_PIECE ? left : READ_PIECE;
		got = read_piece(file, (struct memory){ to.user, to.address + (uint32_t)done }, part);
		done += got > 0 ? got : 0;
	} while (got > 0 && done < bytes);
	return got < 0 ? -1 : done;
}

int file_read(struct file *file, struct memory to, int bytes)
{
	if (!file->readable || bytes < 0)
		return -1;
	if (file->pipe)
		return pipe_read(file->pipe, to, bytes);
	if (file->inode->disk.type != T_DEVICE)
		return read_inode(file, to, bytes);
	struct device *device = device_of(file->inode);
	return device && device->read ? device->read(to, bytes) : -1;
}

// How many of the bytes can be read: all, or those in front of the first page that cannot.
static uint32_t readable(struct memory from, uint32_t bytes)
{
	uint32_t good = 0, part = PAGE_BYTES - (uint32_t)(from.address % PAGE_BYTES);

	if (memory_touch(from, bytes, false))
		return bytes;
	for (; part < bytes && memory_touch(from, part, false); part += PAGE_BYTES)
		good = part;
	return good;
}

// One piece of a write, an operation by itself. Bytes written; fewer when the disk is full or memory ends, as xv6 does it; -1.
static int write_piece(struct file *file, struct memory from, uint32_t bytes)
{
	int put = -1;

	bytes = readable(from, bytes);
	if (!bytes || !journal_begin(CONTENT_OP))
		return -1;
	if (inode_lock(file->inode)) {
		uint64_t offset = file->appending ? file->inode->disk.size : file->offset;
		put = content_write(file->inode, from, offset, bytes);
		set_offset(file, offset + (uint32_t)put);
		inode_unlock(file->inode);
	}
	journal_end(CONTENT_OP);
	return put;
}

static int write_inode(struct file *file, struct memory from, int bytes)
{
	int done = 0;

	while (done < bytes) {
		uint32_t most = WRITE_PIECE - (uint32_t)(offset_now(file) % BLOCK_BYTES), left = (uint32_t)(bytes - done);
		uint32_t part = left < most ? left : most;
		if (write_piece(file, (struct memory){ from.user, from.address + (uint32_t)done }, part) != (int)part)
			return -1;
		done += (int)part;
	}
	return done;
}

int file_write(struct file *file, struct memory from, int bytes)
{
	if (!file->writable || bytes < 0)
		return -1;
	if (file->pipe)
		return pipe_write(file->pipe, from, bytes);
	if (file->inode->disk.type != T_DEVICE)
		return write_inode(file, from, bytes);
	struct device *device = device_of(file->inode);
	return device && device->write ? device->write(from, bytes) : -1;
}

int file_stat(struct file *file, struct stat *out)
{
	struct inode *in = file->inode;

	if (!in || !inode_lock(in))
		return -1;
	*out = (struct stat){ .dev = ROOTDEV, .ino = in->number, .type = in->disk.type, .nlink = in->disk.nlink, .size = in->disk.size };
	inode_unlock(in);
	return 0;
}

struct source *file_source(struct file *file, bool shared, bool writable)
{
	struct inode *in = file->inode;

	if (!in || in->disk.type != T_FILE || !file->readable || (shared && writable && !file->writable))
		return NULL;
	return &inode_share(in)->source;
}

int file_pipe(struct file **read_end, struct file **write_end)
{
	struct pipe *pipe = pipe_create();

	if (!pipe)
		return -1;
	*read_end = create_file((struct file){ .readable = true, .pipe = pipe });
	*write_end = *read_end ? create_file((struct file){ .writable = true, .pipe = pipe }) : NULL;
	if (*write_end)
		return 0;
	if (*read_end)
		file_close(*read_end);
	else
		pipe_close(pipe, false);
	pipe_close(pipe, true);
	return -1;
}

// The inode that open is to use; NULL: there is none, or not for this.
static struct inode *open_inode(const char *path, int flags)
{
	struct inode *in = flags & O_CREATE ? create(path, T_FILE, 0, 0) : path_find(path);

	if (!in || !inode_lock(in)) {
		if (in)
			inode_drop(in);
		return NULL;
	}
	bool good = !(in->disk.type == T_DIR && flags != O_RDONLY) && !(in->disk.type == T_DEVICE && !device_of(in));
	bool cut = good && (flags & O_TRUNC) && in->disk.type == T_FILE;
	inode_unlock(in);
	if (good && (!cut || inode_truncate(in)))
		return in;
	inode_drop(in);
	return NULL;
}

struct file *file_open(const char *path, int flags)
{
	struct inode *in = open_inode(path, flags);

	if (!in)
		return NULL;
	struct file *file = create_file((struct file){ .readable = !(flags & O_WRONLY), .writable = flags & (O_WRONLY | O_RDWR),
						       .appending = flags & O_APPEND, .inode = in });
	if (!file)
		inode_drop(in);
	return file;
}
