// process.h: processes: creation, fork, exit, wait, kill, and what each one owns.
#pragma once

#include "kernel/machine/trap.h"
#include "kernel/param.h"
#include "kernel/process/sched.h"
#include "mm/space.h"

struct file;
struct inode;

enum process_state { PROCESS_NEW, PROCESS_READY, PROCESS_RUNNING, PROCESS_SLEEPING, PROCESS_ZOMBIE };

struct process {
	int pid;
	char name[16];
	enum process_state state;      // sched_lock
	bool killed;                   // sched_lock to set
	int exit_status;
	struct process *next;          // in the run queue or a wait queue; sched_lock
	struct wait_queue *waiting_on; // sched_lock
	struct context context;
	void *stack;                   // kernel stack: vmalloc'ed, guard pages around it
	struct trapframe *frame;       // at the stack's top
	struct space space;            // its own thread's
	struct process *parent;        // process_lock
	struct process *sibling, *children; // process_lock
	struct file *files[NOFILE];
	struct inode *cwd;
};

struct process *process_current(void);
void process_start_init(const char *path);                    // the first process
int process_fork(void);                                       // pid of the child, or -1
_Noreturn void process_exit(int status);
int process_wait(uint64_t status_address);                    // pid, or -1
int process_kill(int pid);                                    // 0, or -1
int process_exec(const char *path, char *const argv[]);       // kernel pointers; argc on success, -1 otherwise
void process_kill_foreground(void);                           // ^C
void process_list(void);                                      // ^P: to the console
