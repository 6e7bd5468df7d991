// trace_file.c: traces as text, and asked again. An address may stand for many blocks, one after the other: each gets a slot of its own.
#include "trace_file.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[] = { [TRACE_ALLOC] = "alloc", [TRACE_FREE] = "free", [TRACE_RESIZE] = "resize" };

void trace_print(FILE *to, const struct trace_event *event, const char *place)
{
	fprintf(to, "%llu %u %s%s %zu %u %lx %s\n", (unsigned long long)event->sequence, event->cpu, event->done ? "" : "!",
		names[event->op], event->bytes, event->align, (unsigned long)(uintptr_t)event->block, place);
}

static bool scan_line(const char *line, struct trace_event *event)
{
	unsigned long long sequence;
	unsigned long block;
	unsigned cpu, align;
	char name[16];
	size_t bytes;

	if (sscanf(line, "%llu %u %15s %zu %u %lx", &sequence, &cpu, name, &bytes, &align, &block) != 6)
		return false;
	bool done = name[0] != '!';
	for (uint8_t op = TRACE_ALLOC; op <= TRACE_RESIZE; op++) {
		*event = (struct trace_event){ .sequence = sequence, .block = (void *)block, .bytes = bytes, .align = align,
					       .cpu = (uint16_t)cpu, .op = op, .done = done };
		if (strcmp(name + !done, names[op]) == 0)
			return true;
	}
	return false;
}

size_t trace_scan(FILE *from, struct trace_event **events)
{
	struct trace_event event;
	size_t count = 0, room = 0;
	char line[256];

	*events = NULL;
	while (fgets(line, sizeof line, from)) {
		if (!scan_line(line, &event))
			continue;
		if (count == room) {
			room = room ? 2 * room : 1024;
			*events = realloc(*events, room * sizeof event);
			if (!*events)
				abort();
		}
		(*events)[count++] = event;
	}
	return count;
}

// ---- events to steps

struct known { // a live block, in a tree by address
	const void *block;
	size_t slot;
};

static int by_address(const void *a, const void *b)
{
	const struct known *one = a, *other = b;

	return (one->block > other->block) - (one->block < other->block);
}

static void add(struct replay *replay, uint8_t op, size_t slot, const struct trace_event *event)
{
	replay->step[replay->steps++] = (struct replay_step){ op, slot, event->bytes, event->align };
}

// What the trace lost by being read too slowly shows as a block that is given out twice: the first one was freed.
static void follow(struct replay *replay, const struct trace_event *event, struct known *fresh, void **tree)
{
	struct known wanted = { event->block, 0 }, **found = tfind(&wanted, tree, by_address);
	struct known *known = found ? *found : NULL;

	if (!event->done)
		return;
	if (event->op != TRACE_ALLOC && !known) {
		replay->unknown++;
		return;
	}
	if (event->op == TRACE_RESIZE) {
		add(replay, TRACE_RESIZE, known->slot, event);
		return;
	}
	if (known) {
		add(replay, TRACE_FREE, known->slot, event);
		tdelete(known, tree, by_address);
	}
	if (event->op == TRACE_ALLOC) {
		*fresh = (struct known){ event->block, replay->slots };
		add(replay, TRACE_ALLOC, replay->slots++, event);
		if (!tsearch(fresh, tree, by_address))
			abort();
	}
}

struct replay replay_make(const struct trace_event *event, size_t count)
{
	struct replay replay = { .step = calloc(2 * count + 1, sizeof(struct replay_step)) };
	struct known *known = calloc(count + 1, sizeof *known);
	void *tree = NULL;

	if (!replay.step || !known)
		abort();
	for (size_t i = 0; i < count; i++)
		follow(&replay, &event[i], &known[i], &tree);
	for (size_t i = 0; i < count; i++)
		tdelete(&known[i], &tree, by_address); // what is still live
	free(known);
	return replay;
}

void replay_drop(struct replay *replay)
{
	free(replay->step);
	*replay = (struct replay){ 0 };
}

// ---- steps to calls

struct owned {
	unsigned char *block;
	size_t bytes;
};

struct run {
	struct heap *heap;
	struct owned *owned; // by slot
	size_t live;         // bytes
	struct replay_result result;
};

static unsigned char mark_of(size_t slot)
{
	return (unsigned char)(slot * 37 + 1);
}

static void own(struct run *run, size_t slot, void *block, size_t bytes)
{
	struct owned *owned = &run->owned[slot];

	if (!block) {
		run->result.refused++;
		return;
	}
	run->live += bytes - owned->bytes;
	*owned = (struct owned){ block, bytes };
	owned->block[0] = owned->block[bytes - 1] = mark_of(slot);
	if (run->live > run->result.peak)
		run->result.peak = run->live;
}

static void look(const struct owned *owned, size_t slot)
{
	if (owned->block[0] != mark_of(slot) || owned->block[owned->bytes - 1] != mark_of(slot))
		port_panic("replay: a block was overwritten: it was given out twice", (uintptr_t)owned->block);
}

static void disown(struct run *run, size_t slot)
{
	struct owned *owned = &run->owned[slot];

	if (!owned->block)
		return; // it was refused
	look(owned, slot);
	heap_free(run->heap, owned->block);
	run->live -= owned->bytes;
	*owned = (struct owned){ 0 };
}

static void take(struct run *run, const struct replay_step *step)
{
	struct owned *owned = &run->owned[step->slot];

	if (step->op == TRACE_ALLOC) {
		own(run, step->slot, heap_alloc_aligned(run->heap, step->bytes, step->align), step->bytes);
	} else if (step->op == TRACE_FREE) {
		disown(run, step->slot);
	} else if (owned->block) {
		look(owned, step->slot);
		own(run, step->slot, heap_realloc(run->heap, owned->block, step->bytes), step->bytes);
	}
}

struct replay_result replay_run(const struct replay *replay, struct heap *heap)
{
	struct run run = { .heap = heap, .owned = calloc(replay->slots + 1, sizeof(struct owned)) };

	if (!run.owned)
		abort();
	for (size_t i = 0; i < replay->steps; i++)
		take(&run, &replay->step[i]);
	for (size_t slot = 0; slot < replay->slots; slot++)
		disown(&run, slot);
	free(run.owned);
	return run.result;
}
