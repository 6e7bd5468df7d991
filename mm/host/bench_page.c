// bench_page.c: what physical pages cost on the host, beside a list: run by tests/bench_pages.py.
//
//    bench_page ENGINE ORDER ROUNDS     a block of this order taken and given back, so many times; or, where ENGINE is `list`,
//                                       popped from a list and pushed, under the same lock and pin; where it is `need`, the same with
//                                       what a buddy system must do besides: halve and join, and mark each page of the block
//    bench_page threads N ROUNDS        N threads, each a CPU: 16 pages taken, 16 given back; prints ns a call and locks taken
//
// It has a port of its own, as short as a kernel's: a pin is a look at a number, a lock one exchange.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "../page_engine.h"

#define MEMORY  ((uint64_t)512 << 20)
#define HELD    16u
#define THREADS 16u

// For the list, too, calls, as they are for the pages.
struct pin port_pin(void) __attribute__((noinline));
void port_unpin(struct pin pin) __attribute__((noinline));
void lock_acquire(struct lock *lock) __attribute__((noinline));
void lock_release(struct lock *lock) __attribute__((noinline));

uintptr_t port_linear;
static _Thread_local uintptr_t this_cpu;

_Noreturn void port_panic(const char *rule, uintptr_t where)
{
	fprintf(stderr, "bench_page: %s (at %#lx)\n", rule, (unsigned long)where);
	abort();
}

void lock_acquire(struct lock *lock)
{
	while (__atomic_exchange_n(&lock->held, 1, __ATOMIC_ACQUIRE))
		while (__atomic_load_n(&lock->held, __ATOMIC_RELAXED))
			;
}

void lock_release(struct lock *lock)
{
	__atomic_store_n(&lock->held, 0, __ATOMIC_RELEASE);
}

struct pin port_pin(void)
{
	return (struct pin){ this_cpu, 0 };
}

void port_unpin(struct pin pin)
{
	(void)pin;
}

static void boot(const char *engine)
{
	struct memblock mb = { 0 };
	struct page_config config = { .engine = engine, .cpus = PORT_MAX_CPUS };
	void *memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	port_linear = (uintptr_t)memory - 0x80000000;
	if (memory == MAP_FAILED || !memblock_add(&mb, PA(0x80000000), MEMORY) || !page_init(&mb, &config)) {
		fprintf(stderr, "bench_page: there is no engine %s, or no memory\n", engine);
		exit(1);
	}
}

static void pages(unsigned order, uint64_t rounds)
{
	for (uint64_t i = 0; i < rounds; i++) {
		pa_t block = page_alloc(order, PAGE_KERNEL);

		if (pa_is_none(block))
			port_panic("no such block", order);
		page_free(block);
	}
}

// ---- a lone list

static struct node {
	struct node *next;
} *top;
static struct lock list_lock;

static __attribute__((noinline)) void *pop(void)
{
	struct pin pin = port_pin();
	lock_acquire(&list_lock);
	struct node *node = top;
	top = node->next;
	lock_release(&list_lock);
	port_unpin(pin);
	return node;
}

static __attribute__((noinline)) void push(struct node *node)
{
	struct pin pin = port_pin();
	lock_acquire(&list_lock);
	node->next = top;
	top = node;
	lock_release(&list_lock);
	port_unpin(pin);
}

static void list(uint64_t rounds)
{
	static struct node nodes[4];

	for (unsigned i = 0; i < 4; i++)
		push(&nodes[i]);
	for (uint64_t i = 0; i < rounds; i++)
		push(pop());
}

// The block is the lower end of one of the largest order. Single pages come from a CPU's cache and are not cut off each time.
static void need(unsigned order, uint64_t rounds)
{
	static struct page records[1u << PAGE_MAX_ORDER];
	uint32_t lists[PAGE_MAX_ORDER];
	unsigned halved = order == 0 ? 0 : PAGE_MAX_ORDER - order;

	page_state.records = (uintptr_t)records;
	memset(lists, 0xff, sizeof lists); // FRAME_NONE
	list(0);
	for (uint64_t i = 0; i < rounds; i++) {
		void *node = pop();
		for (unsigned k = order + halved; k-- > order;) {
			records[1u << k].order = (uint8_t)k;
			use_set(&records[1u << k], PAGE_FREE);
			list_push(&lists[k], 1u << k);
		}
		use_set_all(records + 1, (1u << order) - 1, PAGE_USED_TAIL);
		use_set_all(records + 1, (1u << order) - 1, PAGE_FREE_TAIL);
		for (unsigned k = order; k < order + halved; k++) {
			list_remove(&lists[k], 1u << k);
			use_set(&records[1u << k], PAGE_FREE_TAIL);
		}
		push(node);
	}
}

// ---- threads

static uint64_t thread_rounds;

static void *few(void *cpu)
{
	pa_t held[HELD];

	this_cpu = (uintptr_t)cpu;
	for (uint64_t round = 0; round < thread_rounds; round += HELD) {
		for (unsigned i = 0; i < HELD; i++)
			held[i] = page_alloc(0, PAGE_KERNEL);
		for (unsigned i = 0; i < HELD; i++)
			page_free(held[i]);
	}
	return NULL;
}

static void threads(unsigned count, uint64_t rounds)
{
	pthread_t thread[THREADS];
	struct timespec start, end;

	boot("buddy");
	thread_rounds = rounds;
	uint64_t locks = page_lock_acquisitions();
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
	for (uintptr_t i = 0; i < count; i++)
		if (pthread_create(&thread[i], NULL, few, (void *)i))
			exit(1);
	for (unsigned i = 0; i < count; i++)
		pthread_join(thread[i], NULL);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
	double ns = (double)(end.tv_sec - start.tv_sec) * 1e9 + (double)(end.tv_nsec - start.tv_nsec);
	printf("%.2f %llu\n", ns / (double)(2 * rounds * count), (unsigned long long)(page_lock_acquisitions() - locks));
}

int main(int count, char **arguments)
{
	unsigned number = count == 4 ? (unsigned)atoi(arguments[2]) : THREADS + 1;
	uint64_t rounds = count == 4 ? strtoull(arguments[3], NULL, 10) : 0;

	if (number > THREADS) {
		fprintf(stderr, "usage: bench_page ENGINE|list|need ORDER ROUNDS, or bench_page threads N ROUNDS; N to %u\n", THREADS);
		return 2;
	}
	if (strcmp(arguments[1], "threads") == 0) {
		threads(number, rounds);
	} else if (strcmp(arguments[1], "list") == 0) {
		list(rounds);
	} else if (strcmp(arguments[1], "need") == 0) {
		need(number, rounds);
	} else {
		boot(arguments[1]);
		pages(number, rounds);
	}
	return 0;
}
