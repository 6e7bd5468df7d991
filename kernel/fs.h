// fs.h: the file system as it lies on the disk; shared by the kernel, user programs, tools/mkfs.c and tools/fsck.c.
//
//   block 0      1            logstart                                  inodestart   bmapstart    bmapstart + bitmap blocks
//   [ unused | superblock |   log half 0       |   log half 1       |   inodes   |   bitmap   |   data ...                   ]
//                          [ header | copies ]  [ header | copies ]
//
// A block is 4096 bytes: one page. All numbers are little-endian. Included after kernel/types.h; the names that
// xv6's programs know (BSIZE, MAXFILE, struct dirent ...) are here, too, the format is Quire's own.
//
//   data block n of a file:  addrs[n]                                                     n < NDIRECT
//                            addrs[NDIRECT]     -> [ NINDIRECT numbers ]                  the next NINDIRECT
//                            addrs[NDIRECT + 1] -> [ numbers ] -> [ NINDIRECT numbers ]   the next NDOUBLE * NINDIRECT
#pragma once

#include "kernel/types.h"

#define ROOTINO     1    // the root directory's inode number; 0 means none
#define BLOCK_BYTES 4096 // in a block of the disk

struct superblock {
	uint magic;      // FSMAGIC
	uint size;       // blocks in the file system
	uint nblocks;    // data blocks
	uint ninodes;    // inodes, number 0 (never used) included
	uint nlog;       // log blocks, both halves with their headers
	uint logstart;   // first log block
	uint inodestart; // first inode block
	uint bmapstart;  // first bitmap block
};

#define FSMAGIC 0x51756972 // "Quir"

#define NDIRECT   11
#define NINDIRECT (BLOCK_BYTES / sizeof(uint))
#define NDOUBLE   2 // entries used of the double-indirect block
#define FILE_BLOCKS (NDIRECT + NINDIRECT + NDOUBLE * NINDIRECT) // of the largest file; fits on the disk: some programs fill one

// What xv6's programs reckon with: pieces of 1024 bytes, and how many of them the largest file has.
#define BSIZE   1024
#define MAXFILE (FILE_BLOCKS * (BLOCK_BYTES / BSIZE))

struct dinode {
	short type;              // T_DIR, T_FILE, T_DEVICE (kernel/stat.h); 0: free
	short major;             // T_DEVICE: which driver
	short minor;
	short nlink;             // directory entries that name it; 0: in use by open files only, reclaimed at the next mount
	uint size;               // bytes
	uint addrs[NDIRECT + 2]; // data blocks; 0: none
};

#define IPB          (BLOCK_BYTES / sizeof(struct dinode)) // inodes in a block
#define IBLOCK(i, sb) ((i) / IPB + (sb).inodestart)  // block that holds inode i
#define BPB          (BLOCK_BYTES * 8)               // bitmap bits in a block; 1: in use
#define BBLOCK(b, sb) ((b) / BPB + (sb).bmapstart)   // bitmap block that holds block b's bit
#define MAXBITMAP    16                              // bitmap blocks at most: a disk of up to 2 GiB

#define DIRSIZ 14 // a longer name is cut to its first 14 bytes

struct dirent { // a directory is a file of these
	ushort inum;       // 0: free entry
	char name[DIRSIZ]; // filled up with zeroes; no zero at the end when it is 14 bytes long
};

// The head of a log half. Transaction `sequence` uses half sequence % 2; at mount the valid header with the higher sequence is
// replayed: copy i, in the block after the header at i, goes to block[i].
#define LOG_MAGIC   0x676f4c51 // "QLog"
#define LOG_ENTRIES 1016       // the most copies in a half

struct log_header {
	uint magic;              // LOG_MAGIC
	uint count;              // copies that follow; 0: nothing to do
	uint64 sequence;         // of the transaction, from 1
	uint checksum;           // log_checksum of this header with 0 here
	uint reserved;
	uint block[LOG_ENTRIES]; // where each copy belongs
};

// FNV-1a over the header's words up to the last used entry.
static inline uint log_checksum(const struct log_header *header)
{
	uint sum = 2166136261u;
	const uint fields[] = { header->magic, header->count, (uint)header->sequence, (uint)(header->sequence >> 32) };
	for (uint i = 0; i < 4; i++)
		sum = (sum ^ fields[i]) * 16777619u;
	for (uint i = 0; i < header->count && i < LOG_ENTRIES; i++)
		sum = (sum ^ header->block[i]) * 16777619u;
	return sum;
}
