// record.c: process records: their making and unmaking, pids, and the list of all.
//
//      process_all -> sh[2] -> journal[3] -> init[1]          newest first; all_link points at the pointer that points here
//
// A record comes from a cache of its own. Until it first runs it is in state NEW: found by ps and kill, run by nobody. User processes are
// counted against NPROC from here until process_discard, zombies included.
#include "kernel/process/process.h"

#include "mm/slab.h"

struct lock process_lock = { .name = "process" };
struct process *process_all;  // process_lock
struct process *process_init;

static struct kmem_cache *records; // made by the first caller, at boot
static int user_count;             // process_lock
static int last_pid;               // process_lock
static bool pids_wrapped;          // process_lock

static bool pid_is_taken(int pid)
{
	for (struct process *p = process_all; p; p = p->all)
		if (p->pid == pid)
			return true;
	return false;
}

static int new_pid(void)
{
	do {
		if (last_pid == INT32_MAX) {
			last_pid = 1;
			pids_wrapped = true;
		}
		last_pid++;
	} while (pids_wrapped && pid_is_taken(last_pid));
	return last_pid;
}

// Gives the record a pid and a place in the list of all; false when there are too many processes.
static bool enlist(struct process *process)
{
	lock_acquire(&process_lock);
	bool room = !process->user || user_count < NPROC;
	if (room) {
		user_count += process->user;
		process->pid = new_pid();
		process->all = process_all;
		process->all_link = &process_all;
		if (process_all)
			process_all->all_link = &process->all;
		process_all = process;
	}
	lock_release(&process_lock);
	return room;
}

static void delist(struct process *process)
{
	lock_acquire(&process_lock);
	*process->all_link = process->all;
	if (process->all)
		process->all->all_link = process->all_link;
	user_count -= process->user;
	lock_release(&process_lock);
}

static void set_name(struct process *process, const char *name)
{
	size_t length = __builtin_strlen(name);

	if (length >= sizeof(process->name))
		length = sizeof(process->name) - 1;
	__builtin_memcpy(process->name, name, length);
}

struct process *process_new(const char *name, void (*entry)(void), bool user)
{
	if (!records)
		records = kmem_cache_create("process", sizeof(struct process), 0, NULL);
	struct process *process = records ? kmem_cache_alloc(records) : NULL;
	if (!process)
		return NULL;
	*process = (struct process){ .user = user, .hart = -1 };
	set_name(process, name);
	process->stack = stack_take();
	if (!process->stack)
		goto no_stack;
	if (!enlist(process))
		goto no_room;
	char *top = (char *)process->stack + KERNEL_STACK_BYTES;
	process->frame = (struct trapframe *)(void *)(top - sizeof(struct trapframe));
	process->context.ra = (uintptr_t)entry;
	process->context.sp = (uintptr_t)process->frame;
	return process;
no_room:
	stack_put(process->stack);
no_stack:
	kmem_cache_free(records, process);
	return NULL;
}

void process_discard(struct process *process)
{
	delist(process);
	if (process->state == PROCESS_NEW)
		stack_put(process->stack);
	kmem_cache_free(records, process);
}
