// mount.c: the file system's start and end, and the working directories of processes.
//
//	disk -> superblock believed only after its numbers fit together -> cache -> journal replayed -> root -> orphans freed
//
// When anything is wrong with the disk, the console says what, nothing is mounted, and every call that names a path fails.
#include "kernel/device/virtio_blk.h"
#include "kernel/fs/inode.h"
#include "kernel/fs/journal.h"
#include "kernel/fs/open.h"
#include "kernel/machine/print.h"
#include "kernel/stat.h"
#include "mm/page.h"

// What is wrong with a superblock on a disk of so many blocks; NULL: nothing. The areas must follow each other in the order of kernel/fs.h.
static const char *judge(const struct superblock *sb, uint64_t blocks)
{
	uint64_t bitmaps = ((uint64_t)sb->size + BPB - 1) / BPB;

	if (sb->magic != FSMAGIC)
		return "block 1 is not a superblock: make the disk with mkfs";
	if (sb->size > blocks)
		return "it is larger than the disk";
	if (bitmaps > MAXBITMAP || sb->ninodes > 65536 || sb->ninodes <= ROOTINO)
		return "it is larger than this kernel can use";
	if (sb->logstart < 2 || sb->nlog < 4 || sb->nlog > sb->size || sb->inodestart < (uint64_t)sb->logstart + sb->nlog)
		return "its log is out of place";
	if (sb->bmapstart < sb->inodestart + (sb->ninodes + IPB - 1) / IPB || sb->bmapstart + bitmaps > sb->size)
		return "its inodes or its bitmap are out of place";
	return NULL;
}

// Reads the superblock, before there is a cache. NULL, or what is wrong.
static const char *read_superblock(void)
{
	pa_t page = page_alloc(0, PAGE_KERNEL);

	if (pa_is_none(page))
		return "no memory";
	bool good = disk_blocks() > 1 && disk_transfer(DISK_READ, 1, page);
	super = *(struct superblock *)pa_pointer(page);
	page_free(page);
	return good ? judge(&super, disk_blocks()) : "the disk cannot be read";
}

static const char *mount(void)
{
	if (!file_init() || !inode_init())
		return "no memory";
	if (!disk_init())
		return "no disk";
	const char *trouble = read_superblock();
	if (trouble)
		return trouble;
	if (!buffer_init(super.size))
		return "no memory for the cache of blocks";
	if (!journal_init(&super))
		return "the journal is not usable";
	struct inode *in = inode_get(ROOTINO);
	if (!in || !inode_lock(in))
		return "it has no root directory";
	if (in->disk.type != T_DIR)
		trouble = "its root is not a directory";
	inode_unlock(in);
	if (trouble)
		inode_drop(in);
	else
		root = in;
	return trouble;
}

void fs_start(void)
{
	const char *trouble = mount();

	if (trouble) {
		kprintf("fs: cannot mount the disk: %s\n", trouble);
		return;
	}
	inode_reclaim_orphans();
	boot_print("fs: %u blocks of 4 KiB, %u inodes, %zu buffers\n", super.size, super.ninodes, buffer_count());
}

bool fs_sync(void)
{
	if (!root || journal_sync())
		return true;
	kprintf("fs: not all is on the disk: the disk failed\n");
	return false;
}

struct inode *fs_directory(const char *path)
{
	struct inode *in = path_find(path);

	if (!in)
		return NULL;
	bool good = inode_lock(in);
	if (good) {
		good = in->disk.type == T_DIR;
		inode_unlock(in);
	}
	if (good)
		return in;
	inode_drop(in);
	return NULL;
}

struct inode *fs_share(struct inode *in)
{
	return in ? inode_share(in) : NULL;
}

void fs_drop(struct inode *in)
{
	if (in)
		inode_drop(in);
}
