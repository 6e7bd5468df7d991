// process.h: processes: creation, fork, exit, wait, kill, and what each one owns.
#pragma once

#include "kernel/machine/trap.h"
#include "kernel/param.h"
#include "kernel/process/sched.h"
#include "mm/space.h"

struct file;
struct inode;
struct psinfo;
struct trapframe;

enum process_state { PROCESS_NEW, PROCESS_READY, PROCESS_RUNNING, PROCESS_SLEEPING, PROCESS_ZOMBIE };

struct process {
	int pid;
	char name[16];
	enum process_state state;      // sched_lock to set
	bool killed;                   // sched_lock to set
	bool steady;                   // sched_lock; sleeps so that a kill does not wake it
	bool user;                     // false for a kernel thread
	bool has_space;                // translates through `space`; false for a kernel thread and near the end; atomic
	bool orphan;                   // process_lock; init inherited it
	int hart;                      // sched_lock; where it runs or last ran, -1: nowhere yet
	int exit_status;               // valid in a zombie
	uint64_t time, started;        // sched_lock; time units that it ran; when it was last switched to
	uint64_t wake_tick;            // sched_lock; end of a timed sleep
	struct process *next;          // in the run queue or a wait queue; sched_lock
	struct wait_queue *waiting_on; // sched_lock
	struct context context;
	void *stack;                   // kernel stack: vmalloc'ed, guard pages around it; NULL in a zombie
	struct trapframe *frame;       // at the stack's top
	void (*run)(void *argument);   // kernel thread: its function
	void *argument;
	struct space space;            // its own thread's
	size_t resident, table_pages;  // of the space when it was last switched away from or ticked: for others while it runs; atomic
	struct process *parent;        // process_lock
	struct process *sibling, *children; // process_lock
	struct wait_queue child_ended; // process_wait sleeps here, under process_lock
	struct process *all, **all_link; // process_lock; list of all processes
	struct file *files[NOFILE];
	struct inode *cwd;
};

static inline bool process_is_killed(const struct process *process)
{
	return __atomic_load_n(&process->killed, __ATOMIC_RELAXED);
}

static inline bool process_has_space(const struct process *process)
{
	return __atomic_load_n(&process->has_space, __ATOMIC_RELAXED);
}

static inline enum process_state process_state(const struct process *process) // of the moment, without sched_lock
{
	return __atomic_load_n(&process->state, __ATOMIC_RELAXED);
}

// The process that runs here, NULL on an idle hart. The kernel is not preempted, so the answer stays right until the caller sleeps.
static inline struct process *process_current(void)
{
	return this_cpu()->current;
}

void process_start_init(const char *path);                    // the first process
int process_fork(void);                                       // pid of the child, or -1
_Noreturn void process_exit(int status);
int process_wait(uint64_t status_address);                    // pid, or -1
int process_kill(int pid);                                    // 0, or -1
int process_exec(const char *path, char *const argv[]);       // kernel pointers; argc on success, -1 otherwise
void process_kill_foreground(void);                           // ^C
void process_list(void);                                      // ^P: to the console
void memory_reclaim(void);                                    // gives back all memory that is only kept for speed
void memory_report(void);                                     // ^T: to the console

// The rest is for kernel/process only.
#define PROGRAM_TOP (SPACE_STACK_TOP - SPACE_STACK_MAX - PAGE_BYTES) // above: a guard page and what the stack may grow to
extern struct lock process_lock;       // the tree, the list of all and the pids; taken before sched_lock
extern struct process *process_all;    // process_lock
extern struct process *process_init;   // the first one
struct process *process_new(const char *name, void (*entry)(void), bool user); // NULL: too many, or no memory
void process_discard(struct process *process);                // one that never ran, or a reaped zombie
