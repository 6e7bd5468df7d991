// crash.c: breaks a rule of the kernel on purpose, as the boot argument crash= says, to show (and test) what a panic reports.
//
// The bugs happen in a kernel thread, so that the stack that overflows is one of those with guard pages from vmalloc.
#include "kernel/boot/crash.h"

#include "kernel/boot/map.h"
#include "kernel/machine/csr.h"
#include "kernel/machine/panic.h"
#include "kernel/machine/print.h"
#include "kernel/machine/string.h"
#include "kernel/process/sched.h"
#include "mm/heap.h"
#include "mm/page.h"

struct crash {
	const char *name;
	void (*run)(void);
};

static volatile uint64_t sink;

static void null(void)
{
	sink = *(volatile uint64_t *)(sink & 8);
}

static uint64_t deeper(uint64_t depth);
static uint64_t (*volatile call)(uint64_t) = deeper; // the compiler must not see that this never ends

static uint64_t deeper(uint64_t depth)
{
	volatile char room[512];
	room[depth % sizeof room] = (char)depth;
	return call(depth + 1) + (uint64_t)room[0];
}

static void stack(void)
{
	sink = call(sink);
}

static void text(void)
{
	*(volatile uint32_t *)(uint64_t)kernel_start = 0;
}

static void data(void)
{
	void (*function)(void) = (void (*)(void))(uint64_t)&sink;
	function();
}

static void user(void)
{
	sink = *(volatile uint64_t *)0x10000;
}

static void lock(void)
{
	static struct lock twice = { .name = "crash" };
	lock_acquire(&twice);
	lock_acquire(&twice);
}

static void unlock(void)
{
	static struct lock never = { .name = "crash" };
	lock_release(&never);
}

static void page(void)
{
	pa_t page = page_alloc(0, PAGE_KERNEL);
	page_free(page);
	page_free(page);
}

// What usertests sees: at CHECK=1 with this place's name.
static void leak(void)
{
	while (sched_sleep_ticks(1))
		sink = (uint64_t)kmalloc(24);
}

// What only a kernel built with SAN=address or SAN=undefined, or the first two with heap=guard_pages, notices at once.

static void overflow(void)
{
	volatile char *block = kmalloc(32);
	block[32] = 1;
}

static void freed(void)
{
	volatile char *block = kmalloc(100);
	kfree((void *)block);
	sink = (uint64_t)block[8];
}

static void global(void)
{
	static volatile char table[10];
	sink = 10;
	sink = (uint64_t)table[sink];
}

static void shift(void)
{
	sink = 40;
	sink = 1u << sink;
}

// What only a kernel built with SAN=thread notices: two harts write a word one after the other, but what makes them wait orders nothing.
// With the lock it is no race.

static struct {
	struct lock lock; // guards word, when they ask for it
	uint64_t word;
	bool locked;
	uint32_t second_is_there, first_is_done, second_is_done; // atomic
} meeting = { .lock = { .name = "crash" } };

static void await(const uint32_t *flag, int order)
{
	while (!__atomic_load_n(flag, order))
		spin_hint();
}

static void write_word(uint64_t value)
{
	if (meeting.locked)
		lock_acquire(&meeting.lock);
	meeting.word = value;
	if (meeting.locked)
		lock_release(&meeting.lock);
}

static void write_second(void *unused)
{
	(void)unused;
	struct pin pin = port_pin(); // no interrupt, lest its handler take a lock that the other has released
	__atomic_store_n(&meeting.second_is_there, 1, __ATOMIC_RELAXED);
	await(&meeting.first_is_done, __ATOMIC_RELAXED);
	write_word(2);
	__atomic_store_n(&meeting.second_is_done, 1, __ATOMIC_RELEASE);
	port_unpin(pin);
}

static void write_first(bool locked)
{
	meeting.locked = locked;
	if (cpu_count() < 2 || !kernel_thread("second", write_second, NULL))
		return;
	struct pin pin = port_pin();
	await(&meeting.second_is_there, __ATOMIC_RELAXED);
	write_word(1);
	__atomic_store_n(&meeting.first_is_done, 1, __ATOMIC_RELAXED);
	await(&meeting.second_is_done, __ATOMIC_ACQUIRE);
	sink = meeting.word;
	port_unpin(pin);
}

static void race(void)
{
	write_first(false);
}

static void locked(void)
{
	write_first(true);
}

static const struct crash crashes[] = {
	{ "null", null }, { "stack", stack },   { "text", text },         { "data", data },   { "user", user },     { "lock", lock },
	{ "unlock", unlock }, { "page", page }, { "overflow", overflow }, { "freed", freed }, { "global", global }, { "shift", shift },
	{ "leak", leak }, { "race", race }, { "locked", locked },
};

static void run(void *argument)
{
	const struct crash *crash = argument;
	crash->run();
	panic("crash=%s did no harm", crash->name);
}

void crash_start(const char *name)
{
	for (size_t i = 0; i < sizeof crashes / sizeof *crashes; i++)
		if (strcmp(name, crashes[i].name) == 0 && kernel_thread("crash", run, (void *)(uint64_t)&crashes[i]))
			return;
	kprintf("crash=%s: there are", name);
	for (size_t i = 0; i < sizeof crashes / sizeof *crashes; i++)
		kprintf(" %s", crashes[i].name);
	kprintf("\n");
}
