// block.c: which disk blocks a file has: the bitmap of free ones, and the tree of block numbers under an inode.
//
//	addrs[0..10] -> data
//	addrs[11]    -> [ leaf: 1024 numbers ] -> data
//	addrs[12]    -> [ outer: NDOUBLE numbers used ] -> [ leaf: 1024 numbers ] -> data
//
//  K1  A block's bit is set exactly when it is a table of the file system or one inode's tree names it, once.
//  K2  A number is entered in a tree only after its block has been zeroed in the same operation.
//
// Cost: the search starts where the last one ended and looks at 64 blocks at a time. Weakness: no attempt to keep a file together
// other than that.
#include "kernel/fs/inode.h"
#include "kernel/fs/journal.h"
#include "kernel/machine/print.h"

#define LEAF NINDIRECT

static uint32_t search_hint; // block at which the next search starts; a guess: not guarded, atomic

// The first zero bit at or after `from` in a bitmap block, below `limit`; `limit` when there is none.
static uint32_t zero_bit(const uint64_t *words, uint32_t from, uint32_t limit)
{
	for (uint32_t at = from; at < limit; at = (at | 63) + 1) {
		uint64_t free = ~words[at / 64] >> at % 64;
		if (free) {
			at += (uint32_t)__builtin_ctzll(free);
			return at < limit ? at : limit;
		}
	}
	return limit;
}

// Takes a free block whose bit is in bitmap block `map`, from bit `from` on; 0: none, or the disk failed.
static uint32_t take_in(uint32_t map, uint32_t from)
{
	uint32_t first = map * BPB, taken = 0;
	uint32_t limit = super.size - first < BPB ? super.size - first : BPB;
	struct buffer *b = buffer_read(super.bmapstart + map);

	if (!b)
		return 0;
	uint32_t bit = zero_bit(buffer_data(b), from, limit);
	if (bit < limit && buffer_change(b)) {
		((uint64_t *)buffer_data(b))[bit / 64] |= 1ull << bit % 64;
		taken = first + bit;
	}
	buffer_release(b);
	return taken;
}

static uint32_t take_block(void)
{
	uint32_t maps = (super.size + BPB - 1) / BPB;
	uint32_t hint = __atomic_load_n(&search_hint, __ATOMIC_RELAXED);

	if (hint >= super.size)
		hint = 0;
	for (uint32_t i = 0; i <= maps; i++) { // the hint's own block twice: behind the hint, at last before it
		uint32_t taken = take_in((hint / BPB + i) % maps, i == 0 ? hint % BPB : 0);
		if (taken) {
			__atomic_store_n(&search_hint, taken + 1, __ATOMIC_RELAXED);
			return taken;
		}
	}
	return 0;
}

static bool is_data(uint32_t number) // false for the file system's own tables, too: a damaged disk may name them
{
	return number >= super.bmapstart + (super.size + BPB - 1) / BPB && number < super.size;
}

static void free_block(uint32_t number)
{
	struct buffer *b = is_data(number) ? buffer_read((uint32_t)BBLOCK(number, super)) : NULL;
	uint32_t bit = number % BPB;

	if (!b || !buffer_change(b))
		kprintf("fs: block %u cannot be freed: not a data block, or the disk failed\n", number);
	else
		((uint64_t *)buffer_data(b))[bit / 64] &= ~(1ull << bit % 64);
	if (b)
		buffer_release(b);
	if (is_data(number))
		buffer_forget(number);
}

// K2
static uint32_t take_zeroed(void)
{
	uint32_t number = take_block();

	if (number == 0)
		return 0;
	struct buffer *b = buffer_zeroed(number);
	if (!b) {
		free_block(number);
		return 0;
	}
	buffer_release(b);
	return number;
}

// Entry `index` of the indirect block `table`; made when it is 0 and `make` is set. 0: none, or it is not a data block's number.
static uint32_t entry(uint32_t table, uint32_t index, bool make)
{
	struct buffer *b = is_data(table) ? buffer_read(table) : NULL;

	if (!b)
		return 0;
	uint32_t number = ((uint32_t *)buffer_data(b))[index];
	buffer_release(b); // no other buffer is locked while the new block is sought
	if (number != 0 || !make)
		return is_data(number) ? number : 0;
	number = take_zeroed();
	b = number ? buffer_read(table) : NULL;
	bool good = b && buffer_change(b);
	if (good)
		((uint32_t *)buffer_data(b))[index] = number;
	if (b)
		buffer_release(b);
	if (number && !good)
		free_block(number);
	return good ? number : 0;
}

static uint32_t walk(struct inode *in, uint32_t index, bool make)
{
	bool direct = index < NDIRECT, single = !direct && index < NDIRECT + LEAF;
	uint32_t *top = &in->disk.addrs[direct ? index : single ? NDIRECT : NDIRECT + 1];

	if (index >= FILE_BLOCKS)
		return 0;
	if (*top == 0 && make)
		*top = take_zeroed();
	if (direct)
		return is_data(*top) ? *top : 0;
	index -= NDIRECT;
	if (single)
		return entry(*top, index, make);
	index -= LEAF;
	return entry(entry(*top, index / LEAF, make), index % LEAF, make);
}

uint32_t block_find(const struct inode *in, uint32_t index)
{
	return walk((struct inode *)in, index, false); // not changed without `make`
}

uint32_t block_ensure(struct inode *in, uint32_t index)
{
	return walk(in, index, true);
}

static void free_listed(uint32_t *numbers, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (numbers[i]) {
			free_block(numbers[i]);
			numbers[i] = 0;
		}
}

// Frees a leaf and all it names. The leaf need not be changed: it is free afterwards.
static void free_leaf(uint32_t leaf)
{
	struct buffer *b = is_data(leaf) ? buffer_read(leaf) : NULL;

	for (uint32_t i = 0; b && i < LEAF; i++) {
		uint32_t number = ((uint32_t *)buffer_data(b))[i];
		if (number && number != leaf)
			free_block(number);
	}
	if (b)
		buffer_release(b);
	free_block(leaf);
}

// Frees the last leaf under the outer block. True: there is none left, and the outer block is free, too.
static bool trim_outer(struct inode *in)
{
	uint32_t outer = in->disk.addrs[NDIRECT + 1];
	struct buffer *b = is_data(outer) ? buffer_read(outer) : NULL;
	uint32_t *leaves = b ? buffer_data(b) : NULL;
	uint32_t last = NDOUBLE;

	while (b && last > 0 && leaves[last - 1] == 0)
		last--;
	if (b && last > 0 && buffer_change(b)) {
		leaves = buffer_data(b); // it may have moved
		uint32_t leaf = leaves[last - 1];
		leaves[last - 1] = 0;
		buffer_release(b);
		free_leaf(leaf);
		inode_set_size(in, (uint32_t)(NDIRECT + last * LEAF) * BLOCK_BYTES);
		return false;
	}
	if (b)
		buffer_release(b);
	free_block(outer);
	in->disk.addrs[NDIRECT + 1] = 0;
	return true;
}

bool block_trim(struct inode *in)
{
	uint32_t size = in->disk.size;
	bool empty = in->disk.addrs[NDIRECT + 1] == 0;

	if (!empty) {
		trim_outer(in);
		if (in->disk.size > size) // that leaf lay behind the end
			inode_set_size(in, size);
	} else {
		free_listed(in->disk.addrs, NDIRECT);
		if (in->disk.addrs[NDIRECT])
			free_leaf(in->disk.addrs[NDIRECT]);
		in->disk.addrs[NDIRECT] = 0;
		inode_set_size(in, 0);
	}
	return !inode_update(in) || empty;
}
