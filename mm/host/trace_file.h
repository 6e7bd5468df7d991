// trace_file.h: what a trace recorded (mm/trace.h), as lines of text, and asked again of any heap.
//
//     kernel ──► `heap trace` in the guest ──► lines ──► trace_scan ──► events ──► replay_make ──► steps ──► replay_run, over any of HEAPS
//     a traced heap on the host ──► trace_read ─────────────────────────────'
//
//     sequence cpu op bytes align block place      12 0 alloc 72 16 ffffffc080a01000 copy_area+0x3c     an op with a `!` was refused
#pragma once

#include <stdio.h>

#include "../trace.h"

void trace_print(FILE *to, const struct trace_event *event, const char *place);
// All events in the text, malloc'ed; other lines are passed over. How many.
size_t trace_scan(FILE *from, struct trace_event **events);

struct replay_step {
	uint8_t op; // enum trace_op
	size_t slot, bytes, align;
};

struct replay {
	struct replay_step *step;
	size_t steps, slots;
	size_t unknown; // events about blocks that are older than the trace: left out
};

struct replay_result {
	size_t refused; // calls
	size_t peak;    // bytes asked for of all live blocks, at most
};

struct replay replay_make(const struct trace_event *event, size_t count);
void replay_drop(struct replay *replay);
// Takes every step, then frees what is left. A block that somebody else wrote to in the meantime ends the program: port_panic.
struct replay_result replay_run(const struct replay *replay, struct heap *heap);
