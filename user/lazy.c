// lazy.c: shows that sbrk gives addresses, not memory: pages come one by one, at the first touch of each.

#include "user/quire.h"

#define PAGE   4096
#define AMOUNT (32 << 20)

static struct meminfo info;

static void show(const char *when)
{
	char free_text[16], resident[16], tables[16];

	meminfo(&info, MEMINFO_EXACT);
	printf("%-38s resident %9s, page tables %7s, free in the machine %s\n", when, human(resident, info.process.resident_pages * PAGE),
	       human(tables, info.process.table_pages * PAGE), human(free_text, info.free_pages * PAGE));
}

int main(void)
{
	volatile char *heap;
	char text[16];
	int sum = 0;

	show("before");
	if ((heap = sbrk(AMOUNT)) == SBRK_ERROR)
		die("lazy: no %s of addresses", human(text, AMOUNT));
	show("after sbrk of 32 MiB");
	heap[0] = 1;
	show("after a touch of its first byte");
	heap[AMOUNT - 1] = 1;
	show("after a touch of its last byte");
	for (int i = 0; i < 1 << 20; i += PAGE)
		heap[i] = 1;
	show("after a touch of each page of 1 MiB");
	for (int i = 1 << 20; i < 2 << 20; i += PAGE)
		sum += heap[i];
	printf("the bytes that were never written add up to %d\n", sum);
	sbrk(-AMOUNT);
	show("after giving it back");
	return 0;
}
