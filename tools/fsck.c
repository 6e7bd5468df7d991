// fsck.c: checks a disk image from outside: is the file system in it whole? Runs on the host, changes nothing.
//
//   fsck IMAGE      exit status 0: whole; 1: faults, one line each; 2: the image cannot be read
//
// It first does in memory what the kernel would do at mount (replays the committed transaction that the log holds), then checks:
//  - superblock: its areas follow each other and lie on the disk;
//  - every inode: type, size and tree agree: each block up to the size is there, none behind it, all of them data blocks, none used twice;
//  - bitmap: a bit is set exactly for the tables and the blocks that some inode names;
//  - directories: `.` and `..` first and right, each name filled up with zeroes, well-formed and there once, each number a used inode;
//  - links: nlink is the number of names; each directory is in exactly one place of one tree.
// An inode without names (unlinked while open when the machine stopped) is no fault: the next mount frees it.
//
// The crash tests include this file with FSCK_LIBRARY set and call fsck_check themselves.
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/fs.h"
#ifndef T_DIR
#define stat quire_stat // the host has one of its own
#include "kernel/stat.h"
#undef stat
#endif

struct fsck {
	unsigned char *image; // replayed in place: a private copy
	uint64_t blocks;
	bool quiet;
	unsigned faults, replayed, files, directories, orphans;
	const struct superblock *super;
	uint *owner;    // of each block: the inode that names it; 0: none
	uint *names;    // of each inode: directory entries other than . and ..
	uint *parents;  // of each directory: where its name is
	uint *children; // of each directory: directories in it
};

static void fault(struct fsck *check, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void fault(struct fsck *check, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	if (!check->quiet && check->faults < 100) {
		printf("fault: ");
		vprintf(format, arguments);
		printf("\n");
	}
	check->faults++;
	va_end(arguments);
}

static void *fsck_block(const struct fsck *check, uint64_t number)
{
	return check->image + number * BLOCK_BYTES;
}

static struct dinode *fsck_inode(const struct fsck *check, uint number)
{
	return (struct dinode *)fsck_block(check, IBLOCK(number, *check->super)) + number % IPB;
}

static uint first_data(const struct fsck *check)
{
	return check->super->bmapstart + (check->super->size + BPB - 1) / BPB;
}

static bool check_superblock(struct fsck *check)
{
	const struct superblock *sb = check->super;
	uint64_t bitmaps = ((uint64_t)sb->size + BPB - 1) / BPB;

	if (sb->magic != FSMAGIC)
		fault(check, "superblock: magic number is 0x%x, not 0x%x", sb->magic, FSMAGIC);
	else if (sb->size > check->blocks)
		fault(check, "superblock: %u blocks, but the image has only %llu", sb->size, (unsigned long long)check->blocks);
	else if (bitmaps > MAXBITMAP || sb->ninodes > 65536 || sb->ninodes <= ROOTINO)
		fault(check, "superblock: %u blocks or %u inodes: too many or too few", sb->size, sb->ninodes);
	else if (sb->logstart < 2 || sb->nlog < 4 || sb->nlog > sb->size || sb->inodestart < (uint64_t)sb->logstart + sb->nlog)
		fault(check, "superblock: the log (%u blocks from %u) is out of place", sb->nlog, sb->logstart);
	else if (sb->bmapstart < sb->inodestart + (sb->ninodes + IPB - 1) / IPB || sb->bmapstart + bitmaps > sb->size)
		fault(check, "superblock: inodes or bitmap are out of place");
	else if (first_data(check) + sb->nblocks != sb->size)
		fault(check, "superblock: %u data blocks, but there is room for %u", sb->nblocks, sb->size - first_data(check));
	return check->faults == 0;
}

static const struct log_header *valid_header(const struct fsck *check, uint half)
{
	const struct superblock *sb = check->super;
	const struct log_header *h = fsck_block(check, sb->logstart + half * (sb->nlog / 2));

	if (h->magic != LOG_MAGIC || h->count > LOG_ENTRIES || h->count >= sb->nlog / 2 || h->sequence % 2 != half ||
	    h->checksum != log_checksum(h))
		return NULL;
	for (uint i = 0; i < h->count; i++)
		if (h->block[i] < sb->inodestart || h->block[i] >= sb->size)
			return NULL;
	return h;
}

static void replay(struct fsck *check)
{
	const struct log_header *even = valid_header(check, 0), *odd = valid_header(check, 1);
	const struct log_header *last = even && odd ? (even->sequence > odd->sequence ? even : odd) : even ? even : odd;

	for (uint i = 0; last && i < last->count; i++)
		memcpy(fsck_block(check, last->block[i]), (const unsigned char *)last + (size_t)(i + 1) * BLOCK_BYTES, BLOCK_BYTES);
	check->replayed = last ? last->count : 0;
}

// Enters the block as the inode's. False when it cannot be: it is not followed then.
static bool claim(struct fsck *check, uint number, uint in, const char *what)
{
	if (number < first_data(check) || number >= check->super->size) {
		fault(check, "inode %u: %s is block %u, which is not a data block", in, what, number);
		return false;
	}
	if (check->owner[number]) {
		fault(check, "block %u: used by inode %u and, as %s, by inode %u", number, check->owner[number], what, in);
		return false;
	}
	check->owner[number] = in;
	return true;
}

static void check_data(struct fsck *check, uint in, uint index, uint number)
{
	uint blocks = (uint)(((uint64_t)fsck_inode(check, in)->size + BLOCK_BYTES - 1) / BLOCK_BYTES);

	if (number == 0 && index < blocks)
		fault(check, "inode %u: its block %u of %u is missing", in, index, blocks);
	if (number != 0 && index >= blocks)
		fault(check, "inode %u: has block %u behind its end (%u)", in, index, blocks);
	if (number != 0)
		claim(check, number, in, "data");
}

static void check_leaf(struct fsck *check, uint in, uint first, uint leaf)
{
	static const uint none[NINDIRECT];
	bool good = leaf != 0 && claim(check, leaf, in, "indirect block");
	const uint *numbers = good ? fsck_block(check, leaf) : none;

	for (uint i = 0; i < NINDIRECT && (leaf == 0 || good); i++)
		check_data(check, in, first + i, numbers[i]);
}

static void check_tree(struct fsck *check, uint in)
{
	const struct dinode *d = fsck_inode(check, in);
	uint outer = d->addrs[NDIRECT + 1];

	for (uint i = 0; i < NDIRECT; i++)
		check_data(check, in, i, d->addrs[i]);
	check_leaf(check, in, NDIRECT, d->addrs[NDIRECT]);
	if (outer != 0 && !claim(check, outer, in, "double-indirect block"))
		return;
	const uint *leaves = outer ? fsck_block(check, outer) : NULL;
	for (uint i = 0; i < NDOUBLE; i++)
		check_leaf(check, in, (uint)(NDIRECT + NINDIRECT + i * NINDIRECT), leaves ? leaves[i] : 0);
	for (uint i = NDOUBLE; leaves && i < NINDIRECT; i++)
		if (leaves[i])
			fault(check, "inode %u: entry %u of its double-indirect block is in use", in, i);
}

static void check_inode(struct fsck *check, uint in)
{
	const struct dinode *d = fsck_inode(check, in);

	if (d->type == 0)
		return;
	if (d->type != T_DIR && d->type != T_FILE && d->type != T_DEVICE)
		fault(check, "inode %u: type %d is unknown", in, d->type);
	if (d->type == T_DEVICE && d->size != 0)
		fault(check, "inode %u: a device with %u bytes", in, d->size);
	if (d->type == T_DIR && d->size % sizeof(struct dirent) != 0)
		fault(check, "inode %u: a directory of %u bytes", in, d->size);
	if (d->size > (uint64_t)FILE_BLOCKS * BLOCK_BYTES)
		fault(check, "inode %u: %u bytes are more than a file can have", in, d->size);
	else
		check_tree(check, in);
	check->orphans += d->nlink == 0;
	check->files += d->type != T_DIR;
	check->directories += d->type == T_DIR;
}

static void check_bitmap(struct fsck *check)
{
	for (uint number = 0; number < check->super->size; number++) {
		const unsigned char *bits = fsck_block(check, BBLOCK(number, *check->super));
		bool set = bits[number % BPB / 8] >> number % 8 & 1, used = number < first_data(check) || check->owner[number];
		if (set && !used)
			fault(check, "block %u: marked as used, but nothing names it", number);
		if (!set && used)
			fault(check, "block %u: in use by inode %u, but marked as free", number, check->owner[number]);
	}
}

// Block `index` of a file whose tree is sound; NULL otherwise.
static unsigned char *content_block(const struct fsck *check, const struct dinode *d, uint index)
{
	uint number, size = check->super->size;

	if (index < NDIRECT) {
		number = d->addrs[index];
	} else if ((index -= NDIRECT) < NINDIRECT) {
		number = d->addrs[NDIRECT] < size ? ((uint *)fsck_block(check, d->addrs[NDIRECT]))[index] : 0;
	} else {
		index -= NINDIRECT;
		uint leaf = d->addrs[NDIRECT + 1] < size ? ((uint *)fsck_block(check, d->addrs[NDIRECT + 1]))[index / NINDIRECT] : 0;
		number = leaf && leaf < size ? ((uint *)fsck_block(check, leaf))[index % NINDIRECT] : 0;
	}
	return number && number < size ? fsck_block(check, number) : NULL;
}

static const struct dirent *entry_at(const struct fsck *check, uint directory, uint index)
{
	uint at = index * (uint)sizeof(struct dirent);
	unsigned char *block = content_block(check, fsck_inode(check, directory), at / BLOCK_BYTES);

	return block ? (const struct dirent *)(block + at % BLOCK_BYTES) : NULL;
}

static void check_name(struct fsck *check, uint directory, uint index, const struct dirent *e)
{
	size_t length = strnlen(e->name, DIRSIZ);

	if (length == 0 || memchr(e->name, '/', length))
		fault(check, "directory %u: entry %u has an impossible name", directory, index);
	for (size_t i = length; i < DIRSIZ; i++)
		if (e->name[i] != 0)
			fault(check, "directory %u: name \"%.*s\" is not filled up with zeroes", directory, DIRSIZ, e->name);
	for (uint i = 0; i < index; i++) {
		const struct dirent *other = entry_at(check, directory, i);
		if (other && other->inum && strncmp(other->name, e->name, DIRSIZ) == 0)
			fault(check, "directory %u: name \"%.*s\" is there twice", directory, DIRSIZ, e->name);
	}
}

static void check_entry(struct fsck *check, uint directory, uint index, const struct dirent *e)
{
	const char *dots[] = { ".", ".." };

	if (index < 2 && (e->inum == 0 || strncmp(e->name, dots[index], DIRSIZ) != 0))
		fault(check, "directory %u: entry %u is not `%s`", directory, index, dots[index]);
	if (e->inum == 0)
		return;
	check_name(check, directory, index, e);
	if (e->inum >= check->super->ninodes || fsck_inode(check, e->inum)->type == 0) {
		fault(check, "directory %u: \"%.*s\" is inode %u, which is %s", directory, DIRSIZ, e->name, e->inum,
		      e->inum >= check->super->ninodes ? "none" : "free");
		return;
	}
	if (index == 0 && e->inum != directory)
		fault(check, "directory %u: its `.` is inode %u", directory, e->inum);
	if (index < 2)
		return;
	check->names[e->inum]++;
	if (fsck_inode(check, e->inum)->type == T_DIR) {
		if (check->parents[e->inum])
			fault(check, "directory %u: has a name in directory %u and in %u", e->inum, check->parents[e->inum], directory);
		check->parents[e->inum] = directory;
		check->children[directory]++;
	}
}

static void check_directory(struct fsck *check, uint directory)
{
	const struct dinode *d = fsck_inode(check, directory);
	uint count = d->size / (uint)sizeof(struct dirent);

	if (d->nlink == 0)
		return; // removed: empty, or to be freed
	if (count < 2)
		fault(check, "directory %u: has no `.` and `..`", directory);
	for (uint i = 0; i < count; i++) {
		const struct dirent *e = entry_at(check, directory, i);
		if (e)
			check_entry(check, directory, i, e);
	}
}

static void check_links(struct fsck *check, uint in)
{
	const struct dinode *d = fsck_inode(check, in);
	bool directory = d->type == T_DIR;
	uint expected = (in == ROOTINO ? 1 : check->names[in]) + (directory ? check->children[in] : 0);

	if (d->type == 0)
		return;
	if (d->nlink < 0 || (uint)d->nlink != expected)
		fault(check, "inode %u: %d links, but %u names lead to it", in, d->nlink, expected);
	if (!directory || d->nlink == 0)
		return;
	const struct dirent *up = entry_at(check, in, 1);
	uint parent = in == ROOTINO ? ROOTINO : check->parents[in], steps = 0;
	if (up && up->inum != parent)
		fault(check, "directory %u: its `..` is inode %u, but it is in %u", in, up->inum, parent);
	for (uint at = in; at != ROOTINO; at = check->parents[at])
		if (at == 0 || ++steps > check->super->ninodes) {
			fault(check, "directory %u: does not hang under the root", in);
			break;
		}
}

// Number of faults found. `image` is replayed in place.
static unsigned fsck_check(struct fsck *check)
{
	check->super = fsck_block(check, 1);
	if (check->blocks < 2) {
		fault(check, "the image is shorter than two blocks");
		return check->faults;
	}
	if (!check_superblock(check))
		return check->faults;
	uint inodes = check->super->ninodes;
	check->owner = calloc(check->super->size, sizeof(uint));
	check->names = calloc(3 * (size_t)inodes, sizeof(uint));
	if (!check->owner || !check->names) {
		fprintf(stderr, "fsck: no memory\n");
		exit(2);
	}
	check->parents = check->names + inodes;
	check->children = check->parents + inodes;
	replay(check);
	for (uint in = ROOTINO; in < inodes; in++)
		check_inode(check, in);
	check_bitmap(check);
	if (fsck_inode(check, ROOTINO)->type != T_DIR)
		fault(check, "inode %u: the root is not a directory", ROOTINO);
	for (uint in = ROOTINO; in < inodes; in++)
		if (fsck_inode(check, in)->type == T_DIR)
			check_directory(check, in);
	for (uint in = ROOTINO; in < inodes; in++)
		check_links(check, in);
	free(check->owner);
	free(check->names);
	return check->faults;
}

#ifndef FSCK_LIBRARY
static unsigned char *load(const char *path, uint64_t *blocks)
{
	FILE *file = fopen(path, "rb");
	if (!file || fseek(file, 0, SEEK_END) != 0) {
		perror(path);
		exit(2);
	}
	long bytes = ftell(file);
	rewind(file);
	unsigned char *image = bytes >= 0 ? calloc(1, (size_t)bytes + BLOCK_BYTES) : NULL;
	if (!image || fread(image, 1, (size_t)bytes, file) != (size_t)bytes) {
		fprintf(stderr, "fsck: %s: cannot be read\n", path);
		exit(2);
	}
	fclose(file);
	*blocks = (uint64_t)bytes / BLOCK_BYTES;
	return image;
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: fsck IMAGE\n");
		return 2;
	}
	struct fsck check = { 0 };
	check.image = load(argv[1], &check.blocks);
	if (fsck_check(&check) > 0) {
		printf("fsck: %s: %u faults\n", argv[1], check.faults);
		return 1;
	}
	printf("fsck: %s: whole: %u files, %u directories, %u without a name; %u blocks replayed\n", argv[1], check.files,
	       check.directories, check.orphans, check.replayed);
	free(check.image);
	return 0;
}
#endif
