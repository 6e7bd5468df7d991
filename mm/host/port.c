// port.c: the host's side of port.h: simulated RAM at a real machine's physical addresses, locks that catch misuse, and faults to inject.
//
//     physical          0        0x80000000                    16 GiB
//                       |  none  |####### RAM #######|  none  |       `none` is not mapped: touching it ends the test
//     this process      arena = port_linear + 0 ...
//
// The arena is one reserved range of addresses; host_ram makes parts of it accessible. A test that touches memory which the
// machine does not have dies at the instruction that did it.
//
// Faults: page_alloc is wrapped by the linker (-Wl,--wrap=page_alloc), so calls from other files pass __wrap_page_alloc below,
// and the allocator itself, as built into the kernel, knows nothing of it. port_reserve decides here.
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../page.h"
#include "test.h"

#define ARENA_BYTES ((uint64_t)16 << 30)
#define HELD_MAX    16 // locks that one thread may hold at once

uintptr_t port_linear;
sigjmp_buf *panic_jump;
char panic_rule[256];
void (*host_panic_report)(const char *rule, uintptr_t where);
void (*host_flush_hook)(uint32_t asid, uint32_t cpus, uintptr_t start, size_t pages);
void *(*host_reserve_hook)(size_t bytes);
void (*host_release_hook)(void *start, size_t bytes);

static _Thread_local unsigned this_cpu;
static _Thread_local unsigned pins;              // open port_pins of this thread
static _Thread_local struct lock *held[HELD_MAX]; // locks that this thread holds
static _Thread_local unsigned held_count;
static struct {
	_Alignas(64) atomic_uint pinned; // 1 while a thread is pinned to the CPU
} host_cpus[PORT_MAX_CPUS];
static atomic_uint_least64_t flushes;

// ---- panics and locks

static void let_go(void) // of all locks and pins: what a panic leaves behind
{
	while (held_count > 0) {
		struct lock *lock = held[--held_count];
		lock->holder = 0;
		__atomic_store_n(&lock->held, 0, __ATOMIC_RELEASE);
	}
	if (pins > 0)
		atomic_store(&host_cpus[this_cpu].pinned, 0);
	pins = 0;
}

void port_panic(const char *rule, uintptr_t where)
{
	snprintf(panic_rule, sizeof panic_rule, "%s", rule);
	if (panic_jump) {
		let_go();
		siglongjmp(*panic_jump, 1);
	}
	fprintf(stderr, "panic: %s (at %#lx)\n", rule, (unsigned long)where);
	if (host_panic_report)
		host_panic_report(rule, where);
	abort();
}

void lock_acquire(struct lock *lock)
{
	for (unsigned i = 0; i < held_count; i++)
		if (held[i] == lock)
			port_panic("lock_acquire: this CPU holds the lock already", (uintptr_t)lock);
	if (held_count == HELD_MAX)
		port_panic("lock_acquire: too many locks held", (uintptr_t)lock);
	for (unsigned spins = 0; __atomic_exchange_n(&lock->held, 1, __ATOMIC_ACQUIRE); spins++)
		if (spins > 100)
			sched_yield();
	lock->holder = this_cpu + 1;
	held[held_count++] = lock;
}

void lock_release(struct lock *lock)
{
	unsigned i = held_count;
	while (i > 0 && held[i - 1] != lock)
		i--;
	if (i == 0)
		port_panic("lock_release: this CPU does not hold the lock", (uintptr_t)lock);
	held[i - 1] = held[--held_count];
	lock->holder = 0;
	__atomic_store_n(&lock->held, 0, __ATOMIC_RELEASE);
}

// ---- CPUs

void host_cpu(unsigned cpu)
{
	if (pins > 0 || cpu >= PORT_MAX_CPUS)
		port_panic("host_cpu: no such CPU, or the thread is pinned", cpu);
	this_cpu = cpu;
}

// Two threads that are the same CPU cannot be pinned at once: a mistake of the test.
struct pin port_pin(void)
{
	if (pins++ == 0 && atomic_exchange(&host_cpus[this_cpu].pinned, 1))
		port_panic("port_pin: two threads are the same CPU", this_cpu);
	return (struct pin){ this_cpu, pins };
}

void port_unpin(struct pin pin)
{
	if (pin.cpu != this_cpu || pin.saved != pins)
		port_panic("port_unpin: not the innermost pin of this CPU", pin.cpu);
	if (--pins == 0)
		atomic_store(&host_cpus[this_cpu].pinned, 0);
}

void port_flush(uint32_t asid, uint32_t cpus, uintptr_t start, size_t pages)
{
	atomic_fetch_add_explicit(&flushes, 1, memory_order_relaxed);
	if (host_flush_hook)
		host_flush_hook(asid, cpus, start, pages);
}

uint64_t host_flushes(void)
{
	return atomic_load(&flushes);
}

// ---- faults

static atomic_uint_least64_t calls;                 // allocating calls since host_fail_after
static atomic_uint_least64_t fail_from = UINT64_MAX; // the first of them that fails

pa_t __real_page_alloc(unsigned order, unsigned flags) __attribute__((weak)); // page_alloc itself; absent without --wrap
pa_t __wrap_page_alloc(unsigned order, unsigned flags);

void host_fail_after(uint64_t n)
{
	if (n != UINT64_MAX && !__real_page_alloc)
		fprintf(stderr, "host_fail_after: page_alloc never fails in a program that is linked without -Wl,--wrap=page_alloc\n");
	atomic_store(&calls, 0);
	atomic_store(&fail_from, n);
}

uint64_t host_allocations(void)
{
	return atomic_load(&calls);
}

static bool must_fail(void) // relaxed, or it would order what threads do, and hide from ThreadSanitizer that mm does not
{
	return atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed) + 1 >= atomic_load_explicit(&fail_from, memory_order_relaxed);
}

pa_t __wrap_page_alloc(unsigned order, unsigned flags)
{
	return must_fail() ? PA_NONE : __real_page_alloc(order, flags);
}

// ---- windows: addresses that fault; a touch of them is told as a panic

#define WINDOWS_MAX 16

static struct window {
	char *start;
	size_t bytes, mapped; // mapped: of them, with memory
} windows[WINDOWS_MAX];

static struct window *window_of(const void *place)
{
	for (struct window *window = windows; window < windows + WINDOWS_MAX; window++)
		if ((const char *)place >= window->start && (const char *)place < window->start + window->bytes)
			return window;
	return NULL;
}

static struct sigaction previous_segv;

static void fault(int number, siginfo_t *info, void *context)
{
	(void)number, (void)context;
	if (window_of(info->si_addr))
		port_panic("fault: a page without memory was touched", (uintptr_t)info->si_addr);
	sigaction(SIGSEGV, &previous_segv, NULL); // it happens again, and whoever was there before tells of it
}

void *port_window(size_t bytes)
{
	struct sigaction action = { .sa_sigaction = fault, .sa_flags = SA_SIGINFO | SA_NODEFER };
	struct window *window = windows;

	while (window < windows + WINDOWS_MAX && window->start)
		window++;
	if (must_fail() || window == windows + WINDOWS_MAX)
		return NULL;
	void *start = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (start == MAP_FAILED)
		return NULL;
	if (previous_segv.sa_sigaction == NULL)
		sigaction(SIGSEGV, &action, &previous_segv);
	*window = (struct window){ start, bytes, 0 };
	return start;
}

bool port_window_map(void *start, size_t bytes)
{
	if (must_fail() || mprotect(start, bytes, PROT_READ | PROT_WRITE))
		return false;
	window_of(start)->mapped += bytes;
	return true;
}

void port_window_unmap(void *start, size_t bytes)
{
	if (mmap(start, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
		port_panic("port_window_unmap: not a window's", (uintptr_t)start);
	window_of(start)->mapped -= bytes;
}

static void forget_windows(void)
{
	for (struct window *window = windows; window < windows + WINDOWS_MAX; window++) {
		if (window->start)
			munmap(window->start, window->bytes);
		*window = (struct window){ 0 };
	}
}

// ---- simulated RAM

void host_reset(void)
{
	int protection = PROT_NONE, flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	void *arena = mmap((void *)port_linear, ARENA_BYTES, protection, flags | (port_linear ? MAP_FIXED : 0), -1, 0);
	if (arena == MAP_FAILED) {
		perror("host_reset: no addresses for the simulated RAM");
		abort();
	}
	port_linear = (uintptr_t)arena;
	forget_windows();
	let_go();
	this_cpu = 0;
	host_fail_after(UINT64_MAX);
}

void host_ram(uint64_t start, uint64_t bytes, struct memblock *mb)
{
	if (port_linear == 0)
		host_reset();
	uint64_t first = round_down(start, PAGE_BYTES), end = round_up(start + bytes, PAGE_BYTES);
	if (end > ARENA_BYTES || mprotect(pa_pointer(PA(first)), end - first, PROT_READ | PROT_WRITE)) {
		fprintf(stderr, "host_ram: cannot back [%#lx, %#lx)\n", (unsigned long)first, (unsigned long)end);
		abort();
	}
	if (mb && !memblock_add(mb, PA(start), bytes)) {
		fprintf(stderr, "host_ram: memblock refused [%#lx, %#lx)\n", (unsigned long)start, (unsigned long)(start + bytes));
		abort();
	}
}

// ---- memory for heaps

struct reserved { // one port_reserve that was not given back
	struct reserved *next;
	void *start;
	size_t bytes;
};
static struct reserved *reserved;
static size_t reserved_bytes;
static atomic_flag reserved_lock = ATOMIC_FLAG_INIT; // guards both

static void reserved_enter(void)
{
	while (atomic_flag_test_and_set(&reserved_lock))
		sched_yield();
}

void *port_reserve(size_t bytes)
{
	if (bytes == 0 || bytes % PAGE_BYTES)
		port_panic("port_reserve: not a multiple of a page", bytes);
	if (must_fail() || bytes > ARENA_BYTES)
		return NULL;
	if (host_reserve_hook)
		return host_reserve_hook(bytes);
	struct reserved *record = malloc(sizeof *record);
	void *start = aligned_alloc(PAGE_BYTES, bytes);
	if (!record || !start) {
		free(record);
		free(start);
		return NULL;
	}
	memset(start, 0xa5, bytes < 4 * PAGE_BYTES ? bytes : 4 * PAGE_BYTES); // dirty
	reserved_enter();
	*record = (struct reserved){ reserved, start, bytes };
	reserved = record;
	reserved_bytes += bytes;
	atomic_flag_clear(&reserved_lock);
	return start;
}

void port_release(void *start, size_t bytes)
{
	if (host_release_hook) {
		host_release_hook(start, bytes);
		return;
	}
	reserved_enter();
	struct reserved **link = &reserved;
	while (*link && (*link)->start != start)
		link = &(*link)->next;
	struct reserved *record = *link;
	if (record && record->bytes == bytes) {
		*link = record->next;
		reserved_bytes -= bytes;
	} else {
		record = NULL;
	}
	atomic_flag_clear(&reserved_lock);
	if (!record)
		port_panic("port_release: not what port_reserve gave", (uintptr_t)start);
	free(record);
	free(start);
}

size_t host_reserved(void)
{
	size_t bytes = reserved_bytes;

	for (struct window *window = windows; window < windows + WINDOWS_MAX; window++)
		bytes += window->mapped;
	return bytes;
}
