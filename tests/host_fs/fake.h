// fake.h: the world around the file system on the host: a disk that remembers every write, threads for processes.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// What the disk was told, in order. Shared between the process that runs the file system and the one that judges.
struct event {
	uint32_t block; // 0: a flush
	uint32_t data;  // number of the copy in trace->data
};

#define TRACE_EVENTS 60000
#define TRACE_STATES 20000
#define WORKERS      4

struct trace {
	uint32_t events;
	uint32_t states[WORKERS];                 // states that each worker has gone through
	uint64_t state[WORKERS][TRACE_STATES];    // fingerprints
	uint32_t marks;
	struct {
		uint32_t event;                   // from this event on ...
		uint32_t state[WORKERS];          // ... a crash leaves each worker's part in this state or a later one
	} mark[TRACE_STATES];
	bool finished;
	struct event event[TRACE_EVENTS];
	unsigned char data[TRACE_EVENTS][4096];
};
extern struct trace *trace;

void world_start(unsigned char *image, uint32_t blocks, unsigned worker); // memory, the disk, and this thread as a process
void thread_start(unsigned worker);                                       // another thread as a process
void disk_fail_after(uint32_t writes);                                    // from then on the disk reports errors
void memory_fail_after(uint32_t pages);                                   // from then on page_alloc fails until called with UINT32_MAX
size_t pages_in_use(void);

void *shared_memory(size_t bytes); // zeroes, shared with processes forked later
void shared_free(void *start, size_t bytes);

uint64_t random_next(uint64_t *state);
uint64_t random_below(uint64_t *state, uint64_t limit);
