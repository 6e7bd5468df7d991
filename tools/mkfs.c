// mkfs.c: makes a disk image with Quire's file system and the given files in its root directory. Runs on the host.
//
//   mkfs IMAGE SIZE_BLOCKS FILE...
//
// build/_cat, build/user/cat.elf and cat all become /cat: directories, a leading `_` and the extension are left out. The image is laid
// out as kernel/fs.h draws it and is built in memory; blocks of zeroes become holes in the file. On failure no image is left behind.
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "kernel/fs.h"
#define stat quire_stat // the host has one of its own
#include "kernel/stat.h"
#undef stat

_Static_assert(sizeof(struct dinode) == 64 && BLOCK_BYTES % sizeof(struct dinode) == 0, "an inode must not cross blocks");
_Static_assert(sizeof(struct dirent) == 16, "a directory entry is 16 bytes");
_Static_assert(sizeof(struct log_header) <= BLOCK_BYTES, "a log header is one block");

#define LOG_MIN   82   // blocks: two halves of a header and 40 copies, enough for the largest single operation
#define LOG_MAX   1024 // blocks
#define INODE_MIN 192
#define INODE_MAX 65536 // a directory entry holds 16 bits

static struct superblock super;
static unsigned char *image;
static uint next_block, next_inode = ROOTINO;

static _Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
static _Noreturn void fail(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	fputs("mkfs: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
	exit(1);
}

static void *block(uint number)
{
	return image + (size_t)number * BLOCK_BYTES;
}

static struct dinode *inode(uint number)
{
	return (struct dinode *)block(IBLOCK(number, super)) + number % IPB;
}

static uint clamp(uint value, uint low, uint high)
{
	return value < low ? low : value > high ? high : value;
}

static void lay_out(uint size)
{
	uint bitmap = (size + BPB - 1) / BPB;
	if (bitmap > MAXBITMAP)
		fail("%u blocks are too many: at most %u", size, (uint)(MAXBITMAP * BPB));
	super.magic = FSMAGIC;
	super.size = size;
	super.nlog = clamp(size / 8, LOG_MIN, LOG_MAX) & ~1u;
	super.ninodes = (clamp(size / 8, INODE_MIN, INODE_MAX) + IPB - 1) / IPB * IPB;
	super.logstart = 2;
	super.inodestart = super.logstart + super.nlog;
	super.bmapstart = super.inodestart + super.ninodes / IPB;
	next_block = super.bmapstart + bitmap;
	if (next_block + 2 > size)
		fail("%u blocks are too few: the tables alone need %u", size, next_block + 2);
	super.nblocks = size - next_block;
	image = calloc(size, BLOCK_BYTES);
	if (!image)
		fail("no memory for an image of %u blocks", size);
	memcpy(block(1), &super, sizeof super);
}

static uint take_block(void)
{
	if (next_block == super.size)
		fail("the files do not fit into %u blocks of %u bytes", super.size, (uint)BLOCK_BYTES);
	return next_block++;
}

static uint take_inode(short type)
{
	if (next_inode == super.ninodes)
		fail("more files than inodes (%u)", super.ninodes);
	inode(next_inode)->type = type;
	inode(next_inode)->nlink = 1;
	return next_inode++;
}

// Follows one number, making the block that it should name.
static uint ensure(uint *number)
{
	if (*number == 0)
		*number = take_block();
	return *number;
}

// Where data block `index` of the inode lies.
static unsigned char *data_block(struct dinode *in, uint index)
{
	if (index < NDIRECT)
		return block(ensure(&in->addrs[index]));
	index -= NDIRECT;
	if (index < NINDIRECT)
		return block(ensure((uint *)block(ensure(&in->addrs[NDIRECT])) + index));
	index -= NINDIRECT;
	uint *outer = (uint *)block(ensure(&in->addrs[NDIRECT + 1])) + index / NINDIRECT;
	return block(ensure((uint *)block(ensure(outer)) + index % NINDIRECT));
}

static void append(uint number, const void *bytes, size_t count)
{
	struct dinode *in = inode(number);
	for (const unsigned char *from = bytes; count > 0;) {
		uint at = in->size % BLOCK_BYTES;
		size_t part = BLOCK_BYTES - at < count ? BLOCK_BYTES - at : count;
		if (in->size / BLOCK_BYTES >= FILE_BLOCKS)
			fail("a file is longer than %lu bytes", (unsigned long)FILE_BLOCKS * BLOCK_BYTES);
		memcpy(data_block(in, in->size / BLOCK_BYTES) + at, from, part);
		in->size += (uint)part;
		from += part;
		count -= part;
	}
}

static void append_entry(uint directory, const char *name, uint number)
{
	struct dirent entry = { .inum = (ushort)number };
	memcpy(entry.name, name, strlen(name));
	append(directory, &entry, sizeof entry);
}

// The name in the root directory that the file gets.
static const char *root_name(const char *path, char name[DIRSIZ + 1])
{
	const char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	base += *base == '_';
	size_t length = strlen(base);
	const char *dot = strrchr(base, '.');
	if (dot && dot != base)
		length = (size_t)(dot - base);
	if (length == 0 || length > DIRSIZ)
		fail("%s: its name on the disk would be %zu bytes long; 1 to %d are allowed", path, length, DIRSIZ);
	memcpy(name, base, length);
	name[length] = 0;
	return name;
}

static void require_new(uint directory, const char *name, const char *path)
{
	for (uint at = 0; at < inode(directory)->size; at += sizeof(struct dirent)) {
		struct dirent *entry = (struct dirent *)(data_block(inode(directory), at / BLOCK_BYTES) + at % BLOCK_BYTES);
		if (strncmp(entry->name, name, DIRSIZ) == 0)
			fail("%s: two files would be named /%s", path, name);
	}
}

static void add_file(const char *path)
{
	char name[DIRSIZ + 1];
	require_new(ROOTINO, root_name(path, name), path);
	FILE *file = fopen(path, "rb");
	if (!file)
		fail("%s: %s", path, strerror(errno));
	uint number = take_inode(T_FILE);
	append_entry(ROOTINO, name, number);
	static unsigned char bytes[64 * BLOCK_BYTES];
	for (size_t count; (count = fread(bytes, 1, sizeof bytes, file)) > 0;)
		append(number, bytes, count);
	if (ferror(file))
		fail("%s: %s", path, strerror(errno));
	fclose(file);
}

static void write_bitmap(void)
{
	for (uint number = 0; number < next_block; number++)
		((unsigned char *)block(BBLOCK(number, super)))[number % BPB / 8] |= (unsigned char)(1 << number % 8);
}

static bool is_zero(const unsigned char *bytes)
{
	return bytes[0] == 0 && memcmp(bytes, bytes + 1, BLOCK_BYTES - 1) == 0;
}

static void write_image(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
	if (fd < 0)
		fail("%s: %s", path, strerror(errno));
	bool good = ftruncate(fd, (off_t)super.size * BLOCK_BYTES) == 0;
	for (uint number = 0; good && number < super.size; number++)
		if (!is_zero(block(number)))
			good = pwrite(fd, block(number), BLOCK_BYTES, (off_t)number * BLOCK_BYTES) == BLOCK_BYTES;
	if (close(fd) != 0 || !good) {
		int error = errno;
		unlink(path);
		fail("%s: %s", path, strerror(error));
	}
}

int main(int argc, char **argv)
{
	char *end = NULL;
	unsigned long size = argc >= 3 ? strtoul(argv[2], &end, 10) : 0;
	if (argc < 3 || *end || end == argv[2] || size == 0 || size > (unsigned long)MAXBITMAP * BPB) {
		fprintf(stderr, "usage: mkfs IMAGE SIZE_BLOCKS FILE...\n       a block is %u bytes; at most %u blocks\n", (uint)BLOCK_BYTES,
			(uint)(MAXBITMAP * BPB));
		return 2;
	}
	lay_out((uint)size);
	take_inode(T_DIR);
	append_entry(ROOTINO, ".", ROOTINO);
	append_entry(ROOTINO, "..", ROOTINO);
	for (int i = 3; i < argc; i++)
		add_file(argv[i]);
	write_bitmap();
	write_image(argv[1]);
	return 0;
}
