// heapinfo.c: the kernel's heap as programs and ^T see it: who has what of it, what was asked of it, and how much of it there may be.
//
//    kmalloc ──► trace (boot argument trace=) ──► quota (quota=) ──► the heap of heap=
//                  '──► heaptrace()                 '───────┬─────────'
//                                                           '──► heapinfo(), ^T
//
// Who asked is known of live blocks at CHECK=1 and above, of a trace's events always.
//
// Weakness: each report walks all of the heap with its lock held.
#include "kernel/process/heapinfo.h"

#include "kernel/machine/print.h"
#include "kernel/machine/string.h"
#include "kernel/machine/symbols.h"
#include "kernel/meminfo.h"
#include "kernel/process/syscall.h"
#include "mm/heap_report.h"
#include "mm/quota.h"
#include "mm/trace.h"
#include "mm/vmalloc.h"

static struct quota quota;
static struct trace trace;

void heapinfo_start(uint64_t bytes, uint64_t events)
{
	if (bytes)
		kmalloc_use(quota_create(&quota, kmalloc_heap(), bytes));
	if (!events)
		return;
	struct trace_event *ring = events < SIZE_MAX / sizeof *ring ? vmalloc(events * sizeof *ring) : NULL;
	if (ring)
		kmalloc_use(trace_create(&trace, kmalloc_heap(), ring, events));
	else
		kprintf("trace=%lu: there is no memory for so many events\n", events);
}

// Empty when it is not known.
static void name_place(char to[HEAP_PLACE], const void *caller)
{
	uint64_t offset = 0;
	const char *name = symbol_name((uint64_t)caller, &offset);

	to[0] = '\0';
	if (name)
		ksnprintf(to, HEAP_PLACE, "%s+0x%lx", name, offset);
}

static void fill(struct heapinfo *info)
{
	const struct heap *heap = kmalloc_heap();
	struct heap_report report;

	heap_report(heap, &report);
	*info = (struct heapinfo){ .blocks = report.blocks, .asked = report.asked, .used = report.used, .free = report.free,
				   .largest_free = report.largest_free, .limit = quota.limit, .charged = quota.used, .peak = quota.peak,
				   .refused = quota.refused, .events = trace.last };
	strlcpy(info->name, wrapper_core(heap)->ops->name, sizeof(info->name));
}

void heapinfo_print(void)
{
	struct heapinfo info;
	struct heap_place places[HEAP_PLACES];
	char name[HEAP_PLACE];

	fill(&info);
	kprintf("heap %s: %lu bytes in %lu blocks, %lu free, %lu of them in one\n", info.name, info.used, info.blocks, info.free,
		info.largest_free);
	if (info.limit)
		kprintf("  quota: %lu of %lu bytes used, %lu at most; %lu calls were refused\n", info.charged, info.limit, info.peak,
			info.refused);
	if (MM_CHECK)
		kprintf("  %lu bytes were asked for\n", info.asked);
	size_t count = MM_CHECK ? heap_places(kmalloc_heap(), places, HEAP_PLACES) : 0;
	for (size_t i = 0; i < count; i++) {
		name_place(name, places[i].caller);
		kprintf("  %8zu bytes in %zu blocks: %s\n", places[i].bytes, places[i].blocks, name[0] ? name : "others");
	}
}

int64_t call_heapinfo(const uint64_t *a)
{
	struct space *space = &process_current()->space;
	struct heap_place places[HEAP_PLACES];
	struct heapinfo info;
	int max = (int)a[2];

	if (max < 0)
		return -1;
	fill(&info);
	size_t count = heap_places(kmalloc_heap(), places, max < (int)HEAP_PLACES ? (size_t)max : HEAP_PLACES);
	if (space_copy_out(space, a[0], &info, sizeof(info)) != SPACE_OK)
		return -1;
	for (size_t i = 0; i < count; i++) {
		struct heapplace place = { .blocks = places[i].blocks, .bytes = places[i].bytes };
		name_place(place.name, places[i].caller);
		if (space_copy_out(space, a[1] + i * sizeof(place), &place, sizeof(place)) != SPACE_OK)
			return -1;
	}
	return (int64_t)count;
}

int64_t call_heaptrace(const uint64_t *a)
{
	struct space *space = &process_current()->space;
	struct trace_event event;
	uint64_t from = a[2];
	int max = (int)a[1], count = 0;

	if (max < 0 || !trace.ring)
		return -1;
	for (; count < max && trace_read(&trace, from, &event, 1) == 1; count++) {
		struct heapevent out = { .sequence = event.sequence, .block = (uint64_t)event.block, .bytes = event.bytes,
					 .align = event.align, .cpu = event.cpu, .op = event.op, .done = event.done };
		name_place(out.place, event.caller);
		if (space_copy_out(space, a[0] + (uint64_t)count * sizeof(out), &out, sizeof(out)) != SPACE_OK)
			return -1;
		from = event.sequence + 1;
	}
	return count;
}
