// meminfo.c: what the machine's memory is used for and who runs: for programs (meminfo, ps) and for the console's keys ^T and ^P.
//
//    page, slab, vmalloc, buffers -> struct meminfo -> user memory
//    process records              -> struct psinfo  -> user memory, one at a time, in rising order of pids
//
// A process's page tables may be walked by another hart only while that process cannot run: sched_lock is held, and it is not RUNNING.
// Of one that runs, only the counters are told.
//
// Weakness: walking a large process's tables holds up all scheduling for that long (about a millisecond for 100 MiB).
#include "kernel/meminfo.h"

#include "kernel/fs/buffer.h"
#include "kernel/machine/print.h"
#include "kernel/machine/string.h"
#include "kernel/process/heapinfo.h"
#include "kernel/process/syscall.h"
#include "mm/page.h"
#include "mm/slab.h"
#include "mm/vmalloc.h"
#include "mm/wrapper.h"

static const char *const state_names[] = {
	[PROCESS_NEW] = "new", [PROCESS_READY] = "ready", [PROCESS_RUNNING] = "running", [PROCESS_SLEEPING] = "sleeping",
	[PROCESS_ZOMBIE] = "zombie",
};

static void fill_process(struct meminfo_process *out, const struct space *space)
{
	struct space_report report;

	space_report(space, &report);
	*out = (struct meminfo_process){ report.resident, report.shared, report.tables, report.areas, report.bytes };
}

static void fill_zones(struct meminfo *info)
{
	struct page_zone_report zones[PAGE_ZONES];

	info->zone_count = page_report(zones);
	for (unsigned i = 0; i < info->zone_count; i++) {
		struct meminfo_zone *out = &info->zones[i];
		strlcpy(out->name, zones[i].name, sizeof(out->name));
		out->start = zones[i].start;
		out->end = zones[i].end;
		out->total_pages = zones[i].total;
		out->free_pages = zones[i].free;
		out->cached_pages = zones[i].cached;
		out->reserve_pages = zones[i].reserve;
		for (unsigned order = 0; order < MEMINFO_ORDERS; order++)
			out->blocks[order] = zones[i].blocks[order];
	}
}

static void fill_slabs(struct meminfo *info)
{
	struct kmem_report slabs[MEMINFO_SLABS];
	size_t count = kmem_report(slabs, MEMINFO_SLABS);

	info->slab_count = count < MEMINFO_SLABS ? count : MEMINFO_SLABS;
	for (unsigned i = 0; i < info->slab_count; i++) {
		struct meminfo_slab *out = &info->slabs[i];
		strlcpy(out->name, slabs[i].name, sizeof(out->name));
		out->object_bytes = slabs[i].object_bytes;
		out->used = slabs[i].used;
		out->cached = slabs[i].cached;
		out->capacity = slabs[i].capacity;
		out->pages = slabs[i].pages;
	}
}

static void fill(struct meminfo *info)
{
	const struct heap *heap = kmalloc_heap();

	strlcpy(info->engine, page_engine_name(), sizeof(info->engine));
	strlcpy(info->heap, heap ? wrapper_core(heap)->ops->name : "", sizeof(info->heap));
	info->cpus = (uint64_t)__builtin_popcount(cpu_online());
	info->total_pages = page_total_count();
	info->free_pages = page_free_count();
	info->metadata_bytes = page_metadata_bytes();
	info->lock_takings = page_lock_acquisitions();
	info->vmalloc_pages = vmalloc_pages();
	info->buffers = buffer_count();
	fill_zones(info);
	fill_slabs(info);
	fill_process(&info->process, &process_current()->space);
}

void memory_reclaim(void)
{
	stack_trim();
	kmem_reap();
	page_drain();
}

int64_t call_meminfo(const uint64_t *a)
{
	struct meminfo info = { 0 };
	int flags = (int)a[1];

	if (flags & ~MEMINFO_EXACT)
		return -1;
	if (flags & MEMINFO_EXACT)
		memory_reclaim();
	fill(&info);
	return result_of(space_copy_out(&process_current()->space, a[0], &info, sizeof(info)));
}

// The process with the lowest pid above `pid`; process_lock held.
static struct process *next_process(int pid)
{
	struct process *next = NULL;

	for (struct process *p = process_all; p; p = p->all)
		if (p->pid > pid && (!next || p->pid < next->pid))
			next = p;
	return next;
}

static void describe(struct psinfo *info, const struct process *process) // process_lock held
{
	*info = (struct psinfo){ .pid = process->pid };
	info->parent = process->parent ? process->parent->pid : 0;
	strlcpy(info->name, process->name, sizeof(info->name));
	lock_acquire(&sched_lock);
	info->state = (int)process->state;
	info->hart = process->hart;
	info->time = process->time;
	if (process_has_space(process) && process->state != PROCESS_NEW) {
		info->memory.resident_pages = __atomic_load_n(&process->resident, __ATOMIC_RELAXED);
		info->memory.table_pages = __atomic_load_n(&process->table_pages, __ATOMIC_RELAXED);
		if (process == process_current() || process->state != PROCESS_RUNNING)
			fill_process(&info->memory, &process->space);
	}
	lock_release(&sched_lock);
}

int64_t call_ps(const uint64_t *a)
{
	struct space *space = &process_current()->space;
	int max = (int)a[1], count = 0, pid = 0;

	if (max < 0)
		return -1;
	for (; count < max; count++) {
		struct psinfo info;
		lock_acquire(&process_lock);
		struct process *process = next_process(pid);
		if (process)
			describe(&info, process);
		lock_release(&process_lock);
		if (!process)
			break;
		pid = info.pid;
		if (space_copy_out(space, a[0] + (uint64_t)count * sizeof(info), &info, sizeof(info)) != SPACE_OK)
			return -1;
	}
	return count;
}

void process_list(void)
{
	kprintf("\n  pid parent state    pages name\n");
	lock_acquire(&process_lock);
	for (struct process *p = next_process(0); p; p = next_process(p->pid))
		kprintf("%5d %6d %-8s %5zu %s\n", p->pid, p->parent ? p->parent->pid : 0, state_names[process_state(p)],
			process_has_space(p) ? __atomic_load_n(&p->resident, __ATOMIC_RELAXED) : 0, p->name);
	lock_release(&process_lock);
}

static void report_zone(const struct page_zone_report *zone)
{
	kprintf("  %s: %zu of %zu pages free, %zu more in the harts' caches; free blocks by order:", zone->name, zone->free, zone->total,
		zone->cached);
	for (unsigned order = 0; order <= PAGE_MAX_ORDER; order++)
		kprintf(" %zu", zone->blocks[order]);
	kprintf("\n");
}

void memory_report(void)
{
	struct page_zone_report zones[PAGE_ZONES];
	struct kmem_report slabs[MEMINFO_SLABS];
	unsigned zone_count = page_report(zones);
	size_t slab_count = kmem_report(slabs, MEMINFO_SLABS), slab_pages = 0;

	kprintf("\n%zu of %zu pages free (%s)\n", page_free_count(), page_total_count(), page_engine_name());
	for (unsigned i = 0; i < zone_count; i++)
		report_zone(&zones[i]);
	for (size_t i = 0; i < slab_count && i < MEMINFO_SLABS; i++)
		slab_pages += slabs[i].pages;
	kprintf("  %zu pages in slabs of %zu caches, %zu in disk buffers, %zu in kernel stacks and other mapped blocks\n", slab_pages,
		slab_count, buffer_count(), vmalloc_pages());
	if (kmalloc_heap())
		heapinfo_print();
}
