// address.c: run time of the compiler's address checking (gcc -fsanitize=kernel-address) in a kernel built with SAN=address.
//
//   memory   | 24 bytes asked .................... | rest of the block | next block
//   shadow   | 00 | 00 | 00 |  one byte for each 8 | f1 | f1           | 00 | ..
//
//   A shadow byte: 0 all eight bytes may be touched; 1..7 only the first so many; above: none, for the reason that it names.
//
// The compiler calls __asan_load/store before each access. Allocators tell which bytes are alive through port_shadow_*, at the
// common entries of heap and page. A table of past events remembers who allocated and freed each block, so that a report shows both
// backtraces.
// Only RAM in the linear map has a shadow; vmalloc'ed memory is protected by its guard pages.
//
// Invariants: the shadow covers [ram_start, ram_end); before address_sanitizer_init nothing is checked.
// Cost: an eighth of memory, about twice the instructions. Weakness: overflows of stack variables are not seen, and an access that
// jumps over the rest of a block into a live neighbour is not, either.
// Source: Serebryany et al., AddressSanitizer: A Fast Address Sanity Checker, USENIX ATC 2012.
#include "kernel/sanitize/address.h"

#include "kernel/machine/panic.h"
#include "kernel/machine/print.h"
#include "kernel/machine/symbols.h"
#include "mm/addr.h"

enum { GRAIN = 8, TRACE = 8, EVENTS = 1 << 14 };
enum { SHADOW_REST = 0xf1, SHADOW_FREED = 0xfd, SHADOW_PAGE = 0xfb, SHADOW_GLOBAL = 0xf9 };

struct event { // one allocation or free
	const void *block;
	size_t bytes;
	bool freed;
	uintptr_t trace[TRACE];
};

static uint64_t ram_start, ram_end; // addresses in the linear map
static uint8_t *shadow;
static struct event *events;
static _Atomic uint64_t event_count;
static _Atomic bool reporting;

bool address_sanitizer_init(struct memblock *mb)
{
	uint64_t low = UINT64_MAX, high = 0;
	for (unsigned i = 0; i < mb->memory.count; i++) {
		low = mb->memory.range[i].start < low ? mb->memory.range[i].start : low;
		high = mb->memory.range[i].end > high ? mb->memory.range[i].end : high;
	}
	pa_t table = memblock_alloc(mb, sizeof(struct event) * EVENTS, PAGE_BYTES);
	pa_t bytes = memblock_alloc(mb, (high - low) / GRAIN, PAGE_BYTES);
	if (pa_is_none(table) || pa_is_none(bytes))
		return false;
	events = pa_pointer(table);
	uint8_t *start = pa_pointer(bytes);
	for (uint64_t i = 0; i < (high - low) / GRAIN; i++)
		start[i] = 0;
	ram_start = low + port_linear;
	ram_end = high + port_linear;
	shadow = start;
	return true;
}

static uint8_t *shadow_of(uint64_t address) // NULL: this address has none
{
	return shadow && address >= ram_start && address < ram_end ? shadow + (address - ram_start) / GRAIN : NULL;
}

static void mark(const void *start, size_t bytes, uint8_t value)
{
	uint8_t *at = shadow_of((uint64_t)start);
	for (size_t i = 0; at && i < bytes / GRAIN; i++)
		at[i] = value;
}

// The callers of the running function, innermost first, by their frame pointers.
static void collect(uintptr_t trace[TRACE])
{
	const uint64_t tops[] = { this_cpu()->kernel_sp, this_cpu()->idle_sp, this_cpu()->emergency_sp };
	uint64_t frame = (uint64_t)__builtin_frame_address(0), top = frame;

	for (size_t i = 0; i < 3; i++)
		if (frame < tops[i] && tops[i] - frame <= KERNEL_STACK_BYTES)
			top = tops[i];
	for (unsigned i = 0; i < TRACE && frame % 16 == 0 && frame < top; i++) {
		trace[i] = ((const uintptr_t *)frame)[-1];
		uint64_t next = ((const uint64_t *)frame)[-2];
		if (next <= frame)
			break;
		frame = next;
	}
}

static void remember(const void *block, size_t bytes, bool freed)
{
	if (!shadow)
		return;
	struct event *event = &events[event_count++ % EVENTS];
	*event = (struct event){ .block = block, .bytes = bytes, .freed = freed };
	collect(event->trace);
}

// --- what the allocators tell

void port_shadow_alloc(void *block, size_t bytes, size_t room)
{
	mark(block, bytes, 0);
	uint8_t *at = shadow_of((uint64_t)block);
	if (!at)
		return;
	size_t whole = bytes / GRAIN;
	mark((char *)block + whole * GRAIN, room - whole * GRAIN, SHADOW_REST);
	if (bytes % GRAIN)
		at[whole] = bytes % GRAIN;
	remember(block, bytes, false);
}

void port_shadow_free(void *block, size_t room)
{
	mark(block, room, SHADOW_FREED);
	remember(block, room, true);
}

void port_shadow_pages(void *start, size_t bytes, bool alive)
{
	mark(start, bytes, alive ? 0 : SHADOW_PAGE);
}

size_t port_shadow_bytes(const void *block)
{
	const uint8_t *at = shadow_of((uint64_t)block);
	size_t bytes = 0;

	for (; at && *at == 0; at++)
		bytes += GRAIN;
	return at && *at < GRAIN ? bytes + *at : bytes;
}

// --- the report

static const char *reason(uint8_t value)
{
	switch (value) {
	case SHADOW_FREED: return "in a block that was freed";
	case SHADOW_PAGE: return "in a free page";
	case SHADOW_GLOBAL: return "past the end of a global variable";
	default: return "past the end of a block";
	}
}

static void show_event(uint64_t address, bool freed)
{
	uint64_t count = event_count, oldest = count > EVENTS ? count - EVENTS : 0;
	for (uint64_t i = count; i-- > oldest;) {
		const struct event *event = &events[i % EVENTS];
		uint64_t start = (uint64_t)event->block;
		if (event->freed != freed || address < start || address >= start + event->bytes + 2 * PORT_REDZONE)
			continue;
		kprintf("%s: block of %lu bytes at %p\n", freed ? "freed by" : "allocated by", event->bytes, event->block);
		for (unsigned n = 0; n < TRACE && event->trace[n]; n++) {
			uint64_t offset = 0;
			const char *name = symbol_name(event->trace[n] - 1, &offset);
			kprintf("  %016lx %s+0x%lx\n", event->trace[n] - 1, name ? name : "?", offset);
		}
		return;
	}
}

static void report(uint64_t address, size_t bytes, bool write, uint8_t value)
{
	if (reporting)
		return; // the report's own accesses
	reporting = true;
	kprintf("address sanitizer: %s of %lu bytes at %p, %s\n", write ? "write" : "read", bytes, (void *)address, reason(value));
	show_event(address, true);
	show_event(address, false);
	panic("address sanitizer: bad %s", write ? "write" : "read");
}

static inline void check(uint64_t address, size_t bytes, bool write)
{
	uint64_t last = address + bytes - 1;
	for (uint64_t grain = round_down(address, GRAIN); grain <= last; grain += GRAIN) {
		const uint8_t *at = shadow_of(grain);
		if (!at || *at == 0)
			continue;
		uint64_t touched = last - grain < GRAIN - 1 ? last - grain : GRAIN - 1; // the last byte of this grain that is touched
		if (*at >= GRAIN || touched >= *at)
			report(grain < address ? address : grain, bytes, write, *at);
	}
}

// --- what the compiler calls

#define CHECKS(n)                                                                    \
	void __asan_load##n##_noabort(uint64_t address);                             \
	void __asan_store##n##_noabort(uint64_t address);                            \
	void __asan_load##n##_noabort(uint64_t address)                              \
	{                                                                            \
		check(address, n, false);    \
	}                                                                            \
	void __asan_store##n##_noabort(uint64_t address)                             \
	{                                                                            \
		check(address, n, true);     \
	}
CHECKS(1)
CHECKS(2)
CHECKS(4)
CHECKS(8)
CHECKS(16)

void __asan_loadN_noabort(uint64_t address, size_t bytes);
void __asan_storeN_noabort(uint64_t address, size_t bytes);
void __asan_handle_no_return(void);

void __asan_loadN_noabort(uint64_t address, size_t bytes)
{
	if (bytes)
		check(address, bytes, false);
}

void __asan_storeN_noabort(uint64_t address, size_t bytes)
{
	if (bytes)
		check(address, bytes, true);
}

void __asan_handle_no_return(void)
{
}

struct global { // laid out by the compiler for each instrumented variable
	const void *start;
	size_t bytes, room; // without and with the redzone after it
	const char *name, *module;
	uintptr_t dynamic_init;
	const void *location;
	uintptr_t indicator;
};
void __asan_register_globals(const struct global *globals, size_t count);
void __asan_unregister_globals(const struct global *globals, size_t count);

void __asan_register_globals(const struct global *globals, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct global *variable = &globals[i];
		size_t whole = variable->bytes / GRAIN;
		mark((const char *)variable->start + whole * GRAIN, variable->room - whole * GRAIN, SHADOW_GLOBAL);
		uint8_t *at = shadow_of((uint64_t)variable->start);
		if (at && variable->bytes % GRAIN)
			at[whole] = variable->bytes % GRAIN;
	}
}

void __asan_unregister_globals(const struct global *globals, size_t count) // the kernel never unloads
{
	(void)globals;
	(void)count;
}
