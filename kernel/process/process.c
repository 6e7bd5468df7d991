// process.c: the life of a process: init, fork, exit, wait, kill, and kernel threads.
//
//   process_new -> fork copies -> sched_start -> runs -> process_exit -> zombie -> parent's process_wait -> gone
//                                                             |
//                                                             `-> its children go to init, which waits for anybody
//
// The tree: parent->children is a list linked by sibling, newest first; it, the list of all and the pids belong to process_lock. A zombie
// has given up its files, its space and (with sched_end) its stack; what is left is the record with the exit status.
//
// Invariants:
//  P1  Every user process but init has a parent that is alive, and is in its list of children.
//  P2  A process's space, files and directory are touched by its own thread only; others read names, states and counters.
//  P3  A killed process starts no new sleep that a kill could have ended, and ends before it next returns to user mode.
//
// Weakness: kill, ps and ^C walk the list of all; at 64 processes that is no loss.
#include "kernel/process/process.h"

#include "kernel/fs/file.h"
#include "kernel/machine/csr.h"
#include "kernel/machine/panic.h"
#include "kernel/machine/print.h"
#include "kernel/machine/sbi.h"
#include "kernel/machine/translation.h"

#define DEFAULT_INIT "/init"

static void adopt(struct process *parent, struct process *child) // process_lock held
{
	child->parent = parent;
	child->sibling = parent->children;
	parent->children = child;
}

static void disown(struct process *child) // process_lock held
{
	struct process **link = &child->parent->children;

	while (*link != child)
		link = &(*link)->sibling;
	*link = child->sibling;
}

// First code of a forked process.
static void start_child(void)
{
	sched_arrive();
	trap_return(process_current()->frame);
}

static void start_init(void)
{
	struct process *self = process_current();
	const char *path = self->argument;

	sched_arrive();
	fs_start();
	self->cwd = fs_directory("/");
	if (!self->cwd)
		panic("init: the disk has no root directory");
	int argc = process_exec(path, (char *[]){ (char *)path, NULL });
	if (argc < 0) {
		kprintf("init=%s cannot be run; taking %s\n", path, DEFAULT_INIT);
		argc = process_exec(DEFAULT_INIT, (char *[]){ DEFAULT_INIT, NULL });
	}
	if (argc < 0)
		panic("init: cannot run %s", DEFAULT_INIT);
	self->frame->x[10] = (uint64_t)argc;
	trap_return(self->frame);
}

void process_start_init(const char *path)
{
	struct process *self = process_new("init", start_init, true);

	if (!self || !space_create(&self->space, &kernel_table))
		panic("init: no memory for the first process");
	self->argument = (void *)path;
	__atomic_store_n(&self->has_space, true, __ATOMIC_RELAXED);
	*self->frame = (struct trapframe){ 0 };
	process_init = self;
	sched_start(self);
}

static void start_thread(void)
{
	struct process *self = process_current();

	sched_arrive();
	self->run(self->argument);
	lock_acquire(&process_lock);
	adopt(process_init, self);
	sched_end(&process_init->child_ended, &process_lock);
}

bool kernel_thread(const char *name, void (*run)(void *argument), void *argument)
{
	struct process *thread = process_new(name, start_thread, false);

	if (!thread)
		return false;
	thread->run = run;
	thread->argument = argument;
	sched_start(thread);
	return true;
}

int process_fork(void)
{
	struct process *parent = process_current();
	struct process *child = process_new(parent->name, start_child, true);

	if (!child)
		return -1;
	if (!space_create(&child->space, &kernel_table))
		goto no_space;
	if (space_fork(&child->space, &parent->space) != SPACE_OK)
		goto no_copy;
	__atomic_store_n(&child->has_space, true, __ATOMIC_RELAXED);
	*child->frame = *parent->frame;
	child->frame->x[10] = 0;
	for (unsigned fd = 0; fd < NOFILE; fd++)
		if (parent->files[fd])
			child->files[fd] = file_share(parent->files[fd]);
	child->cwd = fs_share(parent->cwd);
	int pid = child->pid;
	lock_acquire(&process_lock);
	adopt(parent, child);
	lock_release(&process_lock);
	sched_start(child);
	return pid;
no_copy:
	space_destroy(&child->space);
no_space:
	process_discard(child);
	return -1;
}

static void let_go_of_files(struct process *self)
{
	for (unsigned fd = 0; fd < NOFILE; fd++) {
		struct file *file = self->files[fd];
		self->files[fd] = NULL;
		if (file)
			file_close(file);
	}
	if (self->cwd)
		fs_drop(self->cwd);
	self->cwd = NULL;
}

// Frees the space. It may sleep while files are given back, so this hart must not come back to the table: has_space says so.
static void leave_space(struct process *self)
{
	interrupts_off();
	__atomic_store_n(&self->has_space, false, __ATOMIC_RELAXED);
	translation_leave();
	interrupts_on();
	space_destroy(&self->space);
}

static void hand_children_to_init(struct process *self) // process_lock held
{
	struct process *child;

	if (!self->children)
		return;
	while ((child = self->children)) {
		self->children = child->sibling;
		child->orphan = true;
		adopt(process_init, child);
	}
	sched_wakeup(&process_init->child_ended);
}

// There is no system without init: says so, writes everything to the disk and switches off.
static _Noreturn void end_of_system(int status)
{
	kprintf("init ended with status %d: shutting down\n", status);
	fs_sync();
	machine_shutdown(false);
}

_Noreturn void process_exit(int status)
{
	struct process *self = process_current();

	if (self == process_init)
		end_of_system(status);
	let_go_of_files(self);
	leave_space(self);
	self->exit_status = status;
	lock_acquire(&process_lock);
	hand_children_to_init(self);
	sched_end(&self->parent->child_ended, &process_lock);
}

// A zombie child to reap, NULL when none has ended yet. process_lock held.
static struct process *ended_child(struct process *self)
{
	for (struct process *child = self->children; child; child = child->sibling)
		if (process_state(child) == PROCESS_ZOMBIE)
			return child;
	return NULL;
}

// Sleeps until a child has ended; NULL when there is no child, or this process has been killed. Only this thread reaps its children, so
// the one returned stays.
static struct process *await_child(struct process *self)
{
	struct process *child;

	lock_acquire(&process_lock);
	while (!(child = ended_child(self)))
		if (!self->children || !sched_sleep(&self->child_ended, &process_lock))
			break;
	lock_release(&process_lock);
	return child;
}

int process_wait(uint64_t status_address)
{
	struct process *self = process_current();
	struct process *child = await_child(self);

	if (!child)
		return -1;
	if (status_address && space_copy_out(&self->space, status_address, &child->exit_status, sizeof(int)) != SPACE_OK)
		return -1;
	int pid = child->pid;
	lock_acquire(&process_lock);
	disown(child);
	lock_release(&process_lock);
	sched_wait_until_off();
	process_discard(child);
	return pid;
}

int process_kill(int pid)
{
	int result = -1;

	lock_acquire(&process_lock);
	for (struct process *p = process_all; p; p = p->all)
		if (p->pid == pid && p->user && p != process_init) {
			sched_kill(p);
			result = 0;
		}
	lock_release(&process_lock);
	return result;
}

// A process runs in the foreground when it descends from a child that init itself started (a shell), the child excluded. What a shell left
// behind in the background was inherited by init.
static bool is_foreground(const struct process *process)
{
	const struct process *top = process;

	if (!process->user || !process->parent)
		return false;
	while (top->parent && top->parent != process_init)
		top = top->parent;
	return top != process && !top->orphan;
}

void process_kill_foreground(void)
{
	lock_acquire(&process_lock);
	for (struct process *p = process_all; p; p = p->all)
		if (is_foreground(p) && process_state(p) != PROCESS_ZOMBIE)
			sched_kill(p);
	lock_release(&process_lock);
}

// Ends a killed process, lets others run where that was asked for. Out of line, so that process_leave needs no stack.
static __attribute__((noinline)) void leave_with_care(struct process *self)
{
	do {
		if (process_is_killed(self)) {
			interrupts_on();
			process_exit(-1);
		}
		sched_yield();
	} while (process_is_killed(self) || this_cpu()->reschedule);
}

void process_leave(struct trapframe *frame)
{
	struct process *self = process_current();

	(void)frame;
	if (process_is_killed(self) || this_cpu()->reschedule)
		leave_with_care(self);
}
