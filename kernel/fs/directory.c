// directory.c: a directory is a file of 16-byte entries; names are compared eight bytes at a time, in place.
//
//	word 0: [ number : 2 | name 0..5 ]   word 1: [ name 6..13 ]      number 0: free entry
//
//  N1  A name is in a directory at most once, and is filled up with zeroes.
//  N2  The first two entries are `.` and `..`.
//
// Cost: 6 instructions an entry that does not match. Weakness: linear.
#include "kernel/fs/inode.h"
#include "kernel/fs/journal.h"

#define ENTRIES (BLOCK_BYTES / sizeof(struct dirent)) // in a block

_Static_assert(sizeof(struct dirent) == 16 && sizeof(struct name) == 16, "an entry is two words");

static uint32_t entries_of(const struct inode *directory)
{
	return directory->disk.size / (uint32_t)sizeof(struct dirent);
}

// The place of the name among the first `count` of these entries; count when it is not there.
static uint32_t match(const struct name *entries, uint32_t count, const struct name *name)
{
	for (uint32_t i = 0; i < count; i++)
		if (entries[i].word[1] == name->word[1] && (entries[i].word[0] ^ name->word[0]) <= 0xffff && entries[i].entry.inum != 0)
			return i;
	return count;
}

static uint32_t match_free(const struct name *entries, uint32_t count, const struct name *unused)
{
	(void)unused;
	for (uint32_t i = 0; i < count; i++)
		if (entries[i].entry.inum == 0)
			return i;
	return count;
}

// The first entry from number `from` on that `matcher` likes: its number, and a copy of it. The number of entries when there is none.
static uint32_t search(struct inode *directory, uint32_t from, uint32_t (*matcher)(const struct name *, uint32_t, const struct name *),
		       const struct name *name, struct dirent *copy)
{
	uint32_t total = entries_of(directory);

	for (uint32_t at = from; at < total; at = (uint32_t)((at / ENTRIES + 1) * ENTRIES)) {
		uint32_t skip = at % ENTRIES, count = (uint32_t)(total - at < ENTRIES - skip ? total - at : ENTRIES - skip);
		struct buffer *b = buffer_read(block_find(directory, (uint32_t)(at / ENTRIES)));
		if (!b)
			continue;
		const struct name *entries = (const struct name *)buffer_data(b) + skip;
		uint32_t found = matcher(entries, count, name);
		if (found < count)
			*copy = entries[found].entry;
		buffer_release(b);
		if (found < count)
			return at + found;
	}
	return total;
}

uint32_t directory_find(struct inode *directory, const struct name *name, uint64_t *offset)
{
	struct dirent entry;
	uint32_t at = search(directory, 0, match, name, &entry);

	if (at == entries_of(directory))
		return 0;
	if (offset)
		*offset = at * sizeof entry;
	return entry.inum;
}

static bool put(struct inode *directory, uint64_t offset, struct dirent entry)
{
	struct memory from = { false, (uint64_t)(uintptr_t)&entry };

	return content_write(directory, from, offset, sizeof entry) == sizeof entry;
}

bool directory_add(struct inode *directory, const struct name *name, uint32_t number)
{
	struct dirent entry;
	uint32_t at = search(directory, 0, match_free, NULL, &entry);

	entry = name->entry;
	entry.inum = (ushort)number;
	return put(directory, at * sizeof entry, entry);
}

bool directory_clear(struct inode *directory, uint64_t offset)
{
	return put(directory, offset, (struct dirent){ 0 });
}

static uint32_t match_used(const struct name *entries, uint32_t count, const struct name *unused)
{
	(void)unused;
	uint32_t i = 0;
	while (i < count && entries[i].entry.inum == 0)
		i++;
	return i;
}

bool directory_is_empty(struct inode *directory)
{
	struct dirent entry;

	return search(directory, 2, match_used, NULL, &entry) == entries_of(directory); // N2
}
