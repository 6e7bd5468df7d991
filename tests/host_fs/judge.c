// judge.c: does the file system survive a power cut between any two writes? Looks at every wreck that the recorded run could have left.
//
//	disk: w w w F w w | w w F ...         the cut: everything before the last flush is there, and of what follows
//	            `-----'                   all, or a random part, some of it torn between sectors
//
// For each wreck: fsck finds nothing, and each worker's files are as after one of its operations, not before its last completed sync. A
// sample of the wrecks is also mounted by the kernel's code, used, synced and checked again.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake.h"
#include "kernel/fcntl.h"
#include "kernel/fs/file.h"

#define FSCK_LIBRARY
#include "tools/fsck.c"

#include "tests.h"

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
		for (uint at = 0; d->type == T_FILE && at < d->size; at += BLOCK_BYTES)
			hash = hash_bytes(hash, content_block(check, d, at / BLOCK_BYTES),
					  d->size - at < BLOCK_BYTES ? d->size - at : BLOCK_BYTES);
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
			fwrite(image, BLOCK_BYTES, blocks, file);
			fclose(file);
		}
	}
	return good;
}

static void apply(unsigned char *image, struct event event)
{
	if (event.block)
		memcpy(image + (size_t)event.block * BLOCK_BYTES, trace->data[event.data], BLOCK_BYTES);
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
		for (unsigned s = 0; s < BLOCK_BYTES / 512; s++)
			if (sectors >> s & 1)
				memcpy(image + (size_t)event.block * BLOCK_BYTES + s * 512, trace->data[event.data] + s * 512, 512);
	}
}

// Mounts the wreck with the kernel's code, uses it and checks it again.
static bool mount_wreck(const unsigned char *wreck, uint32_t blocks)
{
	unsigned char *image = shared_memory((size_t)blocks * BLOCK_BYTES);
	memcpy(image, wreck, (size_t)blocks * BLOCK_BYTES);
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
	shared_free(image, (size_t)blocks * BLOCK_BYTES);
	if (!good)
		printf("fault: mounted after the crash: %s\n", status ? "the file system failed" : "it is not whole");
	return good;
}

// Judges the wrecks of every power cut during the recorded run that began with `image`. Returns how many wrecks, 0 after a bad one.
uint32_t crash_judge(unsigned char *image, uint32_t blocks, uint64_t seed)
{
	size_t bytes = (size_t)blocks * BLOCK_BYTES;
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
