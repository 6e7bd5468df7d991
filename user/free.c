// free.c: how much memory there is and what it is used for, in one screen.

#include "user/quire.h"

#define PAGE 4096

static void line(const char *what, uint64 pages, uint64 all)
{
	char text[16];

	printf("%-31s %9s %3lu.%lu %%\n", what, human(text, pages * PAGE), pages * 100 / all, pages * 1000 / all % 10);
}

int main(void)
{
	static struct meminfo info;
	uint64 cached = 0, slabs = 0;

	if (meminfo(&info, 0) < 0)
		die("free: the kernel does not tell");
	for (uint64 i = 0; i < info.zone_count; i++)
		cached += info.zones[i].cached_pages;
	for (uint64 i = 0; i < info.slab_count; i++)
		slabs += info.slabs[i].pages;
	line("memory under management", info.total_pages, info.total_pages);
	line("free", info.free_pages, info.total_pages);
	line("  of it ready in harts' caches", cached, info.total_pages);
	line("used", info.total_pages - info.free_pages, info.total_pages);
	line("  of it disk buffers", info.buffers, info.total_pages);
	line("  of it kernel objects", slabs, info.total_pages);
	return 0;
}
