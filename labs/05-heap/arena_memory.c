// arena_memory.c: what a heap in a check has of memory: its arena, the pool behind port_reserve, the gaps between live blocks, a map.
#include <sanitizer/asan_interface.h>
#include <stdlib.h>

#include "arena.h"

struct arena arena;

static uintptr_t memory, first_visited;
static _Alignas(4096) unsigned char pool[POOL_BYTES];
static bool taken[POOL_PAGES];

const char *arena_name(uintptr_t address)
{
	if (address >= (uintptr_t)pool && address <= (uintptr_t)pool + POOL_BYTES)
		return SAY("pool + %#lx", (unsigned long)(address - (uintptr_t)pool));
	if (address >= memory && address <= memory + arena.bytes)
		return SAY("arena + %#lx", (unsigned long)(address - memory));
	return SAY("%#lx, which is nowhere", (unsigned long)address);
}

// ---- gaps

unsigned arena_first_above(uintptr_t address)
{
	unsigned low = 0, high = arena.count;
	while (low < high) {
		unsigned middle = (low + high) / 2;
		if (arena.live[middle].at < address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

unsigned arena_gaps(struct gap gap[GAPS_MOST])
{
	unsigned count = 0;
	for (unsigned i = 0; i < arena.ranges; i++) {
		uintptr_t at = arena.range[i].start;
		// A piece's own records, perhaps: a header, and two bits for 16 bytes.
		uintptr_t edge = i > 0 ? (arena.range[i].end - at) / 64 + 128 : 0;
		unsigned next = arena_first_above(at);
		if (next > 0 && arena.live[next - 1].at + arena.live[next - 1].usable > at) // one that comes from the piece below
			at = arena.live[next - 1].at + arena.live[next - 1].usable;
		for (; at < arena.range[i].end; count++) {
			bool block = next < arena.count && arena.live[next].at < arena.range[i].end;
			uintptr_t end = block ? arena.live[next].at : arena.range[i].end;
			size_t bytes = end > at ? end - at : 0, cost = SLACK + (at == arena.range[i].start || !block ? edge : 0);
			gap[count] = (struct gap){ at, end, bytes > cost ? bytes - cost : 0 };
			at = block ? end + arena.live[next++].usable : end;
		}
	}
	return count;
}

static struct gap gaps[GAPS_MOST];

size_t arena_largest(void)
{
	size_t largest = 0;
	for (unsigned i = arena_gaps(gaps); i-- > 0;)
		largest = gaps[i].sure > largest ? gaps[i].sure : largest;
	return largest;
}

// ---- a map: what should be, and what the heap's walk says, in cells of a size at which some blocks are seen

#define CELLS 54u

static char row[2][CELLS + 1];
static uintptr_t map_start, map_cell;
static unsigned visits;

static void draw(char *to, uintptr_t start, uintptr_t end, char first, char rest)
{
	for (unsigned i = 0; i < CELLS; i++) {
		uintptr_t cell = map_start + i * map_cell;
		if (cell + map_cell > start && cell < end)
			to[i] = cell <= start && start < cell + map_cell ? first : rest;
	}
}

static bool draw_visited(void *context, void *block, size_t bytes, bool used)
{
	(void)context;
	draw(row[1], (uintptr_t)block, (uintptr_t)block + (bytes ? bytes : 1), used ? '[' : '.', used ? '#' : '.');
	return ++visits < 20000;
}

static void map(uint64_t place, char *to, size_t bytes)
{
	struct range whole = { memory, memory + arena.bytes };
	for (unsigned i = 1; i < arena.ranges; i++)
		if (place >= arena.range[i].start && place < arena.range[i].end)
			whole = arena.range[i];
	if (place < whole.start || place >= whole.end)
		place = whole.start;
	for (map_cell = 16; map_cell * CELLS < whole.end - whole.start; map_cell *= 2) {
		unsigned seen = 0;
		for (unsigned i = 0; i < arena.count; i++)
			seen += arena.live[i].at + map_cell * CELLS / 2 > place && arena.live[i].at < place + map_cell * CELLS / 2;
		if (seen >= 5)
			break;
	}
	map_start = place - whole.start < map_cell * CELLS / 2 ? whole.start : (place - map_cell * CELLS / 2) & ~(map_cell - 1);
	memset(row, ' ', sizeof row);
	draw(row[0], whole.start, whole.end, '.', '.');
	draw(row[0], memory, arena.range[0].start, '-', '-');
	for (unsigned i = 0; i < arena.count; i++)
		draw(row[0], arena.live[i].at, arena.live[i].at + arena.live[i].usable, '[', '#');
	char at[CELLS + 1];
	memset(at, ' ', CELLS);
	at[(place - map_start) / map_cell] = 0;
	int used = snprintf(to, bytes, "from %s on, %lu bytes a sign\nshould be  %.54s\n           %s^\n",
			    arena_name(map_start), (unsigned long)map_cell, row[0], at);
	visits = 0;
	if (arena.heap)
		arena.ops->walk(arena.heap, draw_visited, NULL);
	snprintf(to + used, bytes - (size_t)used, "walk says  %.54s\n[## in use   . free   - the heap's own\n", row[1]);
}

// ---- pieces

static void add_range(uintptr_t start, size_t bytes)
{
	unsigned i = arena.ranges++;
	for (; i > 1 && arena.range[i - 1].start > start; i--)
		arena.range[i] = arena.range[i - 1];
	arena.range[i] = (struct range){ start, start + bytes };
}

static bool is_free(unsigned first, unsigned pages)
{
	for (unsigned i = 0; i < pages; i++)
		if (taken[first + i])
			return false;
	return true;
}

unsigned arena_find_run(unsigned pages)
{
	unsigned margin = arena.layout == APART;
	for (unsigned i = margin; pages > 0 && pages + 2 * margin <= POOL_PAGES && i + pages + margin <= POOL_PAGES; i++) {
		unsigned first = arena.layout == DOWNWARDS ? POOL_PAGES - pages - i : i;
		if (is_free(first - margin, pages + 2 * margin))
			return first;
	}
	return POOL_PAGES;
}

static void *reserve(size_t bytes)
{
	arena.reserves++;
	bool refuse = arena.refuse_from && arena.reserves >= arena.refuse_from;
	unsigned first = refuse || bytes > POOL_BYTES ? POOL_PAGES : arena_find_run((unsigned)(bytes / PAGE));
	if (first == POOL_PAGES || arena.ranges == RANGES_MOST) {
		arena.refusals++;
		return NULL;
	}
	unsigned char *start = pool + first * PAGE;
	memset(taken + first, true, bytes / PAGE);
	ASAN_UNPOISON_MEMORY_REGION(start, bytes);
	memset(start, 0xa5, bytes);
	add_range((uintptr_t)start, bytes);
	arena.reserved += bytes;
	arena.most = arena.reserved > arena.most ? arena.reserved : arena.most;
	return start;
}

static void release(void *start, size_t bytes)
{
	unsigned i = 1;
	while (i < arena.ranges && arena.range[i].start != (uintptr_t)start)
		i++;
	REQUIRE(i < arena.ranges && arena.range[i].end - arena.range[i].start == bytes, (uintptr_t)start,
		"port_release takes back exactly what port_reserve gave.", "start and size of one piece",
		SAY("port_release(%s, %zu)", arena_name((uintptr_t)start), bytes));
	for (unsigned j = 0; j < arena.count; j++)
		REQUIRE(arena.live[j].at < arena.range[i].start || arena.live[j].at >= arena.range[i].end, arena.live[j].at,
			"A piece is given back only when nothing in it is in use.", "a piece without a live block",
			SAY("port_release(%s, %zu); the block at %s is in use", arena_name((uintptr_t)start), bytes,
			    arena_name(arena.live[j].at)));
	for (arena.ranges--; i < arena.ranges; i++)
		arena.range[i] = arena.range[i + 1];
	memset(taken + ((unsigned char *)start - pool) / PAGE, false, bytes / PAGE);
	ASAN_POISON_MEMORY_REGION(start, bytes);
	arena.reserved -= bytes;
}

static bool note_first(void *context, void *block, size_t bytes, bool used)
{
	uintptr_t *end = context;
	(void)used;
	if (!first_visited)
		first_visited = (uintptr_t)block;
	*end = (uintptr_t)block + bytes;
	return ++visits < 20000;
}

bool arena_start(const struct heap_ops *ops, size_t bytes, enum layout layout)
{
	uintptr_t end = 0;
	free((void *)memory);
	arena = (struct arena){ .ops = ops, .bytes = bytes, .layout = layout };
	first_visited = visits = 0;
	memset(taken, 0, sizeof taken);
	ASAN_POISON_MEMORY_REGION(pool, POOL_BYTES);
	void *block = NULL;
	if (posix_memalign(&block, 16, bytes ? bytes : 16))
		abort();
	memory = (uintptr_t)block;
	memset((void *)memory, 0x5c, bytes);
	arena.memory = memory;
	arena.ranges = 1;
	arena.range[0] = (struct range){ memory, memory + bytes };
	host_reserve_hook = reserve;
	host_release_hook = release;
	judge_map = map;
	judge_place(memory);
	call("%s: create(an arena of %zu bytes)", ops->name, bytes);
	struct heap *heap = heap_create(ops, (void *)memory, bytes);
	if (!heap) {
		answer("NULL");
		return false;
	}
	arena.heap = heap;
	ops->walk(heap, note_first, &end);
	if (first_visited > memory + 16 && end <= memory + bytes && end > first_visited)
		arena.range[0] = (struct range){ first_visited - 16, end };
	return true;
}

