// ps.c: lists the processes: what each is doing, and the memory that it holds.

#include "kernel/param.h"
#include "user/quire.h"

static struct psinfo processes[NPROC + 16];

int main(void)
{
	static const char *const states[] = { "new", "ready", "running", "sleeping", "zombie" };
	int count = ps(processes, sizeof(processes) / sizeof(processes[0]));
	char resident[16], shared[16], space[16];

	if (count < 0)
		die("ps: the kernel does not tell");
	printf("  PID PARENT STATE    HART  RESIDENT    SHARED ADDRESSES NAME\n");
	for (int i = 0; i < count; i++) {
		const struct psinfo *p = &processes[i];

		printf("%5d %6d %-8s %4d %9s %9s %9s %s\n", p->pid, p->parent, (uint)p->state < 5 ? states[p->state] : "?", p->hart,
		       human(resident, p->memory.resident_pages * 4096), human(shared, p->memory.shared_pages * 4096),
		       human(space, p->memory.bytes), p->name);
	}
	return 0;
}
