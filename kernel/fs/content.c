// content.c: the bytes of files: moved block by block between the cache and whoever asked.
//
//	offset                          offset + bytes
//	   |  first part |  whole  |  whole  | last part |        each part: find the block, lock its buffer, one copy
//
// A block that is overwritten as a whole is not read first. A read that misses the cache fetches what follows on the disk in the same
// request. The blocks of a file end where its size says, and what lies behind the size in the last block is zero.
//
// Cost: 300 to 400 instructions a block above the copy. Weakness: the tree of block numbers is walked for each block anew.
#include "kernel/fs/inode.h"
#include "kernel/fs/journal.h"
#include "kernel/machine/string.h"

#define READ_AHEAD 16 // blocks

// What of a range falls into one block.
struct part {
	uint32_t index, start, bytes; // which block, where in it, how much
};

static struct part part_at(uint64_t offset, uint32_t bytes)
{
	struct part part = { (uint32_t)(offset / BLOCK_BYTES), (uint32_t)(offset % BLOCK_BYTES), 0 };

	part.bytes = BLOCK_BYTES - part.start < bytes ? BLOCK_BYTES - part.start : bytes;
	return part;
}

// Reads block `number` and, in the same request, those that follow it both in the file and on the disk.
static void fetch(struct inode *in, uint32_t index, uint32_t number)
{
	uint32_t blocks = (in->disk.size + BLOCK_BYTES - 1) / BLOCK_BYTES, run = 1;

	while (run < READ_AHEAD && index + run < blocks && block_find(in, index + run) == number + run)
		run++;
	buffer_prefetch(number, run);
}

int content_read(struct inode *in, struct memory to, uint64_t offset, uint32_t bytes)
{
	if (offset >= in->disk.size)
		return 0;
	if (bytes > in->disk.size - offset)
		bytes = (uint32_t)(in->disk.size - offset);
	for (uint32_t done = 0; done < bytes;) {
		struct part part = part_at(offset + done, bytes - done);
		uint32_t number = block_find(in, part.index);
		if (!buffer_is_cached(number))
			fetch(in, part.index, number);
		struct buffer *b = buffer_read(number);
		if (!b)
			return -1;
		struct memory here = { to.user, to.address + done };
		bool good = memory_put(here, (char *)buffer_data(b) + part.start, part.bytes);
		buffer_release(b);
		if (!good)
			return -1;
		done += part.bytes;
	}
	return (int)bytes;
}

static bool write_part(struct inode *in, struct memory from, struct part part)
{
	uint32_t number = block_ensure(in, part.index);
	bool whole = part.bytes == BLOCK_BYTES;

	if (number == 0)
		return false;
	struct buffer *b = whole ? buffer_overwrite(number) : buffer_read(number);
	if (!b)
		return false;
	bool good = whole || buffer_change(b);
	if (good && !memory_get((char *)buffer_data(b) + part.start, from, part.bytes)) {
		memset((char *)buffer_data(b) + part.start, 0, part.bytes); // some of it may be another file's
		good = false;
	}
	buffer_release(b);
	return good;
}

int content_write(struct inode *in, struct memory from, uint64_t offset, uint32_t bytes)
{
	uint32_t done = 0;

	if (offset > in->disk.size || offset + bytes > (uint64_t)FILE_BLOCKS * BLOCK_BYTES)
		return 0;
	while (done < bytes) {
		struct part part = part_at(offset + done, bytes - done);
		if (!write_part(in, (struct memory){ from.user, from.address + done }, part))
			break;
		done += part.bytes;
	}
	if (offset + done > in->disk.size)
		inode_set_size(in, (uint32_t)(offset + done));
	return inode_update(in) ? (int)done : 0; // always: the tree may have grown even if nothing was written
}
