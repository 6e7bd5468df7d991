// memory.c: reading and writing "memory" for the file system and drivers, whether it is the current process's or the kernel's own.
#include "kernel/process/process.h"

#include "kernel/fs/file.h"
#include "kernel/machine/string.h"

bool memory_get(void *to, struct memory from, size_t bytes)
{
	if (from.user)
		return space_copy_in(&process_current()->space, to, from.address, bytes) == SPACE_OK;
	memcpy(to, (const void *)(uintptr_t)from.address, bytes);
	return true;
}

bool memory_put(struct memory to, const void *from, size_t bytes)
{
	if (to.user)
		return space_copy_out(&process_current()->space, to.address, from, bytes) == SPACE_OK;
	memcpy((void *)(uintptr_t)to.address, from, bytes);
	return true;
}
