// path.c: from a path to an inode, one directory at a time.
//
//	"/usr//bin/ls"    root --usr--> inode --bin--> inode --ls--> inode          each locked only while it is searched
//	"bin/ls"          the process's working directory --bin--> ...
//
// Names longer than DIRSIZ are cut, as xv6 does. "" is the working directory. A directory that has been removed, though someone still
// stands in it, has no entries any more, `..` included: what that named may be another file by now.
#include "kernel/fs/inode.h"
#include "kernel/process/process.h"
#include "kernel/stat.h"

// Takes the first part off the path. NULL: there is none.
static const char *next_part(const char *path, struct name *name)
{
	unsigned length = 0;

	while (*path == '/')
		path++;
	if (*path == 0)
		return NULL;
	*name = (struct name){ 0 };
	for (; *path && *path != '/'; path++)
		if (length < DIRSIZ)
			name->entry.name[length++] = *path;
	while (*path == '/')
		path++;
	return path;
}

static bool is_dot(const struct name *name)
{
	return name->entry.name[0] == '.' && name->entry.name[1] == 0;
}

// Looks the name up in the directory and gives the caller's reference to it back.
static struct inode *step(struct inode *directory, const struct name *name)
{
	struct inode *found = NULL;

	if (!inode_lock(directory)) {
		inode_drop(directory);
		return NULL;
	}
	if (directory->disk.type == T_DIR && is_dot(name))
		found = inode_share(directory);
	else if (directory->disk.type == T_DIR && directory->disk.nlink > 0)
		found = inode_get(directory_find(directory, name, NULL));
	inode_unlock(directory);
	inode_drop(directory);
	return found;
}

static struct inode *start_of(const char *path)
{
	struct process *self = process_current();
	struct inode *from = *path == '/' || !self->cwd ? root : self->cwd;

	return from ? inode_share(from) : NULL;
}

struct inode *path_find(const char *path)
{
	struct inode *at = start_of(path);
	struct name name;

	while (at && (path = next_part(path, &name)))
		at = step(at, &name);
	return at;
}

struct inode *path_parent(const char *path, struct name *last)
{
	struct inode *at = start_of(path);

	path = next_part(path, last);
	while (at && path && *path) {
		at = step(at, last);
		path = next_part(path, last);
	}
	if (at && !path) {
		inode_drop(at);
		return NULL;
	}
	return at;
}
