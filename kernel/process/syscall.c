// syscall.c: system calls: from the number in a7 to the function, and the calls about processes and the machine.
//
//    ecall -> trap_entry -> syscall_enter -> call_xxx(a) -> a0 -> process_leave -> sret
//
// Numbers, names and results are xv6's; what goes beyond it has numbers from 32. A bad argument of any kind makes a call return -1.
//
// Cost: about 15 instructions besides the call itself.
#include "kernel/process/syscall.h"

#include "kernel/device/console.h"
#include "kernel/fs/file.h"
#include "kernel/machine/print.h"
#include "kernel/machine/sbi.h"
#include "kernel/machine/string.h"
#include "kernel/stat.h"
#include "kernel/syscall.h"
#include "mm/page.h"

static int64_t (*const calls[])(const uint64_t *a) = {
	[SYS_fork] = call_fork,
	[SYS_exit] = call_exit,
	[SYS_wait] = call_wait,
	[SYS_pipe] = call_pipe,
	[SYS_read] = call_read,
	[SYS_kill] = call_kill,
	[SYS_exec] = call_exec,
	[SYS_fstat] = call_fstat,
	[SYS_chdir] = call_chdir,
	[SYS_dup] = call_dup,
	[SYS_getpid] = call_getpid,
	[SYS_sbrk] = call_sbrk,
	[SYS_sleep] = call_sleep, // SYS_pause is the same number
	[SYS_uptime] = call_uptime,
	[SYS_open] = call_open,
	[SYS_write] = call_write,
	[SYS_mknod] = call_mknod,
	[SYS_unlink] = call_unlink,
	[SYS_link] = call_link,
	[SYS_mkdir] = call_mkdir,
	[SYS_close] = call_close,
	[SYS_mmap] = call_mmap,
	[SYS_munmap] = call_munmap,
	[SYS_mprotect] = call_mprotect,
	[SYS_meminfo] = call_meminfo,
	[SYS_ps] = call_ps,
	[SYS_shutdown] = call_shutdown,
	[SYS_sync] = call_sync,
	[SYS_ttymode] = call_ttymode,
	[SYS_heapinfo] = call_heapinfo,
	[SYS_heaptrace] = call_heaptrace,
};

void syscall_enter(struct trapframe *frame)
{
	uint64_t number = frame->x[17];

	if (number < sizeof(calls) / sizeof(calls[0]) && calls[number]) {
		frame->x[10] = (uint64_t)calls[number](&frame->x[10]);
		return;
	}
	kprintf("%s[%d]: there is no system call %lu\n", process_current()->name, process_current()->pid, number);
	frame->x[10] = (uint64_t)-1;
}

int64_t result_of(enum space_result result)
{
	return result == SPACE_OK ? 0 : -1;
}

bool path_from_user(char path[MAXPATH], uint64_t address)
{
	return space_copy_string(&process_current()->space, path, address, MAXPATH) == SPACE_OK;
}

int64_t call_fork(const uint64_t *a)
{
	(void)a;
	return process_fork();
}

int64_t call_exit(const uint64_t *a)
{
	process_exit((int)a[0]);
}

int64_t call_wait(const uint64_t *a)
{
	return process_wait(a[0]);
}

int64_t call_kill(const uint64_t *a)
{
	return process_kill((int)a[0]);
}

int64_t call_getpid(const uint64_t *a)
{
	(void)a;
	return process_current()->pid;
}

int64_t call_sleep(const uint64_t *a)
{
	int ticks = (int)a[0];

	return sched_sleep_ticks(ticks < 0 ? 0 : (uint64_t)ticks) ? 0 : -1;
}

int64_t call_uptime(const uint64_t *a)
{
	(void)a;
	return (int64_t)sched_ticks();
}

// Copies the strings that the user's array at `address` points to into the page at `strings`, and points `argv` at them. False when an
// address is bad, when there are more than MAXARG - 1 of them, or when they do not fit.
static bool arguments_from_user(uint64_t address, char *argv[MAXARG], char *strings)
{
	struct space *space = &process_current()->space;
	size_t room = PAGE_BYTES;

	for (unsigned i = 0; i < MAXARG; i++) {
		uint64_t string;
		if (space_copy_in(space, &string, address + i * sizeof(string), sizeof(string)) != SPACE_OK)
			return false;
		argv[i] = string ? strings : NULL;
		if (!string)
			return true;
		if (room == 0 || space_copy_string(space, strings, string, room) != SPACE_OK)
			return false;
		size_t bytes = strlen(strings) + 1;
		strings += bytes;
		room -= bytes;
	}
	return false;
}

int64_t call_exec(const uint64_t *a)
{
	char path[MAXPATH], *argv[MAXARG];
	int64_t result = -1;

	if (!path_from_user(path, a[0]))
		return -1;
	pa_t page = page_alloc(0, PAGE_KERNEL);
	if (pa_is_none(page))
		return -1;
	if (arguments_from_user(a[1], argv, pa_pointer(page)))
		result = process_exec(path, argv);
	page_free(page);
	return result;
}

int64_t call_shutdown(const uint64_t *a)
{
	if (a[0] > 1)
		return -1;
	fs_sync();
	machine_shutdown(a[0] == 1);
}

int64_t call_sync(const uint64_t *a)
{
	(void)a;
	return fs_sync() ? 0 : -1;
}

int64_t call_ttymode(const uint64_t *a)
{
	struct file *file = file_of(0);
	struct stat stat;

	if (a[0] > 1 || !file || file_stat(file, &stat) < 0 || stat.type != T_DEVICE)
		return -1;
	return console_mode((int)a[0]);
}
