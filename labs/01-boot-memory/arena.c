// arena.c: see arena.h.
#include <stdlib.h>

#include <sanitizer/asan_interface.h>

#include "arena.h"

struct arena arena;
static void *origin;

static unsigned char stamp_of(unsigned index)
{
	return (unsigned char)(index * 37 + 11);
}

// ---- a map: 56 units of 16 bytes around the place

static char sign(uintptr_t at)
{
	for (unsigned i = 0; i < arena.count; i++)
		if (arena.block[i].live && arena.block[i].start < at + 16 && at < arena.block[i].start + arena.block[i].bytes)
			return (char)('a' + i % 26);
	return arena.start <= at && at < arena.end ? '.' : ' ';
}

static void map(uint64_t place, char *to, size_t bytes)
{
	uintptr_t at = (uintptr_t)place & ~(uintptr_t)15, from = at - 28 * 16;
	if (at >= arena.start && at < arena.end && from < arena.start)
		from = arena.start;
	char row[2][72] = { { 0 } };
	for (unsigned i = 0; i < 56; i++) {
		row[0][i] = sign(from + 16 * i);
		row[1][i] = from + 16 * i == at ? '^' : ' ';
	}
	snprintf(to, bytes, "arena + %lld, a column is 16 bytes\n%s\n%s\na..z: live blocks, in turn  .: none  blank: outside\n",
		 (long long)(from - arena.start), row[0], row[1]);
}

static const char *place_of(uintptr_t address)
{
	if (address == 0)
		return "NULL";
	if (address >= arena.start && address < arena.end)
		return SAY("arena + %lu", (unsigned long)(address - arena.start));
	return SAY("%#lx, which is not in the arena", (unsigned long)address);
}

// ---- calls

void arena_start(size_t bytes, unsigned shift)
{
	free(origin);
	origin = aligned_alloc(4096, (bytes + 16 * shift + 4095) / 4096 * 4096);
	char *start = (char *)origin + 16 * shift;
	__asan_poison_memory_region(origin, 16 * shift);
	memset(start, 0xa5, bytes);
	arena.start = (uintptr_t)start;
	arena.end = arena.start + bytes;
	arena.count = arena.live = 0;
	__asan_poison_memory_region(start + bytes, (bytes + 16 * shift + 4095) / 4096 * 4096 - bytes - 16 * shift);
	judge_map = map;
	call("create(arena of %zu bytes, %u above a multiple of 4096)", bytes, 16 * shift);
	judge_place(arena.start);
	arena.heap = heap_bump.create(start, bytes);
	REQUIRE(arena.heap, arena.start, "A heap can be made in this arena.", "a heap", "NULL");
}

bool is_in_arena(unsigned index)
{
	return arena.block[index].start >= arena.start && arena.block[index].start < arena.end;
}

static void fill(unsigned index)
{
	memset((void *)arena.block[index].start, stamp_of(index), arena.block[index].bytes);
}

static void require_apart(const struct block *block, const char *rule)
{
	for (unsigned i = 0; i < arena.count; i++) {
		const struct block *other = &arena.block[i];
		bool apart = block == other || !other->live || block->start + block->bytes <= other->start ||
			     other->start + other->bytes <= block->start;
		REQUIRE(apart, block->start, rule, "no byte of another block",
			SAY("%s, %zu bytes, and block %u at %s, %zu bytes", place_of(block->start), block->bytes, i, place_of(other->start),
			    other->bytes));
	}
}

static void learn_size(struct block *block, size_t bytes)
{
	block->bytes = heap_bump.usable(arena.heap, (void *)block->start);
	REQUIRE(block->bytes >= bytes, block->start, "A block is as long as was asked for.", SAY("%zu bytes", bytes),
		SAY("%zu bytes", block->bytes));
	bool begins = block->start >= arena.start && block->start < arena.end;
	REQUIRE(!begins || block->bytes <= arena.end - block->start, block->start, "A block does not leave its arena.",
		SAY("at most %lu bytes", (unsigned long)(arena.end - block->start)), SAY("%zu bytes", block->bytes));
	require_apart(block, "Two live blocks have no byte in common.");
}

unsigned arena_alloc(size_t bytes, size_t align)
{
	unsigned index = arena.count;
	if (index == BLOCKS)
		test_fail(__FILE__, __LINE__, "the check takes too many blocks");
	call("%c = alloc(%zu, align %zu)", 'a' + index % 26, bytes, align);
	judge_place(arena.count ? arena.block[index - 1].start : arena.start);
	uintptr_t start = (uintptr_t)heap_bump.alloc(arena.heap, bytes, align);
	answer("%s", place_of(start));
	if (!start)
		return BLOCKS;
	struct block *block = &arena.block[arena.count];
	*block = (struct block){ start, bytes, true };
	REQUIRE(start % align == 0, start, "A block is aligned as was asked for.", SAY("a multiple of %zu", align),
		SAY("%#lx", (unsigned long)start));
	learn_size(block, bytes);
	arena.count++;
	arena.live++;
	fill(index);
	return index;
}

static void require_stamp(unsigned index, const char *rule)
{
	const struct block *block = &arena.block[index];
	const unsigned char *byte = (const unsigned char *)block->start;
	for (size_t i = 0; i < block->bytes; i++)
		REQUIRE(byte[i] == stamp_of(index), block->start + i, rule,
			SAY("byte %zu of block %c as its owner left it", i, 'a' + index % 26), SAY("it was written to: %#x", byte[i]));
}

void require_stamps(const char *rule)
{
	for (unsigned i = 0; i < arena.count; i++)
		if (arena.block[i].live)
			require_stamp(i, rule);
}

void arena_free(unsigned index)
{
	struct block *block = &arena.block[index];
	require_stamp(index, "Nobody but its owner writes to a live block.");
	call("free(%c)", 'a' + index % 26);
	judge_place(block->start);
	block->live = false;
	heap_bump.free(arena.heap, (void *)block->start);
	arena.live--;
}

bool arena_resize(unsigned index, size_t bytes)
{
	struct block *block = &arena.block[index];
	size_t kept = block->bytes;
	require_stamp(index, "Nobody but its owner writes to a live block.");
	call("resize(%c, %zu)", 'a' + index % 26, bytes);
	judge_place(block->start);
	bool done = heap_bump.resize(arena.heap, (void *)block->start, bytes);
	answer("%s", done ? "true" : "false");
	if (done)
		learn_size(block, bytes);
	if (block->bytes > kept)
		memset((void *)(block->start + kept), stamp_of(index), block->bytes - kept);
	require_stamp(index, "A block's contents stay when its size changes, or cannot change.");
	return done;
}
