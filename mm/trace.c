// trace.c: a heap that wraps another and writes down what is asked of it, in a ring of events.
//
//    alloc, free, resize ──► inner heap ──► ring[sequence % room]          ring  | 9 | 10 | 11 | 12 | 5 | 6 | 7 | 8 |
//                                             '──► trace_read                                      newest  oldest
//
// Numbers show the order, since every event is written under the wrapper's lock. Sizes are what the caller asked for: what the entry adds
// at level 1 and above is taken off again; addresses are those of the inner heap's blocks. What a trace holds can be asked again of any
// heap: mm/host/trace_file.h.
//
//    TR1  the events at hand are the last ones, without a gap, each at the place that its number says     TR2  each is of a known kind
//
// Cost: a store of 40 bytes a call. Weakness: as wrapper.c; what the entry refuses or answers by itself (no bytes, a shrink within the
// block) is not seen; at level 1 and above the new size of a resized block looks larger by what its alignment is above HEAP_ALIGN.
// Source: Wilson, Johnstone, Neely and Boles, "Dynamic storage allocation: a survey and critical review", IWMM 1995, which shows that
// random calls say little of an allocator, and recorded ones much.
#include "trace.h"

#include "heap_entry.h"

static struct trace_event *place_of(const struct trace *trace, uint64_t sequence)
{
	return &trace->ring[sequence % trace->room];
}

static void record(struct heap *heap, struct trace_event event)
{
	struct trace *trace = (struct trace *)heap;
	struct pin pin = port_pin();

	port_unpin(pin);
	event.cpu = (uint16_t)pin.cpu;
	event.caller = heap->caller;
	event.sequence = ++trace->last;
	*place_of(trace, event.sequence) = event;
}

static void *trace_alloc(struct heap *heap, size_t bytes, size_t align)
{
	void *block = wrapper_alloc(heap, bytes, align);

	record(heap, (struct trace_event){ .op = TRACE_ALLOC, .block = block, .bytes = bytes - heap_around(align), .align = (uint32_t)align,
					   .done = block });
	return block;
}

static void trace_free(struct heap *heap, void *block)
{
	record(heap, (struct trace_event){ .op = TRACE_FREE, .block = block, .done = true }); // first: should it be a mistake, it shows
	wrapper_free(heap, block);
}

static bool trace_resize(struct heap *heap, void *block, size_t bytes)
{
	bool done = wrapper_resize(heap, block, bytes);

	record(heap, (struct trace_event){ .op = TRACE_RESIZE, .block = block, .bytes = bytes - heap_around(HEAP_ALIGN), .done = done });
	return done;
}

static uint64_t oldest(const struct trace *trace)
{
	return trace->last > trace->room ? trace->last - trace->room + 1 : 1;
}

static struct verdict trace_check(const struct heap *heap)
{
	const struct trace *trace = (const struct trace *)heap;

	for (uint64_t sequence = oldest(trace); sequence <= trace->last; sequence++) {
		const struct trace_event *event = place_of(trace, sequence);

		HOLDS("TR1", event->sequence == sequence, event);
		HOLDS("TR2", event->op >= TRACE_ALLOC && event->op <= TRACE_RESIZE, event);
	}
	return wrapper_check(heap);
}

static const struct heap_ops trace_ops = {
	.name = "trace",
	.alloc = trace_alloc,
	.free = trace_free,
	.usable = wrapper_usable,
	.resize = trace_resize,
	.inspect = wrapper_inspect,
	.trim = wrapper_trim,
	.check = trace_check,
	.walk = wrapper_walk,
};

struct heap *trace_create(struct trace *trace, struct heap *inner, struct trace_event *ring, size_t room)
{
	*trace = (struct trace){ .wrapper = wrapper_around(inner, &trace_ops), .ring = ring, .room = room };
	return &trace->wrapper.heap;
}

size_t trace_read(struct trace *trace, uint64_t from, struct trace_event *to, size_t max)
{
	size_t count = 0;

	lock_acquire(&trace->wrapper.heap.lock);
	for (uint64_t at = from < oldest(trace) ? oldest(trace) : from; count < max && at <= trace->last; at++)
		to[count++] = *place_of(trace, at);
	lock_release(&trace->wrapper.heap.lock);
	return count;
}
