// crash.c: the work of which every crash is judged: workers that change files at random and note each state they go through.
//
//	workers: create, write, cut, link, unlink, sync ...  ->  kernel/fs  ->  disk: w w w F w F w w w F ...      (F: flush)
//	                |                                                                 |
//	   trace: a fingerprint after each operation,                        trace: each write and flush
//	          how far each worker was at each completed sync
//
// judge.c looks at the trace. Each worker has a directory of its own with two directories in it and six names in each, and a model of what
// should be there; some names are links to one file. A write is at most one operation of the journal long, so that each has one outcome.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake.h"
#include "kernel/fcntl.h"
#include "kernel/fs.h"
#include "kernel/fs/file.h"
#include "kernel/stat.h"
#include "tests.h"

#define NAMES      6  // in each of a worker's three directories
#define PLACES     (3 * NAMES)
#define LARGEST    (14u * BLOCK_BYTES) // reaches into the single-indirect block
#define WRITE_MOST (8u * BLOCK_BYTES)  // one operation of the journal

struct content { // of a file, shared by its names
	unsigned names;
	uint32_t size;
	unsigned char bytes[LARGEST];
};

struct worker {
	unsigned number;
	uint64_t random;
	unsigned steps;
	bool subdirectory[3]; // [0] is the worker's own
	struct content *at[PLACES];
};

uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		hash = (hash ^ ((const unsigned char *)bytes)[i]) * 0x100000001b3ull;
	return hash;
}

uint64_t hash_entry(const char *path, short type, uint64_t content)
{
	uint64_t hash = hash_bytes(0xcbf29ce484222325ull ^ content, path, strlen(path));
	return random_next(&hash) + (uint64_t)type;
}

static const char *place_path(unsigned place, char path[16])
{
	unsigned directory = place / NAMES;
	if (directory)
		snprintf(path, 16, "/d%u/n%u", directory, place % NAMES);
	else
		snprintf(path, 16, "/n%u", place % NAMES);
	return path;
}

static uint64_t model_fingerprint(const struct worker *w)
{
	char path[16];
	uint64_t sum = 0;
	for (unsigned d = 1; d < 3; d++) {
		snprintf(path, sizeof path, "/d%u", d);
		sum += w->subdirectory[d] ? hash_entry(path, T_DIR, 0) : 0;
	}
	for (unsigned p = 0; p < PLACES; p++)
		if (w->at[p])
			sum += hash_entry(place_path(p, path), T_FILE, hash_bytes(w->at[p]->size, w->at[p]->bytes, w->at[p]->size));
	return sum;
}

static void note_state(const struct worker *w)
{
	uint32_t at = trace->states[w->number];
	if (at == TRACE_STATES)
		abort();
	trace->state[w->number][at] = model_fingerprint(w);
	__atomic_store_n(&trace->states[w->number], at + 1, __ATOMIC_RELEASE);
}

void must(bool good, const char *what)
{
	if (!good) {
		printf("failed: %s\n", what);
		fflush(stdout);
		abort();
	}
}

static const char *full_path(const struct worker *w, unsigned place, char path[32])
{
	char tail[16];
	snprintf(path, 32, "/w%u%s", w->number, place_path(place, tail));
	return path;
}

static void forget_name(struct worker *w, unsigned place)
{
	if (--w->at[place]->names == 0)
		free(w->at[place]);
	w->at[place] = NULL;
}

static void step_create(struct worker *w, unsigned place)
{
	char path[32];
	struct file *file = file_open(full_path(w, place, path), O_CREATE | O_RDWR);
	must(file, "create");
	if (!w->at[place]) {
		w->at[place] = calloc(1, sizeof *w->at[place]);
		w->at[place]->names = 1;
		note_state(w);
	}
	file_close(file);
}

static void step_write(struct worker *w, unsigned place)
{
	static _Thread_local unsigned char bytes[WRITE_MOST];
	char path[32];
	struct content *c = w->at[place];
	bool append = random_below(&w->random, 2);
	uint32_t start = append ? c->size : 0, most = LARGEST - start < WRITE_MOST ? LARGEST - start : WRITE_MOST;
	if (most == 0)
		return;
	uint32_t count = 1 + (uint32_t)random_below(&w->random, random_below(&w->random, 3) ? most : most < 300 ? most : 300);
	for (uint32_t i = 0; i < count; i++)
		bytes[i] = (unsigned char)random_next(&w->random);
	struct file *file = file_open(full_path(w, place, path), append ? O_WRONLY | O_APPEND : O_RDWR);
	must(file && file_write(file, (struct memory){ false, (uintptr_t)bytes }, (int)count) == (int)count, "write");
	memcpy(c->bytes + start, bytes, count);
	c->size = start + count > c->size ? start + count : c->size;
	note_state(w);
	file_close(file);
}

static void step_cut(struct worker *w, unsigned place)
{
	char path[32];
	struct file *file = file_open(full_path(w, place, path), O_WRONLY | O_TRUNC);
	must(file, "truncate");
	w->at[place]->size = 0;
	note_state(w);
	file_close(file);
}

static void step_unlink(struct worker *w, unsigned place)
{
	char path[32];
	struct file *file = random_below(&w->random, 2) ? file_open(full_path(w, place, path), O_RDWR) : NULL;
	bool last = w->at[place]->names == 1;
	must(fs_unlink(full_path(w, place, path)) == 0, "unlink");
	forget_name(w, place);
	note_state(w);
	if (file && last)
		must(file_write(file, (struct memory){ false, (uintptr_t)"nameless" }, 8) == 8, "write to a nameless file");
	if (file)
		file_close(file);
}

static void step_link(struct worker *w, unsigned from, unsigned to)
{
	char old[32], new[32];
	must(fs_link(full_path(w, from, old), full_path(w, to, new)) == 0, "link");
	w->at[to] = w->at[from];
	w->at[to]->names++;
	note_state(w);
}

static void step_directory(struct worker *w, unsigned d)
{
	char path[32];
	bool empty = true;
	snprintf(path, sizeof path, "/w%u/d%u", w->number, d);
	for (unsigned p = d * NAMES; p < (d + 1) * NAMES; p++)
		empty &= !w->at[p];
	int result = w->subdirectory[d] ? fs_unlink(path) : fs_mkdir(path);
	must(result == (w->subdirectory[d] && !empty ? -1 : 0), "mkdir or rmdir");
	if (result == 0)
		w->subdirectory[d] = !w->subdirectory[d];
	note_state(w);
}

static void step_read(struct worker *w, unsigned place)
{
	static _Thread_local unsigned char bytes[LARGEST + 1];
	char path[32];
	struct content *c = w->at[place];
	struct file *file = file_open(full_path(w, place, path), O_RDONLY);
	must(file && file_read(file, (struct memory){ false, (uintptr_t)bytes }, sizeof bytes) == (int)c->size, "read");
	must(memcmp(bytes, c->bytes, c->size) == 0, "what was read");
	file_close(file);
}

static pthread_mutex_t marks = PTHREAD_MUTEX_INITIALIZER;

static void step_sync(void)
{
	uint32_t states[WORKERS];
	for (unsigned i = 0; i < WORKERS; i++) {
		uint32_t count = __atomic_load_n(&trace->states[i], __ATOMIC_ACQUIRE);
		states[i] = count ? count - 1 : 0;
	}
	fs_sync();
	pthread_mutex_lock(&marks);
	if (trace->marks < TRACE_STATES) {
		trace->mark[trace->marks].event = __atomic_load_n(&trace->events, __ATOMIC_ACQUIRE);
		memcpy(trace->mark[trace->marks].state, states, sizeof states);
		trace->marks++;
	}
	pthread_mutex_unlock(&marks);
}

static void step(struct worker *w)
{
	unsigned place = (unsigned)random_below(&w->random, PLACES), other = (unsigned)random_below(&w->random, PLACES);
	uint64_t dice = random_below(&w->random, 100);

	if (dice < 2) {
		step_sync();
	} else if (dice < 8) {
		step_directory(w, 1 + (unsigned)random_below(&w->random, 2));
	} else if (!w->subdirectory[place / NAMES] || !w->subdirectory[other / NAMES]) {
		return;
	} else if (!w->at[place]) {
		step_create(w, place);
	} else if (dice < 55) {
		step_write(w, place);
	} else if (dice < 65) {
		step_read(w, place);
	} else if (dice < 72) {
		step_cut(w, place);
	} else if (dice < 80 && !w->at[other]) {
		step_link(w, place, other);
	} else {
		step_unlink(w, place);
	}
}

static void *work(void *argument)
{
	struct worker *w = argument;
	char path[8];

	thread_start(w->number);
	snprintf(path, sizeof path, "/w%u", w->number);
	w->subdirectory[0] = true;
	must(fs_mkdir(path) == 0, "mkdir");
	note_state(w); // nothing in it
	for (unsigned i = 0; i < w->steps; i++)
		step(w);
	return NULL;
}

// In a process of its own: runs the workers over the image.
void crash_workload(unsigned char *image, uint32_t blocks, unsigned workers, unsigned steps, uint64_t seed)
{
	static struct worker all[WORKERS];
	pthread_t threads[WORKERS];

	world_start(image, blocks, 99);
	fs_start();
	for (unsigned i = 0; i < workers; i++) {
		all[i] = (struct worker){ .number = i, .random = seed * 1000 + i, .steps = steps };
		pthread_create(&threads[i], NULL, work, &all[i]);
	}
	for (unsigned i = 0; i < workers; i++)
		pthread_join(threads[i], NULL);
	step_sync();
	for (unsigned i = 0; i < workers; i++)
		for (unsigned p = 0; p < PLACES; p++)
			if (all[i].at[p])
				step_read(&all[i], p);
	trace->finished = true;
}
