// file.h: open files: the descriptor table's targets: pipes, devices, inodes.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct inode;
struct file;
struct source;
struct stat;

// Where bytes of a read or a write live: the current process's memory or the kernel's.
struct memory {
	bool user;
	uint64_t address;
};
// False when the address is bad or there is no memory. May sleep when user.
bool memory_get(void *to, struct memory from, size_t bytes);
bool memory_put(struct memory to, const void *from, size_t bytes);
// Makes the range present, for writing to it or for reading, so that copies of it that follow neither fail nor sleep: what must be done
// before a lock is taken under which memory is copied. The same answer.
bool memory_touch(struct memory range, size_t bytes, bool for_writing);

struct device { // character devices, by major number
	int (*read)(struct memory to, int bytes);    // bytes read, -1 on error
	int (*write)(struct memory from, int bytes); // bytes written, -1 on error
};
#define DEVICES 10
extern struct device devices[DEVICES];

struct file *file_share(struct file *file);                        // one more reference
void file_close(struct file *file);                                // drops one; the last closes
int file_read(struct file *file, struct memory to, int bytes);     // bytes (0 at the end), -1 on error
int file_write(struct file *file, struct memory from, int bytes);  // bytes, -1 on error
int file_stat(struct file *file, struct stat *out);                // 0, -1
// The source behind a mapping of this file, with a reference for the caller; NULL when it cannot be mapped so.
struct source *file_source(struct file *file, bool shared, bool writable);

// By path, for the system calls. All return -1 on error.
struct file *file_open(const char *path, int flags); // NULL on error
int file_pipe(struct file **read_end, struct file **write_end);
int fs_link(const char *old, const char *new);
int fs_unlink(const char *path);
int fs_mkdir(const char *path);
int fs_mknod(const char *path, short major, short minor);
struct inode *fs_directory(const char *path);        // for chdir; NULL on error
struct inode *fs_share(struct inode *inode);         // one more reference
void fs_drop(struct inode *inode);                   // one less
struct source *fs_program(const char *path, uint64_t *bytes); // for exec: a source with a reference (ops->put drops it), NULL on error

void fs_start(void); // the first process calls it: mounts, replays the journal
// All that was changed is in its place on the disk, but for what shared mappings still hold. False: the disk failed. Before shutdown.
bool fs_sync(void);
