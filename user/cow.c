// cow.c: shows that fork copies no memory: parent and child share every page until one of them writes to it.

#include "kernel/riscv.h"
#include "user/quire.h"

#define PAGE   4096
#define AMOUNT (8 << 20)

static struct meminfo info;

static uint64 free_pages(void)
{
	meminfo(&info, MEMINFO_EXACT);
	return info.free_pages;
}

static void show(const char *who, const char *when)
{
	char free_text[16], shared[16];

	free_pages();
	printf("%-7s %-36s free in the machine %9s, shared here %s\n", who, when, human(free_text, info.free_pages * PAGE),
	       human(shared, info.process.shared_pages * PAGE));
}

static void child(volatile char *heap, uint64 before)
{
	uint64 now = free_pages();

	show("child", "just forked");
	printf("the fork took %lu pages, though 2048 are there twice\n", before - now);
	for (int i = 0; i < AMOUNT / 4; i += PAGE)
		heap[i]++;
	show("child", "after writing to a quarter of them");
	printf("that took %lu pages\n", now - free_pages());
	exit(0);
}

int main(void)
{
	volatile char *heap = sbrk(AMOUNT);
	uint64 before, start;
	int wrong = 0;

	if (heap == SBRK_ERROR)
		die("cow: no memory");
	for (int i = 0; i < AMOUNT; i += PAGE)
		heap[i] = 1;
	show("parent", "with 8 MiB of its own");
	before = free_pages();
	start = r_instret();
	if (fork() == 0)
		child(heap, before);
	printf("parent  fork returned after %lu counts of instret\n", r_instret() - start);
	wait(0);
	for (int i = 0; i < AMOUNT; i += PAGE)
		wrong += heap[i] != 1;
	show("parent", "after the child's end");
	printf("the child's writes changed %d of the parent's bytes\n", wrong);
	return wrong != 0;
}
