// inode.h: files and directories in memory: the table of inodes in use, their blocks, their contents, and the names in directories.
//
// An inode that a function returns comes with a reference and unlocked. Where "op" is noted, the caller is inside an operation of the
// journal that has reserved at least that many blocks. Lock order: journal.h.
#pragma once

#include "kernel/fs.h"
#include "kernel/fs/buffer.h"
#include "kernel/fs/file.h"
#include "mm/space.h"

struct inode {
	uint32_t number;        // fixed
	unsigned refs;          // table's lock
	struct inode *chain;    // table's lock
	struct sleep_lock lock; // guards the rest
	bool loaded;
	struct dinode disk;     // as on the disk, or as it will be after inode_update
	struct source source;   // fixed; what a mapping of the file holds
};

// The size, for who has not locked the inode: an estimate. Those who have set it so that it is read in one piece.
static inline uint32_t inode_size_now(const struct inode *inode)
{
	return __atomic_load_n(&inode->disk.size, __ATOMIC_RELAXED);
}

static inline void inode_set_size(struct inode *inode, uint32_t bytes)
{
	__atomic_store_n(&inode->disk.size, bytes, __ATOMIC_RELAXED);
}

extern struct superblock super; // of the mounted disk
extern struct inode *root;      // NULL: nothing is mounted

// inode.c: the table.
bool inode_init(void) __attribute__((warn_unused_result));
struct inode *inode_get(uint32_t number) __attribute__((warn_unused_result)); // NULL: no memory, or no such number
struct inode *inode_share(struct inode *inode);
void inode_drop(struct inode *inode); // not inside an operation, no lock held: the last reference to a nameless file frees its blocks
// Locks; reads it from the disk when that has not been done. False, and not locked: unreadable, free or damaged.
bool inode_lock(struct inode *inode) __attribute__((warn_unused_result));
void inode_unlock(struct inode *inode);
bool inode_update(struct inode *inode); // locked; op 1
// A fresh inode without names, locked; op 1. NULL: none is free, or no memory. Its `disk` is not yet written.
struct inode *inode_create(short type, short major, short minor) __attribute__((warn_unused_result));
bool inode_truncate(struct inode *inode); // to no bytes, not locked, not inside an operation
void inode_reclaim_orphans(void);         // at mount: frees what lost its last name before a crash

// block.c: which disk block holds data block `index`; both with the inode locked.
uint32_t block_find(const struct inode *inode, uint32_t index); // 0: none
uint32_t block_ensure(struct inode *inode, uint32_t index);     // makes it, zeroed, when there is none; op BLOCK_OP; 0: disk full
// Frees blocks at the end, at most one indirect block's; op BLOCK_TRIM_OP. True: nothing is left, or the disk failed.
bool block_trim(struct inode *inode);
#define BLOCK_OP      (1 + 2 + 3)         // the block, indirect ones, a bitmap for each
#define BLOCK_TRIM_OP (1 + 1 + MAXBITMAP) // double-indirect block, inode, bitmaps

// content.c: bytes; both with the inode locked. The user's range has been touched.
int content_read(struct inode *inode, struct memory to, uint64_t offset, uint32_t bytes); // bytes read, fewer at the end; -1
// Bytes written; fewer when the disk is full. op CONTENT_OP when it is at most CONTENT_BLOCKS * BLOCK_BYTES bytes.
int content_write(struct inode *inode, struct memory from, uint64_t offset, uint32_t bytes);
#define CONTENT_BLOCKS 8
#define CONTENT_OP     (2 * (CONTENT_BLOCKS + 1 + 4) + 1) // they, cut at both ends, and four indirect ones, a bitmap for each, inode

// directory.c: names; the directory is locked.
struct name { // cut to DIRSIZ bytes and filled up with zeroes; laid out as struct dirent, without the number
	union {
		struct dirent entry;
		uint64_t word[2];
	};
};
uint32_t directory_find(struct inode *directory, const struct name *name, uint64_t *offset); // inode number, 0: none; offset may be NULL
bool directory_add(struct inode *directory, const struct name *name, uint32_t number);       // op DIRECTORY_OP
bool directory_clear(struct inode *directory, uint64_t offset);                              // op 1
bool directory_is_empty(struct inode *directory);                                            // but for . and ..
#define DIRECTORY_OP (BLOCK_OP + 1)

// path.c
struct inode *path_find(const char *path) __attribute__((warn_unused_result)); // NULL: there is none
// The directory that the last part of the path is to be in, and that part. NULL: there is none, or the path has no last part.
struct inode *path_parent(const char *path, struct name *last) __attribute__((warn_unused_result));

// create.c: what was there before, if it is such that open may use it, or a new file.
struct inode *create(const char *path, short type, short major, short minor) __attribute__((warn_unused_result));

extern const struct source_ops inode_source_ops; // source.c
