// study.c: measures every heap of HEAPS for tests/study.py, as lines of comma-separated values.
//
//    study heaps                 their names
//    study memory HEAP CALLS     held memory beside what is asked for, through five acts of so many calls each
//    study cost HEAP LIVE        calls with 16, 32, ... LIVE blocks in use: callgrind counts what each run of study_measured executes
//    study time HEAP ROUNDS      the time of a call by size, as a multiple of the host's malloc and free
//    study adversaries HEAP WORDS   what Robson's game with so many words, and each stream of stream.c, makes it need
//
// The heap is kmalloc's, over a machine of 128 MiB, and grows by whole blocks of pages, as in the kernel (kernel/port.c); only streams play
// in one arena (play.h). Random numbers are the same in each run. Times are the only figures that do not repeat exactly.
#include <malloc.h>
#include <stdlib.h>
#include <time.h>

#include "../page.h"
#include "adversary.h"
#include "heap_model.h"
#include "random.h"
#include "stream.h"
#include "test.h"

#define MACHINE_MIB 128u
#define BLOCKS_MAX  65536u

static void *block[BLOCKS_MAX];
static size_t bytes[BLOCKS_MAX];
static size_t asked;

// ---- what test.h promises

static uint64_t stream = 1;

uint64_t random_next(void)
{
	return random_step(&stream);
}

uint64_t random_below(uint64_t limit)
{
	return random_next() % limit;
}

void test_fail(const char *file, int line, const char *format, ...)
{
	fprintf(stderr, "%s:%d: %s\n", file, line, format);
	exit(1);
}

// ---- one CPU: locks and pins cost nothing here, for the host's cost far more than a kernel's (linked with --wrap)

void __wrap_lock_acquire(struct lock *lock);
void __wrap_lock_acquire(struct lock *lock)
{
	lock->held = 1;
}

void __wrap_lock_release(struct lock *lock);
void __wrap_lock_release(struct lock *lock)
{
	lock->held = 0;
}

struct pin __wrap_port_pin(void);
struct pin __wrap_port_pin(void)
{
	return (struct pin){ 0, 0 };
}

void __wrap_port_unpin(struct pin pin);
void __wrap_port_unpin(struct pin pin)
{
	(void)pin;
}

// ---- a machine whose heaps grow as in the kernel

static void *reserve_pages(size_t size)
{
	unsigned order = 0;

	while (order <= PAGE_MAX_ORDER && PAGE_BYTES << order < size)
		order++;
	pa_t pages = order <= PAGE_MAX_ORDER ? page_alloc(order, PAGE_KERNEL) : PA_NONE;
	return pa_is_none(pages) ? NULL : pa_pointer(pages);
}

static void release_pages(void *start, size_t size)
{
	(void)size;
	page_free(pa_of(start));
}

static size_t boot(const char *name) // returns the free pages before there is a heap
{
	host_reserve_hook = reserve_pages;
	host_release_hook = release_pages;
	size_t pages = heap_model_machine(MACHINE_MIB);
	EXPECT(kmalloc_init(name));
	stream = 1;
	asked = 0;
	return pages;
}

// A heap that has used up the machine, or its window of addresses, ends its line there.
static void take(size_t i, size_t size)
{
	block[i] = kmalloc(size);
	if (!block[i])
		exit(0);
	bytes[i] = size;
	asked += size;
}

static void give(size_t i)
{
	kfree(block[i]);
	asked -= bytes[i];
	block[i] = NULL;
}

static size_t small_size(void) // as a kernel asks: mostly little, now and then more
{
	uint64_t dice = random_below(16);

	return dice < 12 ? 16 + random_below(112) : dice < 15 ? 128 + random_below(384) : 512 + random_below(1536);
}

static size_t large_size(void)
{
	return 256 + random_below(3840);
}

// One call: a random block goes and one of another size comes.
static void replace(size_t live, size_t (*size)(void))
{
	size_t i = random_below(live);

	if (block[i])
		give(i);
	take(i, size());
}

// ---- memory over time: it grows, changes, changes to other sizes, mostly goes, and comes back

static void memory(const char *name, size_t calls)
{
	size_t live = calls / 4, pages = boot(name);

	puts("act,call,asked,held");
	for (size_t call = 0; call < 5 * calls; call++) {
		size_t act = call / calls, done = call % calls;

		if (act == 0 && done % 4 == 0)
			take(done / 4, small_size());
		else if (act == 1 || act == 4)
			replace(live, small_size);
		else if (act == 2)
			replace(live / 4, large_size);
		else if (act == 3 && done % 4 == 0 && random_below(8))
			give(done / 4);
		if (act == 4 && done == 0)
			heap_trim(kmalloc_heap());
		if (call % (calls / 50) == 0) {
			page_drain();
			printf("%zu,%zu,%zu,%zu\n", act + 1, call, asked, (pages - page_free_count()) * PAGE_BYTES + host_reserved());
		}
	}
}

// ---- instructions by the number of live blocks

#define PAIRS 512u

// The allocator's own functions: the host's locks are none of its doing. Not inlined: callgrind counts from its entry to its return.
void study_measured(struct heap *heap, const uint32_t *which, const size_t *size);
__attribute__((noinline)) void study_measured(struct heap *heap, const uint32_t *which, const size_t *size)
{
	for (size_t i = 0; i < PAIRS; i++) {
		heap->ops->free(heap, block[which[i]]);
		block[which[i]] = heap->ops->alloc(heap, size[i], HEAP_ALIGN);
	}
}

static void cost(const char *name, size_t most)
{
	static uint32_t which[PAIRS];
	static size_t size[PAIRS];

	puts("live,calls");
	for (size_t live = 16; live <= most; live *= 2) {
		boot(name);
		for (size_t i = 0; i < live; i++)
			take(i, small_size());
		for (size_t i = 0; i < 8 * live; i++)
			replace(live, small_size);
		for (size_t i = 0; i < PAIRS; i++) {
			which[i] = (uint32_t)random_below(live);
			size[i] = small_size();
		}
		study_measured(kmalloc_heap(), which, size);
		printf("%zu,%u\n", live, 2 * PAIRS);
	}
}

// ---- time by size

static void *host_alloc(struct heap *heap, size_t size, size_t align)
{
	(void)heap, (void)align;
	return malloc(size);
}

static void host_free(struct heap *heap, void *old)
{
	(void)heap;
	free(old);
}

static const struct heap_ops host_ops = { .name = "malloc", .alloc = host_alloc, .free = host_free };

// Leaves the heap as work leaves it: many blocks of all sizes, half of them gone again.
static void use(const struct heap_ops *ops, struct heap *heap)
{
	enum { BLOCKS = 2000 };
	static void *old[BLOCKS];

	for (unsigned i = 0; i < BLOCKS; i++)
		old[i] = ops->alloc(heap, small_size(), HEAP_ALIGN);
	for (unsigned i = 0; i < BLOCKS; i++)
		if (random_below(2))
			ops->free(heap, old[i]);
}

// Seconds of a call: some blocks of one size are taken, then given back, the last one first, over and over.
// 0: the heap has used up the machine.
static double seconds(const struct heap_ops *ops, struct heap *heap, size_t size)
{
	enum { LIVE = 32, ROUNDS = 100 };
	struct timespec start, end;

	clock_gettime(CLOCK_MONOTONIC, &start);
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; i < LIVE; i++)
			if (!(block[i] = ops->alloc(heap, size, HEAP_ALIGN)))
				return 0;
		for (unsigned i = LIVE; i-- > 0;)
			ops->free(heap, block[i]);
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	return ((double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9) / (2 * LIVE * ROUNDS);
}

// The least of several rounds, in which the heap and the host's malloc take turns: what else the machine does only adds.
static void times(const char *name, size_t rounds)
{
	puts("bytes,ratio");
	mallopt(M_TRIM_THRESHOLD, 1 << 30); // or what it gives back to the host is measured
	use(&host_ops, NULL);
	for (size_t size = 16; size <= 32768; size *= 2) {
		double ours = 1, theirs = 1;

		boot(name);
		use(kmalloc_heap()->ops, kmalloc_heap());
		for (size_t round = 0; round < rounds; round++) {
			double one = seconds(kmalloc_heap()->ops, kmalloc_heap(), size), other = seconds(&host_ops, NULL, size);

			if (one == 0)
				return;
			ours = one < ours ? one : ours;
			theirs = other < theirs ? other : theirs;
		}
		printf("%zu,%.4f\n", size, ours / theirs);
	}
}

// ---- adversaries

static void adversaries(const char *name, size_t most)
{
	const struct heap_ops *heap = heap_named(name);
	static struct play play;

	EXPECT(heap);
	puts("stream,figure,defeats,other,what");
	play_start(&play, heap, PLAY_ARENA, HEAP_ALIGN);
	play.word = 512;
	any_adversary(&play, most, 64);
	printf("Robson's game,%.3f,,,\"half of the blocks go, so that nothing twice as long fits between the others: no heap bears it\"\n",
	       play_figure(&play));
	for (const struct stream *at = streams; at->name; at++) {
		stream = 1;
		printf("%s,%.3f,%s,%s,\"%s\"\n", at->name, stream_figure(at, heap), at->defeated->name, at->other->name, at->what);
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(const char *heap, size_t number);
	} studies[] = { { "memory", memory }, { "cost", cost }, { "time", times }, { "adversaries", adversaries } };

	if (argc == 2 && strcmp(argv[1], "heaps") == 0) {
		for (const struct heap_ops *const *ops = HEAPS; *ops; ops++)
			puts((*ops)->name);
		return 0;
	}
	for (unsigned i = 0; argc == 4 && i < sizeof studies / sizeof *studies; i++)
		if (strcmp(argv[1], studies[i].name) == 0) {
			studies[i].run(argv[2], strtoul(argv[3], NULL, 0));
			return 0;
		}
	fprintf(stderr, "usage: %s heaps | memory HEAP CALLS | cost HEAP LIVE | time HEAP ROUNDS | adversaries HEAP WORDS\n", argv[0]);
	return 2;
}
