// hungry.c: takes areas until the kernel's heap has none left, and says what is refused then and what works again afterwards. It is to be
// run in a kernel with quota=.
#include "kernel/fcntl.h"
#include "user/quire.h"

#define MOST 20000

static char *area[MOST];

static int forks(void)
{
	int pid = fork();

	if (pid == 0)
		exit(0);
	return pid > 0 && wait(0) == pid;
}

int main(void)
{
	static char *arguments[] = { "echo", "exec was not refused", 0 };
	int count = 0, ends[2];

	while (count < MOST) { // neighbours with different rights stay areas of their own
		area[count] = mmap(0, 4096, count % 2 ? PROT_READ : PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (area[count] == MAP_FAILED)
			break;
		count++;
	}
	printf("mmap: %s\n", count < MOST && count > 0 ? "refused" : "?");
	printf("fork: %s\n", forks() ? "?" : "refused");
	exec("/echo", arguments);
	printf("exec: refused\n");
	printf("pipe: %s\n", pipe(ends) == 0 && write(ends[1], "x", 1) == 1 ? "works" : "?"); // not from the heap
	while (count > 0)
		munmap(area[--count], 4096);
	printf("afterwards: %s\n", forks() ? "works" : "?");
	return 0;
}
