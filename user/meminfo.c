// meminfo.c: all that the kernel tells of its memory: zones, orders, per-CPU caches, slabs, and what each process holds.

#include "kernel/param.h"
#include "user/quire.h"

#define PAGE 4096

static struct meminfo info;

static const char *pages(uint64 count) // good until it has been called four times more
{
	static char texts[4][16];
	static uint next;

	return human(texts[next++ % 4], count * PAGE);
}

static void show_totals(void)
{
	uint64 tenths = info.metadata_bytes * 10 / info.total_pages;

	printf("%s managed by the %s engine, %s free; %lu pages of 4 KiB on %lu harts\n", pages(info.total_pages), info.engine,
	       pages(info.free_pages), info.total_pages, info.cpus);
	printf("%lu.%lu bytes of tables a page; a zone's lock was taken %lu times; kmalloc is %s\n", tenths / 10, tenths % 10,
	       info.lock_takings, info.heap);
	printf("disk buffers %s, mapped kernel blocks %s\n", pages(info.buffers), pages(info.vmalloc_pages));
}

static void show_zone(const struct meminfo_zone *zone)
{
	printf("\nzone %s, 0x%lx to 0x%lx: %s, free %s, in harts' caches %s, reserve %s\n", zone->name, zone->start, zone->end,
	       pages(zone->total_pages), pages(zone->free_pages), pages(zone->cached_pages), pages(zone->reserve_pages));
	printf("  block size");
	for (int order = 0; order < MEMINFO_ORDERS; order++)
		printf(" %8s", pages(1UL << order));
	printf("\n  free      ");
	for (int order = 0; order < MEMINFO_ORDERS; order++)
		printf(" %8lu", zone->blocks[order]);
	printf("\n");
}

static void show_slabs(void)
{
	printf("\nslab                     object bytes   in use   cached capacity   memory\n");
	for (uint64 i = 0; i < info.slab_count; i++) {
		const struct meminfo_slab *slab = &info.slabs[i];

		if (slab->pages > 0)
			printf("%-24s %12lu %8lu %8lu %8lu %8s\n", slab->name, slab->object_bytes, slab->used, slab->cached, slab->capacity,
			       pages(slab->pages));
	}
}

static void show_processes(void)
{
	static struct psinfo processes[NPROC];
	int count = ps(processes, NPROC);

	printf("\n  PID  RESIDENT    SHARED    TABLES ADDRESSES AREAS NAME\n");
	for (int i = 0; i < count; i++) {
		const struct meminfo_process *memory = &processes[i].memory;

		printf("%5d %9s %9s %9s %9s %5lu %s\n", processes[i].pid, pages(memory->resident_pages), pages(memory->shared_pages),
		       pages(memory->table_pages), pages(memory->bytes / PAGE), memory->areas, processes[i].name);
	}
}

int main(void)
{
	if (meminfo(&info, 0) < 0)
		die("meminfo: the kernel does not tell");
	show_totals();
	for (uint64 i = 0; i < info.zone_count; i++)
		show_zone(&info.zones[i]);
	show_slabs();
	show_processes();
	return 0;
}
