// fake.c: the kernel's side of the file system on the host: locks, sleep and wakeup over pthreads, pages, slabs, and the disk.
//
// Threads are processes, so the commit thread runs beside the workers as in the kernel, and ThreadSanitizer sees all of it. A wait
// queue's `last` counts wakeups, its `first` is not NULL while someone sleeps. The disk does at once what it is told, but writes are
// recorded in the order in which they were told, for the judge to replay any part of them.
#include "fake.h"

#define sched_yield host_sched_yield // the kernel has one of its own
#include <pthread.h>
#undef sched_yield
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernel/device/virtio_blk.h"
#include "kernel/fs/file.h"
#include "kernel/machine/print.h"
#include "kernel/process/process.h"
#include "mm/page.h"
#include "mm/slab.h"

#define RAM_PAGES 6144
#define RAM_START 0x80000000ull

static pthread_mutex_t big = PTHREAD_MUTEX_INITIALIZER; // guards all queues, pages and the disk
static pthread_cond_t change = PTHREAD_COND_INITIALIZER;
static _Thread_local struct cpu cpu;

struct trace *trace;
uintptr_t port_linear;
bool print_quiet = true;

static void enter(void)
{
	pthread_mutex_lock(&big);
}

static void leave(void)
{
	pthread_mutex_unlock(&big);
}

// --- locks, sleep, threads ---------------------------------------------------------------------------------------------------------

void lock_acquire(struct lock *lock)
{
	while (__atomic_exchange_n(&lock->held, 1, __ATOMIC_ACQUIRE))
		usleep(1);
}

void lock_release(struct lock *lock)
{
	__atomic_store_n(&lock->held, 0, __ATOMIC_RELEASE);
}

void sched_sleep_steadily(struct wait_queue *queue, struct lock *lock)
{
	enter();
	struct process *seen = queue->last;
	queue->first = cpu.current;
	if (lock)
		lock_release(lock);
	while (queue->last == seen)
		pthread_cond_wait(&change, &big);
	leave();
	if (lock)
		lock_acquire(lock);
}

bool sched_sleep(struct wait_queue *queue, struct lock *lock)
{
	sched_sleep_steadily(queue, lock);
	return true;
}

void sched_wakeup(struct wait_queue *queue)
{
	enter();
	queue->last = (struct process *)((uintptr_t)queue->last + 1);
	queue->first = NULL;
	pthread_cond_broadcast(&change);
	leave();
}

bool sched_sleep_ticks(uint64_t ticks)
{
	usleep((useconds_t)ticks * 300); // faster than in the kernel: many commits in a short test
	return true;
}

struct cpu *this_cpu(void)
{
	return &cpu;
}

void sleep_lock_acquire(struct sleep_lock *lock)
{
	lock_acquire(&lock->guard);
	if (lock->holder == cpu.current)
		port_panic("sleep_lock: taken twice by one process", (uintptr_t)lock);
	while (lock->holder)
		sched_sleep_steadily(&lock->waiting, &lock->guard);
	lock->holder = cpu.current;
	lock_release(&lock->guard);
}

void sleep_lock_release(struct sleep_lock *lock)
{
	lock_acquire(&lock->guard);
	if (lock->holder != cpu.current)
		port_panic("sleep_lock: released by another process", (uintptr_t)lock);
	lock->holder = NULL;
	sched_wakeup(&lock->waiting);
	lock_release(&lock->guard);
}

void thread_start(unsigned worker)
{
	cpu.current = calloc(1, sizeof *cpu.current);
	cpu.current->pid = (int)worker + 1;
}

struct start {
	void (*run)(void *argument);
	void *argument;
};

static void *run_thread(void *argument)
{
	struct start start = *(struct start *)argument;

	free(argument);
	thread_start(100);
	start.run(start.argument);
	return NULL;
}

bool kernel_thread(const char *name, void (*run)(void *), void *argument)
{
	pthread_t thread;
	struct start *start = malloc(sizeof *start);

	(void)name;
	*start = (struct start){ run, argument };
	return pthread_create(&thread, NULL, run_thread, start) == 0;
}

// --- memory ------------------------------------------------------------------------------------------------------------------------

static unsigned references[RAM_PAGES];
static unsigned page_hint;
static size_t in_use;
static uint32_t pages_left = UINT32_MAX;

static unsigned frame_of(pa_t page)
{
	unsigned frame = (unsigned)((page.raw - RAM_START) / PAGE_BYTES);

	if (page.raw < RAM_START || frame >= RAM_PAGES || page.raw % PAGE_BYTES)
		port_panic("page: foreign or misaligned", page.raw);
	return frame;
}

pa_t page_alloc(unsigned order, unsigned flags)
{
	pa_t page = PA_NONE;

	(void)order;
	(void)flags;
	enter();
	for (unsigned i = 0; i < RAM_PAGES && pages_left > 0 && pa_is_none(page); i++) {
		unsigned frame = (page_hint + i) % RAM_PAGES;
		if (references[frame] == 0) {
			references[frame] = 1;
			page = PA(RAM_START + frame * PAGE_BYTES);
			memset(pa_pointer(page), 0xa5, PAGE_BYTES);
			page_hint = frame + 1;
			in_use++;
		}
	}
	if (pages_left != UINT32_MAX && pages_left > 0)
		pages_left--;
	leave();
	return page;
}

void page_share(pa_t page)
{
	enter();
	if (references[frame_of(page)]++ == 0)
		port_panic("page_share: the page is free", page.raw);
	leave();
}

void page_free(pa_t page)
{
	enter();
	if (references[frame_of(page)]-- == 0)
		port_panic("page_free: the page is free already", page.raw);
	if (references[frame_of(page)] == 0) {
		memset(pa_pointer(page), 0x5a, PAGE_BYTES);
		in_use--;
	}
	leave();
}

unsigned page_refs(pa_t page)
{
	enter();
	unsigned refs = references[frame_of(page)];
	leave();
	return refs;
}

size_t page_total_count(void)
{
	return RAM_PAGES;
}

size_t pages_in_use(void)
{
	return in_use;
}

void memory_fail_after(uint32_t pages)
{
	enter();
	pages_left = pages;
	leave();
}

void *shared_memory(size_t bytes)
{
	void *start = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (start == MAP_FAILED)
		abort();
	return start;
}

void shared_free(void *start, size_t bytes)
{
	munmap(start, bytes);
}

struct kmem_cache {
	size_t bytes;
	void (*construct)(void *object);
};

struct kmem_cache *kmem_cache_create(const char *name, size_t bytes, size_t align, void (*construct)(void *object))
{
	struct kmem_cache *cache = malloc(sizeof *cache);

	(void)name;
	(void)align;
	*cache = (struct kmem_cache){ bytes, construct };
	return cache;
}

void *kmem_cache_alloc(struct kmem_cache *cache)
{
	void *object = malloc(cache->bytes);

	if (cache->construct)
		cache->construct(object);
	return object;
}

void kmem_cache_free(struct kmem_cache *cache, void *object)
{
	(void)cache;
	free(object);
}

void *kzalloc(size_t bytes)
{
	return calloc(1, bytes);
}

bool memory_get(void *to, struct memory from, size_t bytes)
{
	memcpy(to, (const void *)(uintptr_t)from.address, bytes);
	return true;
}

bool memory_put(struct memory to, const void *from, size_t bytes)
{
	memcpy((void *)(uintptr_t)to.address, from, bytes);
	return true;
}

enum space_result space_touch(struct space *space, uint64_t start, uint64_t bytes, enum access access)
{
	(void)space;
	(void)start;
	(void)bytes;
	(void)access;
	return SPACE_OK;
}

// --- words -------------------------------------------------------------------------------------------------------------------------

void port_panic(const char *rule, uintptr_t where)
{
	printf("panic: %s (0x%lx)\n", rule, (unsigned long)where);
	fflush(stdout);
	abort();
}

void kprintf(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	if (!print_quiet)
		vprintf(format, arguments);
	va_end(arguments);
}

void boot_print(const char *format, ...)
{
	(void)format;
}

uint64_t random_next(uint64_t *state) // splitmix64
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

uint64_t random_below(uint64_t *state, uint64_t limit)
{
	return random_next(state) % limit;
}

// --- the disk ----------------------------------------------------------------------------------------------------------------------

static struct {
	unsigned char *image;
	uint32_t blocks;
	uint32_t writes_left;
	bool limited;
} disk;

void disk_fail_after(uint32_t writes)
{
	disk.writes_left = writes;
	disk.limited = true;
}

bool disk_init(void)
{
	return true;
}

uint64_t disk_blocks(void)
{
	return disk.blocks;
}

static void record(uint32_t block, const void *data)
{
	if (trace->events == TRACE_EVENTS)
		return;
	struct event *event = &trace->event[trace->events];
	event->block = block;
	event->data = trace->events;
	if (data)
		memcpy(trace->data[event->data], data, PAGE_BYTES);
	__atomic_store_n(&trace->events, trace->events + 1, __ATOMIC_RELEASE);
}

void disk_start(struct disk_request *request)
{
	enter();
	request->failed = false;
	if (request->kind == DISK_FLUSH)
		record(0, NULL);
	else if (request->block + request->count > disk.blocks || request->count > DISK_REQUEST_PAGES || request->count == 0)
		port_panic("disk: out of bounds", request->block);
	for (uint32_t i = 0; request->kind != DISK_FLUSH && i < request->count; i++) {
		unsigned char *at = disk.image + (size_t)(request->block + i) * PAGE_BYTES;
		if (request->kind == DISK_READ) {
			memcpy(pa_pointer(request->pages[i]), at, PAGE_BYTES);
		} else if (disk.limited && disk.writes_left == 0) {
			request->failed = true;
		} else {
			disk.writes_left -= disk.limited;
			memcpy(at, pa_pointer(request->pages[i]), PAGE_BYTES);
			record(request->block + i, at);
		}
	}
	leave();
}

bool disk_wait(struct disk_request *request)
{
	usleep(20); // gives others a chance
	return !request->failed;
}

bool disk_flush(void)
{
	struct disk_request request = { .kind = DISK_FLUSH };

	disk_start(&request);
	return disk_wait(&request);
}

bool disk_transfer(enum disk_kind kind, uint32_t block, pa_t page)
{
	struct disk_request request = { .kind = kind, .block = block, .count = 1, .pages = &page };

	disk_start(&request);
	return disk_wait(&request);
}

void world_start(unsigned char *image, uint32_t blocks, unsigned worker)
{
	void *ram = NULL;

	if (posix_memalign(&ram, PAGE_BYTES, RAM_PAGES * PAGE_BYTES) != 0)
		abort();
	port_linear = (uintptr_t)ram - (uintptr_t)RAM_START;
	disk.image = image;
	disk.blocks = blocks;
	thread_start(worker);
}
