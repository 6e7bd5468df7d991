// crash.c: does the file system survive a power cut between any two writes? Runs kernel/fs on the host and judges every possible wreck.
//
//	workers: create, write, cut, link, unlink, sync ...  ->  kernel/fs  ->  disk: w w w F w F w w w F ...      (F: flush)
//	                |                                                         |
//	    fingerprint after each operation                 for each point: all writes up to it, and random subsets
//	                                                     of those after the last flush, some torn between sectors
//	                |                                                         |
//	                '------------> fsck finds nothing, and each worker's files are as after one of its <--'
//	                               operations, not before its last completed sync
//
// A sample of the wrecks is also mounted by the kernel's code, used, synced and checked again.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake.h"
#include "kernel/fcntl.h"
#include "kernel/fs/file.h"

#define FSCK_LIBRARY
#include "tools/fsck.c"

#include "tests.h"

#define NAMES      6  // in each of a worker's three directories
#define PLACES     (3 * NAMES)
#define LARGEST    (14u * BSIZE) // reaches into the single-indirect block
#define WRITE_MOST (8u * BSIZE)  // one operation of the journal

// --- the workers, in the process that runs the file system ---------------------------------------------------------------------------

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

static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		hash = (hash ^ ((const unsigned char *)bytes)[i]) * 0x100000001b3ull;
	return hash;
}

static uint64_t hash_entry(const char *path, short type, uint64_t content)
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

static void must(bool good, const char *what)
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

// --- the judge -----------------------------------------------------------------------------------------------------------------------

static uint find_entry(const struct fsck *check, uint directory, const char *name)
{
	for (uint i = 0; i < fsck_inode(check, directory)->size / sizeof(struct dirent); i++) {
		const struct dirent *e = entry_at(check, directory, i);
		if (e && e->inum && strncmp(e->name, name, DIRSIZ) == 0)
			return e->inum;
	}
	return 0;
}

static uint64_t tree_fingerprint(const struct fsck *check, uint directory, const char *prefix)
{
	uint64_t sum = 0;
	for (uint i = 2; i < fsck_inode(check, directory)->size / sizeof(struct dirent); i++) {
		const struct dirent *e = entry_at(check, directory, i);
		char path[64];
		if (!e || e->inum == 0)
			continue;
		snprintf(path, sizeof path, "%s/%.*s", prefix, DIRSIZ, e->name);
		const struct dinode *d = fsck_inode(check, e->inum);
		uint64_t hash = d->size;
		for (uint at = 0; d->type == T_FILE && at < d->size; at += BSIZE)
			hash = hash_bytes(hash, content_block(check, d, at / BSIZE), d->size - at < BSIZE ? d->size - at : BSIZE);
		sum += hash_entry(path, d->type, d->type == T_DIR ? 0 : hash);
		if (d->type == T_DIR)
			sum += tree_fingerprint(check, e->inum, path);
	}
	return sum;
}

// Whether the worker's files are as they were after one of its operations, at or after number `from`.
static bool is_a_state(const struct fsck *check, unsigned worker, uint32_t from)
{
	char name[8];
	snprintf(name, sizeof name, "w%u", worker);
	uint directory = find_entry(check, ROOTINO, name);
	if (directory == 0)
		return from == 0;
	uint64_t now = tree_fingerprint(check, directory, "");
	for (uint32_t i = from; i < trace->states[worker]; i++)
		if (trace->state[worker][i] == now)
			return true;
	return false;
}

struct wreck {
	const char *kind;
	uint32_t events; // power cut after so many
	uint32_t mark;   // syncs that had returned by then
};

static bool judge(unsigned char *image, uint32_t blocks, struct wreck wreck)
{
	struct fsck check = { .image = image, .blocks = blocks };
	bool good = fsck_check(&check) == 0;

	for (unsigned w = 0; good && w < WORKERS; w++)
		if (trace->states[w] > 0 && !is_a_state(&check, w, wreck.mark ? trace->mark[wreck.mark - 1].state[w] : 0)) {
			printf("fault: worker %u: its files are in none of its states since its last sync\n", w);
			good = false;
		}
	if (!good) {
		FILE *file = fopen("/tmp/quire-wreck.img", "wb");
		printf("after %u of %u events (%s); image: /tmp/quire-wreck.img\n", wreck.events, trace->events, wreck.kind);
		if (file) {
			fwrite(image, BSIZE, blocks, file);
			fclose(file);
		}
	}
	return good;
}

static void apply(unsigned char *image, struct event event)
{
	if (event.block)
		memcpy(image + (size_t)event.block * BSIZE, trace->data[event.data], BSIZE);
}

// Applies a random part of the events [from, to), which no flush parts; one may be torn.
static void apply_some(unsigned char *image, uint32_t from, uint32_t to, uint64_t *random)
{
	uint64_t density = 1 + random_below(random, 9);
	for (uint32_t i = from; i < to; i++) {
		struct event event = trace->event[i];
		if (event.block == 0 || random_below(random, 10) >= density)
			continue;
		uint64_t sectors = random_below(random, 8) ? 0xff : random_next(random);
		for (unsigned s = 0; s < BSIZE / 512; s++)
			if (sectors >> s & 1)
				memcpy(image + (size_t)event.block * BSIZE + s * 512, trace->data[event.data] + s * 512, 512);
	}
}

// Mounts the wreck with the kernel's code, uses it and checks it again.
static bool mount_wreck(const unsigned char *wreck, uint32_t blocks)
{
	unsigned char *image = shared_memory((size_t)blocks * BSIZE);
	memcpy(image, wreck, (size_t)blocks * BSIZE);
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		alarm(60);
		trace->events = TRACE_EVENTS; // remember no more
		world_start(image, blocks, 0);
		fs_start();
		struct file *file = file_open("/after", O_CREATE | O_RDWR);
		must(file && file_write(file, (struct memory){ false, (uintptr_t)"after" }, 5) == 5, "write after the crash");
		file_close(file);
		fs_sync();
		_exit(0);
	}
	int status;
	waitpid(pid, &status, 0);
	struct fsck check = { .image = image, .blocks = blocks };
	bool good = status == 0 && fsck_check(&check) == 0 && find_entry(&check, ROOTINO, "after") != 0 && check.orphans == 0;
	shared_free(image, (size_t)blocks * BSIZE);
	if (!good)
		printf("fault: mounted after the crash: %s\n", status ? "the file system failed" : "it is not whole");
	return good;
}

// Judges the wrecks of every power cut during the recorded run that began with `image`. Returns how many wrecks, 0 after a bad one.
uint32_t crash_judge(unsigned char *image, uint32_t blocks, uint64_t seed)
{
	size_t bytes = (size_t)blocks * BSIZE;
	unsigned char *durable = malloc(bytes), *wreck = malloc(bytes);
	uint64_t random = seed ^ 0x5eed;
	uint32_t flushed = 0, mark = 0, wrecks = 0, events = trace->events;

	memcpy(durable, image, bytes);
	for (uint32_t k = 0; k <= events; k++) {
		while (mark < trace->marks && trace->mark[mark].event <= k)
			mark++;
		for (unsigned variant = 0; variant < 3; variant++) {
			memcpy(wreck, variant ? durable : image, bytes);
			if (variant)
				apply_some(wreck, flushed, k, &random);
			bool sample = random_below(&random, 400) == 0;
			if ((sample && !mount_wreck(wreck, blocks)) ||
			    !judge(wreck, blocks, (struct wreck){ variant ? "writes lost" : "all writes", k, mark })) {
				free(durable);
				free(wreck);
				return 0;
			}
			trace->events = events;
			wrecks++;
		}
		if (k == events)
			break;
		apply(image, trace->event[k]);
		if (trace->event[k].block == 0) {
			memcpy(durable, image, bytes);
			flushed = k + 1;
		}
	}
	free(durable);
	free(wreck);
	return wrecks;
}

unsigned image_faults(unsigned char *image, uint32_t blocks, bool quiet)
{
	struct fsck check = { .image = image, .blocks = blocks, .quiet = quiet };
	return fsck_check(&check);
}
