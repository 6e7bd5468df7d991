// create.c: making and removing names: the system calls that change directories, each one operation of the journal.
//
//	path -> parent directory (searched without an operation) -> begin -> lock parent -> [lock child] -> change -> unlock -> end -> drop
//
// Drops come after the end, since the last drop of a nameless file is an operation of its own. Results and limits are xv6's. The number of
// links counts names; a directory's counts its name in the parent and the `..` of each directory in it.
#include "kernel/fs/inode.h"
#include "kernel/fs/journal.h"
#include "kernel/machine/string.h"
#include "kernel/stat.h"

#define CREATE_OP (2 * DIRECTORY_OP + 2)
#define LINK_OP   (DIRECTORY_OP + 1)
#define UNLINK_OP (DIRECTORY_OP + 2)
#define MAXLINKS  32767

_Static_assert(CREATE_OP <= JOURNAL_OPERATION && CONTENT_OP <= JOURNAL_OPERATION && BLOCK_TRIM_OP <= JOURNAL_OPERATION,
	       "an operation may be larger than a mount checks for");

static struct name name_of(const char *text)
{
	struct name name = { 0 };

	memcpy(name.entry.name, text, strlen(text));
	return name;
}

// Locks a directory that names may be added to or removed from.
static bool lock_directory(struct inode *directory)
{
	if (!inode_lock(directory))
		return false;
	if (directory->disk.type == T_DIR && directory->disk.nlink > 0)
		return true;
	inode_unlock(directory);
	return false;
}

// Gives the fresh, locked inode its first name, and a directory its own first two. On failure it stays nameless.
static bool furnish(struct inode *in, struct inode *parent, const struct name *name)
{
	struct name self = name_of("."), up = name_of("..");
	bool directory = in->disk.type == T_DIR;

	if (directory && parent->disk.nlink == MAXLINKS)
		return false;
	if (directory && !(directory_add(in, &self, in->number) && directory_add(in, &up, parent->number)))
		return false;
	if (!directory_add(parent, name, in->number))
		return false;
	in->disk.nlink = 1;
	parent->disk.nlink += directory;
	return !directory || inode_update(parent);
}

// A new file in the locked parent, with a reference; NULL: no inode, or the disk is full.
static struct inode *make(struct inode *parent, const struct name *name, short type, short major, short minor, struct inode **failed)
{
	struct inode *in = inode_create(type, major, minor);

	if (!in)
		return NULL;
	bool good = furnish(in, parent, name);
	(void)inode_update(in);
	inode_unlock(in);
	if (good)
		return in;
	*failed = in;
	return NULL;
}

// Whether open(O_CREATE) may use what has the name already.
static bool may_reuse(struct inode *in, short type)
{
	if (type != T_FILE || !inode_lock(in))
		return false;
	bool good = in->disk.type == T_FILE || in->disk.type == T_DEVICE;
	inode_unlock(in);
	return good;
}

struct inode *create(const char *path, short type, short major, short minor)
{
	struct name name;
	struct inode *parent = path_parent(path, &name), *in = NULL, *failed = NULL;

	if (!parent)
		return NULL;
	bool found = false;
	if (journal_begin(CREATE_OP)) {
		if (lock_directory(parent)) {
			uint32_t number = directory_find(parent, &name, NULL);
			found = number != 0;
			in = found ? inode_get(number) : make(parent, &name, type, major, minor, &failed);
			inode_unlock(parent);
		}
		journal_end(CREATE_OP);
	}
	inode_drop(parent);
	if (failed)
		inode_drop(failed);
	if (in && found && !may_reuse(in, type)) {
		inode_drop(in);
		return NULL;
	}
	return in;
}

static int make_and_drop(const char *path, short type, short major, short minor)
{
	struct inode *in = create(path, type, major, minor);

	if (!in)
		return -1;
	inode_drop(in);
	return 0;
}

int fs_mkdir(const char *path)
{
	return make_and_drop(path, T_DIR, 0, 0);
}

int fs_mknod(const char *path, short major, short minor)
{
	return make_and_drop(path, T_DEVICE, major, minor);
}

// Changes the number of names by one, unless the inode is a directory or has too many; op 1.
static bool count_link(struct inode *in, short change)
{
	if (!inode_lock(in))
		return false;
	bool good = in->disk.type != T_DIR && in->disk.nlink > (change > 0 ? 0 : 1) - 1 && in->disk.nlink + change <= MAXLINKS;
	if (good) {
		in->disk.nlink += change;
		good = inode_update(in);
	}
	inode_unlock(in);
	return good;
}

static bool add_link(struct inode *in, struct inode *parent, const struct name *name)
{
	if (!count_link(in, 1))
		return false;
	bool good = false;
	if (lock_directory(parent)) {
		good = directory_find(parent, name, NULL) == 0 && directory_add(parent, name, in->number);
		inode_unlock(parent);
	}
	if (!good)
		(void)count_link(in, -1);
	return good;
}

int fs_link(const char *old, const char *new)
{
	struct name name;
	struct inode *in = path_find(old), *parent = in ? path_parent(new, &name) : NULL;
	bool good = false;

	if (parent && journal_begin(LINK_OP)) {
		good = add_link(in, parent, &name);
		journal_end(LINK_OP);
	}
	if (parent)
		inode_drop(parent);
	if (in)
		inode_drop(in);
	return good ? 0 : -1;
}

// Takes the entry at `offset`, which names the locked `in`, out of the locked parent.
static bool remove_entry(struct inode *parent, uint64_t offset, struct inode *in)
{
	bool directory = in->disk.type == T_DIR;

	if (directory && !directory_is_empty(in))
		return false;
	if (!directory_clear(parent, offset))
		return false;
	if (directory) {
		parent->disk.nlink--;
		(void)inode_update(parent);
	}
	in->disk.nlink--;
	return inode_update(in);
}

static bool unlink_in(struct inode *parent, const struct name *name, struct inode **in)
{
	uint64_t offset;
	bool good = false;

	if (!lock_directory(parent))
		return false;
	uint32_t number = directory_find(parent, name, &offset);
	*in = number && number != parent->number ? inode_get(number) : NULL; // itself: a damaged disk
	if (*in && inode_lock(*in)) {
		good = remove_entry(parent, offset, *in);
		inode_unlock(*in);
	}
	inode_unlock(parent);
	return good;
}

static bool is_dots(const struct name *name)
{
	struct name one = name_of("."), two = name_of("..");

	return memcmp(name, &one, sizeof one) == 0 || memcmp(name, &two, sizeof two) == 0;
}

int fs_unlink(const char *path)
{
	struct name name;
	struct inode *parent = path_parent(path, &name), *in = NULL;
	bool good = false;

	if (parent && !is_dots(&name) && journal_begin(UNLINK_OP)) {
		good = unlink_in(parent, &name, &in);
		journal_end(UNLINK_OP);
	}
	if (parent)
		inode_drop(parent);
	if (in)
		inode_drop(in);
	return good ? 0 : -1;
}
