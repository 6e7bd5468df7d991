// heap.c: the kernel's heap: `heap` tells how much is in use and who asked for it, `heap trace` what was asked of it, call by call.
//
// The lines of a trace are what mm/host/trace_file.h reads: a kernel's own trace can be asked again of every heap on the host.

#include "user/quire.h"

#define EVENTS 64 // of a trace, at a time

static struct heapinfo info;

static void show_use(void)
{
	static struct heapplace places[HEAP_PLACES];
	char used[16], free[16], largest[16], asked[16], limit[16], charged[16], peak[16];
	int count = heapinfo(&info, places, HEAP_PLACES);

	printf("heap %s: %s in %lu blocks; %s asked for; free %s, %s of it in one block\n", info.name, human(used, info.used), info.blocks,
	       human(asked, info.asked), human(free, info.free), human(largest, info.largest_free));
	if (info.limit)
		printf("quota: %s of %s used, %s at most; %lu calls were refused\n", human(charged, info.charged), human(limit, info.limit),
		       human(peak, info.peak), info.refused);
	if (info.events)
		printf("trace: %lu calls so far: heap trace\n", info.events);
	printf("\n     bytes   blocks asked for by\n");
	for (int i = 0; i < count; i++)
		printf("%10lu %8lu %s\n", places[i].bytes, places[i].blocks, places[i].name[0] ? places[i].name : "(others, or CHECK=0)");
}

// Only what happened before it began: otherwise it might never end.
static void show_trace(void)
{
	static const char *const names[] = { "?", "alloc", "free", "resize" };
	static struct heapevent events[EVENTS];
	uint64 next = 1;
	int count;

	while ((count = heaptrace(events, EVENTS, next)) > 0 && next <= info.events)
		for (int i = 0; i < count; i++) {
			const struct heapevent *e = &events[i];

			next = e->sequence + 1;
			printf("%lu %u %s%s %lu %u %lx %s\n", e->sequence, e->cpu, e->done ? "" : "!", names[e->op & 3], e->bytes, e->align,
			       e->block, e->place);
		}
	if (count < 0)
		die("heap: nothing is traced: boot with trace=EVENTS, the number of calls to keep");
}

int main(int argc, char *argv[])
{
	if (argc > 2 || (argc == 2 && strcmp(argv[1], "trace") != 0))
		die("usage: heap [trace]");
	if (heapinfo(&info, 0, 0) < 0)
		die("heap: the kernel does not tell");
	if (argc == 2)
		show_trace();
	else
		show_use();
	return 0;
}
