// preload_memory.c: memory for libquire.so: "physical memory" as a reserved range of addresses that grows, and mappings for large blocks.
//
//    port_linear + 4 MiB                                    + ROOM
//        | pages in use | ──page_grow, 4 MiB at a time──►    | tables of page.c: room for all, made writable as pages come |
//
//    a large block:   mapping ──► | ... | struct mapping | block ...                |
//
// The slab heap calls page_alloc and page_free by other names (see the Makefile), that is, through here: the first empties this thread's
// magazines and then makes memory grow before it refuses, the second counts what was freed and now and then gives whole free 4 MiB blocks
// back to the system, which it finds by allocating them. vmalloc of mm/vmalloc.h is answered here, by mmap.
//
// Cost: a system call for 4 MiB, two for a large block.
// Weakness: memory in smaller free blocks stays with the process.
#define _GNU_SOURCE
#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "../page_record.h"
#include "../slab.h"
#include "../vmalloc.h"
#include "preload.h"

#define BLOCK        ((uint64_t)PAGE_BYTES << PAGE_MAX_ORDER)
#define ROOM_MOST    ((uint64_t)128 << 30)
#define ROOM_LEAST   ((uint64_t)64 << 20)
#define PURGE_PAGES  ((size_t)8192) // freed ones, before memory goes back by itself
#define STATE_BYTES  ((uint64_t)64 << 10)                                              // of the engine, and alignment: more than enough
#define TABLE_BYTES(room) ((room) / PAGE_BYTES * (sizeof(struct page) + 1) + STATE_BYTES)

uintptr_t port_linear;

// ---- the range

static bool writable(uint64_t start, uint64_t bytes) // physical
{
	return mprotect(pa_pointer(PA(start)), bytes, PROT_READ | PROT_WRITE) == 0;
}

static bool reserve(uint64_t room)
{
	uint64_t bytes = room + TABLE_BYTES(room) + 2 * BLOCK;
	char *range = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (range == MAP_FAILED)
		return false;
	port_linear = round_up((uintptr_t)range, BLOCK) - BLOCK; // address 0 means "no page"
	return true;
}

void preload_memory_init(void)
{
	uint64_t room = ROOM_MOST;
	struct memblock mb = { 0 };

	while (!reserve(room) && room > ROOM_LEAST)
		room /= 2;
	uint64_t limit = BLOCK + room, marks = limit + room / PAGE_BYTES * sizeof(struct page), end = limit + TABLE_BYTES(room);
	struct page_config config = { .cpus = PORT_MAX_CPUS, .limit = PA(limit) };
	bool ready = port_linear && writable(BLOCK, BLOCK) && writable(limit, 2 * STATE_BYTES) &&
		writable(round_down(marks, PAGE_BYTES), 2 * STATE_BYTES) && writable(end - STATE_BYTES, STATE_BYTES) &&
		memblock_add(&mb, PA(BLOCK), BLOCK) && memblock_add(&mb, PA(limit), end - limit) && page_init(&mb, &config);
	if (!ready)
		port_panic("no addresses for its memory: is there a limit (ulimit -v) or no memory left?", 0);
}

static bool table_writable(const void *from, uint64_t bytes)
{
	uint64_t start = pa_of(from).raw, first = round_down(start, PAGE_BYTES);

	return writable(first, start - first + bytes);
}

static bool grow(void)
{
	static struct lock lock = { .name = "growth" };

	lock_acquire(&lock);
	uint64_t end = BLOCK + (uint64_t)page_total_count() * PAGE_BYTES;
	uint32_t frame = page_state.zones[1].end, count = BLOCK / PAGE_BYTES;
	bool grown = writable(end, BLOCK) && table_writable(page_at(frame), count * sizeof(struct page)) &&
		table_writable(mark_at(frame), count) && page_grow(BLOCK);
	lock_release(&lock);
	return grown;
}

// ---- pages

pa_t preload_page_alloc(unsigned order, unsigned flags)
{
	preload_enter();
	pa_t page = page_alloc(order, flags);
	if (pa_is_none(page)) { // magazines hold on to slabs of a size that may be wanted no more
		kmem_reap_cpu();
		page = page_alloc(order, flags);
	}
	while (pa_is_none(page) && order <= PAGE_MAX_ORDER && grow())
		page = page_alloc(order, flags);
	preload_leave();
	return page;
}

// Takes all free blocks of the largest size out, so that nobody else gets them meanwhile, and puts them back without their memory.
void preload_purge(void)
{
	pa_t taken = PA_NONE, block;

	preload_enter();
	page_drain();
	while (!pa_is_none(block = page_alloc(PAGE_MAX_ORDER, PAGE_KERNEL))) {
		madvise(pa_pointer(block), BLOCK, MADV_DONTNEED);
		page_of(block)->owner = (uint32_t)(taken.raw / BLOCK);
		taken = block;
	}
	while (!pa_is_none(taken)) {
		block = taken;
		taken = PA((uint64_t)page_of(block)->owner * BLOCK);
		page_free(block);
	}
	preload_leave();
}

void preload_page_free(pa_t page)
{
	static atomic_size_t freed;
	size_t pages = (size_t)1 << page_order(page);

	preload_enter();
	page_free(page);
	if (atomic_fetch_add(&freed, pages) + pages >= PURGE_PAGES + page_total_count() / 2) {
		atomic_store(&freed, 0);
		preload_purge();
	}
	preload_leave();
}

// ---- large blocks

struct mapping { // just before the block
	char *start;
	size_t bytes;
	uintptr_t mark;
};
#define HEADER ((size_t)64)
#define MARK ((uintptr_t)0x6d61702071756972ULL)

static struct mapping *mapping_of(const void *block)
{
	return (struct mapping *)(uintptr_t)block - 1;
}

static bool is_mapping(const void *block)
{
	return (uintptr_t)block % HEADER == 0 && mapping_of(block)->mark == (MARK ^ (uintptr_t)block);
}

static void *settle(char *start, size_t bytes, char *block)
{
	*mapping_of(block) = (struct mapping){ start, bytes, MARK ^ (uintptr_t)block };
	return block;
}

void *map_alloc(size_t bytes, size_t align)
{
	size_t front = align > HEADER ? align : HEADER, whole;

	if (__builtin_add_overflow(bytes, front + PAGE_BYTES, &whole) || whole > PTRDIFF_MAX) {
		errno = ENOMEM;
		return NULL;
	}
	whole = round_down(whole, PAGE_BYTES);
	char *start = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (start == MAP_FAILED)
		return NULL;
	return settle(start, whole, (char *)round_down((uintptr_t)start + front, front));
}

void *map_resize(void *block, size_t bytes)
{
	struct mapping *mapping = mapping_of(block);
	size_t before = (size_t)((char *)block - mapping->start), whole;

	if (!is_mapping(block) || __builtin_add_overflow(bytes, before + PAGE_BYTES, &whole))
		return NULL;
	whole = round_down(whole, PAGE_BYTES);
	char *start = mremap(mapping->start, mapping->bytes, whole, MREMAP_MAYMOVE);
	return start == MAP_FAILED ? NULL : settle(start, whole, start + before);
}

void *vmalloc(size_t bytes)
{
	return map_alloc(bytes, PAGE_BYTES);
}

size_t vmalloc_bytes(const void *block)
{
	const struct mapping *mapping = mapping_of(block);

	return is_mapping(block) ? mapping->bytes - (size_t)((const char *)block - mapping->start) : 0;
}

void vfree(void *block)
{
	int saved = errno;
	struct mapping *mapping = mapping_of(block);

	mapping->mark = 0;
	munmap(mapping->start, mapping->bytes);
	errno = saved;
}
