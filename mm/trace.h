// trace.h: a heap that wraps another and writes down what is asked of it, in a ring of events.
#pragma once

#include "wrapper.h"

enum trace_op { TRACE_ALLOC = 1, TRACE_FREE, TRACE_RESIZE };

struct trace_event {
	uint64_t sequence;  // 1 is the first since trace_create
	const void *block;  // alloc: what was given, NULL when it was refused; else the block that it is about
	const void *caller; // who asked, where the entry was told
	size_t bytes;       // that the caller asked for; free: 0
	uint32_t align;     // alloc: a power of two >= HEAP_ALIGN; else 0
	uint16_t cpu;
	uint8_t op;         // enum trace_op
	bool done;          // false: refused
};

struct trace {
	struct wrapper wrapper; // pass &wrapper.heap to heap_alloc and so on
	struct trace_event *ring;
	size_t room;            // events that the ring holds
	uint64_t last;          // sequence number of the newest event, 0: none
};

// Wraps `inner` with a ring of `room` > 0 events, which the caller keeps. Blocks of the wrapper must be freed through the wrapper.
struct heap *trace_create(struct trace *trace, struct heap *inner, struct trace_event *ring, size_t room);

// Copies events in the order in which they happened, from number `from` on or from the oldest that is still there; how many, at most `max`.
// A reader goes on at the last one's number + 1; a gap in the numbers is what it was too slow for.
size_t trace_read(struct trace *trace, uint64_t from, struct trace_event *to, size_t max);
