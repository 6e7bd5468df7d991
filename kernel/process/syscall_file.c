// syscall_file.c: the system calls about files: descriptors here, everything behind them in kernel/fs.
//
//    process.files[fd] -> struct file -> pipe, device or inode
//
// A descriptor is an index into the process's own array; the lowest free one is given out. Only the process's thread touches the array.
#include "kernel/process/syscall.h"

#include "kernel/fs/file.h"
#include "kernel/stat.h"

struct file *file_of(uint64_t descriptor)
{
	int fd = (int)descriptor;

	return fd >= 0 && fd < NOFILE ? process_current()->files[fd] : NULL;
}

// Gives `file` the lowest free descriptor; -1 when there is none.
static int install(struct file *file)
{
	struct process *self = process_current();

	for (int fd = 0; fd < NOFILE; fd++)
		if (!self->files[fd]) {
			self->files[fd] = file;
			return fd;
		}
	return -1;
}

static void forget(int fd)
{
	if (fd >= 0)
		process_current()->files[fd] = NULL;
}

int64_t call_read(const uint64_t *a)
{
	struct file *file = file_of(a[0]);
	int bytes = (int)a[2];

	if (!file || bytes < 0)
		return -1;
	return file_read(file, (struct memory){ .user = true, .address = a[1] }, bytes);
}

int64_t call_write(const uint64_t *a)
{
	struct file *file = file_of(a[0]);
	int bytes = (int)a[2];

	if (!file || bytes < 0)
		return -1;
	return file_write(file, (struct memory){ .user = true, .address = a[1] }, bytes);
}

int64_t call_close(const uint64_t *a)
{
	struct file *file = file_of(a[0]);

	if (!file)
		return -1;
	forget((int)a[0]);
	file_close(file);
	return 0;
}

int64_t call_dup(const uint64_t *a)
{
	struct file *file = file_of(a[0]);
	int fd = file ? install(file) : -1;

	if (fd >= 0)
		file_share(file);
	return fd;
}

int64_t call_fstat(const uint64_t *a)
{
	struct file *file = file_of(a[0]);
	struct stat stat = { 0 };

	if (!file || file_stat(file, &stat) < 0)
		return -1;
	return result_of(space_copy_out(&process_current()->space, a[1], &stat, sizeof(stat)));
}

int64_t call_open(const uint64_t *a)
{
	char path[MAXPATH];

	if (!path_from_user(path, a[0]))
		return -1;
	struct file *file = file_open(path, (int)a[1]);
	if (!file)
		return -1;
	int fd = install(file);
	if (fd < 0)
		file_close(file);
	return fd;
}

int64_t call_pipe(const uint64_t *a)
{
	struct file *read_end, *write_end;

	if (file_pipe(&read_end, &write_end) < 0)
		return -1;
	int ends[2] = { install(read_end), install(write_end) };
	if (ends[0] >= 0 && ends[1] >= 0 && space_copy_out(&process_current()->space, a[0], ends, sizeof(ends)) == SPACE_OK)
		return 0;
	forget(ends[0]);
	forget(ends[1]);
	file_close(read_end);
	file_close(write_end);
	return -1;
}

int64_t call_chdir(const uint64_t *a)
{
	struct process *self = process_current();
	char path[MAXPATH];

	if (!path_from_user(path, a[0]))
		return -1;
	struct inode *directory = fs_directory(path);
	if (!directory)
		return -1;
	fs_drop(self->cwd);
	self->cwd = directory;
	return 0;
}

int64_t call_mkdir(const uint64_t *a)
{
	char path[MAXPATH];

	return path_from_user(path, a[0]) ? fs_mkdir(path) : -1;
}

int64_t call_mknod(const uint64_t *a)
{
	char path[MAXPATH];

	return path_from_user(path, a[0]) ? fs_mknod(path, (short)a[1], (short)a[2]) : -1;
}

int64_t call_unlink(const uint64_t *a)
{
	char path[MAXPATH];

	return path_from_user(path, a[0]) ? fs_unlink(path) : -1;
}

int64_t call_link(const uint64_t *a)
{
	char old[MAXPATH], new[MAXPATH];

	return path_from_user(old, a[0]) && path_from_user(new, a[1]) ? fs_link(old, new) : -1;
}
