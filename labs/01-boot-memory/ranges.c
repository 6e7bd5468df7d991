// ranges.c: see ranges.h.
#include <stdlib.h>

#include "ranges.h"

typedef unsigned __int128 wide; // addresses that may lie beyond the end

struct world world;

enum kind { MEMORY, RESERVED, FREE };

static bool is(enum kind kind, uint64_t unit)
{
	return kind == MEMORY ? world.memory[unit] : kind == RESERVED ? world.reserved[unit] : world.memory[unit] && !world.reserved[unit];
}

// The next run of such units from `from` on; false: none.
static bool next_run(enum kind kind, uint64_t from, uint64_t *first, uint64_t *end)
{
	while (from < UNITS && !is(kind, from))
		from++;
	for (*first = from; from < UNITS && is(kind, from);)
		from++;
	*end = from;
	return *first < UNITS;
}

uint64_t address_of(uint64_t unit)
{
	return world.base + unit * world.unit;
}

// ---- a map: 48 units around the place

static char sign(bool memory, bool reserved)
{
	return memory ? (reserved ? '#' : '.') : reserved ? 'r' : ' ';
}

static bool listed(const struct memblock_list *list, uint64_t address)
{
	for (unsigned i = 0; i < list->count && i < MEMBLOCK_RANGES; i++)
		if (list->range[i].start <= address && address < list->range[i].end)
			return true;
	return false;
}

static bool starts(enum kind kind, uint64_t unit)
{
	return is(kind, unit) && (unit == 0 || !is(kind, unit - 1));
}

static bool listed_start(const struct memblock_list *list, uint64_t address)
{
	for (unsigned i = 0; i < list->count && i < MEMBLOCK_RANGES; i++)
		if (list->range[i].start == address)
			return true;
	return false;
}

static void map(uint64_t place, char *to, size_t bytes)
{
	uint64_t at = place < world.base ? 0 : (place - world.base) / world.unit;
	at = at < UNITS ? at : UNITS - 1;
	uint64_t from = at < 24 ? 0 : (at - 24) & ~7ull;
	from = from + 48 > UNITS ? UNITS - 48 : from;
	char row[3][56] = { { 0 } };
	for (uint64_t i = from; i < from + 48; i++) {
		row[0][i - from] = sign(world.memory[i], world.reserved[i]);
		row[1][i - from] = sign(listed(&world.mb->memory, address_of(i)), listed(&world.mb->reserved, address_of(i)));
		if (starts(MEMORY, i) || starts(RESERVED, i))
			row[0][i - from] = '[';
		if (listed_start(&world.mb->memory, address_of(i)) || listed_start(&world.mb->reserved, address_of(i)))
			row[1][i - from] = '[';
	}
	memset(row[2], ' ', at - from);
	row[2][at - from] = '^';
	snprintf(to, bytes,
		 "           0x%llx on, a column is %llu byte%s\nshould be  %s\nlists say  %s\n           %s 0x%llx\n"
		 "[: a range starts  .: free  #: reserved  r: reserved, no memory\n",
		 (unsigned long long)address_of(from), (unsigned long long)world.unit, world.unit > 1 ? "s" : "", row[0], row[1], row[2],
		 (unsigned long long)address_of(at));
}

// ---- calls

void world_start(unsigned which)
{
	static const struct {
		uint64_t base, unit;
	} worlds[WORLDS] = { { 0, 1 }, { 0x80000000, 4096 }, { 0xfffffe00, 1 }, { 0 - (uint64_t)UNITS, 1 }, { 0 - 4096ull * UNITS, 4096 } };
	free(world.mb);
	world = (struct world){ .base = worlds[which].base, .unit = worlds[which].unit, .usable = UNITS - (which >= 3) };
	world.mb = calloc(1, sizeof *world.mb);
	judge_map = map;
	call("an empty memblock, for memory from 0x%llx on", (unsigned long long)world.base);
}

static void paint(bool *what, uint64_t first, uint64_t count, bool value)
{
	memset(what + first, value, count);
}

static void announce(const char *function, uint64_t first, uint64_t count)
{
	call("%s(0x%llx, 0x%llx bytes)", function, (unsigned long long)address_of(first), (unsigned long long)(count * world.unit));
	judge_place(address_of(first));
}

static void require_done(bool done, uint64_t first)
{
	answer("%s", done ? "true" : "false");
	REQUIRE(done, address_of(first), "A range is refused only when the list is full or the range wraps around.", "true", "false");
}

void add(uint64_t first, uint64_t count)
{
	announce("memblock_add", first, count);
	bool done = memblock_add(world.mb, PA(address_of(first)), count * world.unit);
	paint(world.memory, first, count, true);
	require_done(done, first);
}

void reserve(uint64_t first, uint64_t count)
{
	announce("memblock_reserve", first, count);
	bool done = memblock_reserve(world.mb, PA(address_of(first)), count * world.unit);
	paint(world.reserved, first, count, true);
	require_done(done, first);
}

void give_back(uint64_t first, uint64_t count)
{
	announce("memblock_free", first, count);
	memblock_free(world.mb, PA(address_of(first)), count * world.unit);
	paint(world.reserved, first, count, false);
}

// Where they must be taken from; 0: nowhere.
static uint64_t right_place(uint64_t bytes, uint64_t align, bool high)
{
	uint64_t first, end = 0, found = 0;
	while (next_run(FREE, end, &first, &end)) {
		wide low = address_of(first) ? address_of(first) : 1, top = (wide)world.base + end * world.unit;
		wide place = high ? (bytes <= top ? (top - bytes) / align * align : 0) : (low + align - 1) / align * align;
		if (place < low || place + bytes > top)
			continue;
		found = (uint64_t)place;
		if (!high)
			return found;
	}
	return found;
}

static bool all_free(uint64_t start, uint64_t bytes)
{
	if (start < world.base || start - world.base > UNITS * world.unit || bytes > UNITS * world.unit - (start - world.base))
		return false;
	for (uint64_t i = (start - world.base) / world.unit; i <= (start + bytes - 1 - world.base) / world.unit; i++)
		if (!is(FREE, i))
			return false;
	return true;
}

static const char THERE[] = "Only memory that is there and not reserved is given out, from its first byte to its last.";
static const char LOWEST[] = "memblock_alloc takes the lowest place where it fits.";
static const char HIGHEST[] = "memblock_alloc_high takes the highest place where it fits.";

static void require_place(uint64_t got, uint64_t bytes, uint64_t align, uint64_t right, bool high)
{
	const char *said = got ? SAY("0x%llx", (unsigned long long)got) : "PA_NONE";
	const char *wanted = right ? SAY("0x%llx", (unsigned long long)right) : "PA_NONE";
	REQUIRE(got || !right, right, "Memory is refused only when it fits nowhere.", wanted, said);
	REQUIRE(!got || got % align == 0, got, "What is given out is aligned.",
		SAY("a multiple of 0x%llx: %s", (unsigned long long)align, wanted), said);
	REQUIRE(!got || all_free(got, bytes), got, THERE, wanted, said);
	REQUIRE(got == right, got, high ? HIGHEST : LOWEST, wanted, said);
}

bool take(uint64_t bytes, uint64_t align, bool high)
{
	uint64_t right = right_place(bytes, align, high);
	call("memblock_alloc%s(0x%llx bytes, align 0x%llx)", high ? "_high" : "", (unsigned long long)bytes, (unsigned long long)align);
	judge_place(right ? right : world.base);
	pa_t got = (high ? memblock_alloc_high : memblock_alloc)(world.mb, bytes, align);
	if (pa_is_none(got))
		answer("PA_NONE");
	else
		answer("0x%llx", (unsigned long long)got.raw);
	require_place(got.raw, bytes, align, right, high);
	if (right)
		paint(world.reserved, (right - world.base) / world.unit, bytes / world.unit, true);
	return right != 0;
}

unsigned reserved_ranges(void)
{
	uint64_t first, end = 0;
	unsigned count = 0;
	while (next_run(RESERVED, end, &first, &end))
		count++;
	return count;
}

// ---- comparison

static const char *said_of(uint64_t start, uint64_t end)
{
	return SAY("0x%llx to 0x%llx", (unsigned long long)start, (unsigned long long)end);
}

static void require_list(const struct memblock_list *list, enum kind kind, const char *rule)
{
	const char *name = kind == MEMORY ? "memory" : "reserved";
	uint64_t first, end = 0;
	unsigned i = 0;
	for (; next_run(kind, end, &first, &end); i++) {
		uint64_t start = address_of(first), stop = address_of(end);
		const char *wanted = SAY("%s, range %u: %s", name, i, said_of(start, stop));
		REQUIRE(i < list->count, start, rule, wanted, SAY("%s has %u ranges", name, list->count));
		const struct memblock_range *range = &list->range[i];
		REQUIRE(range->start == start, range->start < start ? range->start : start, rule, wanted,
			said_of(range->start, range->end));
		REQUIRE(range->end == stop, range->end < stop ? range->end : stop, rule, wanted, said_of(range->start, range->end));
	}
	REQUIRE(list->count == i, i < list->count && i < MEMBLOCK_RANGES ? list->range[i].start : world.base, rule,
		SAY("%s has %u ranges", name, i), SAY("%u ranges", list->count));
}

void require_lists(const char *rule)
{
	require_list(&world.mb->memory, MEMORY, rule);
	require_list(&world.mb->reserved, RESERVED, rule);
}

void require_free(const char *rule)
{
	uint64_t cursor = 0, first, end = 0;
	struct memblock_range range;
	while (next_run(FREE, end, &first, &end)) {
		uint64_t start = address_of(first), stop = address_of(end);
		const char *wanted = said_of(start, stop);
		call("memblock_next_free(cursor 0x%llx)", (unsigned long long)cursor);
		judge_place(start);
		REQUIRE(memblock_next_free(world.mb, &cursor, &range), start, rule, SAY("next is %s", wanted), "there is no more");
		answer("%s", said_of(range.start, range.end));
		REQUIRE(range.start == start, start, rule, wanted, said_of(range.start, range.end));
		REQUIRE(range.end == stop, stop, rule, wanted, said_of(range.start, range.end));
	}
	call("memblock_next_free(cursor 0x%llx)", (unsigned long long)cursor);
	for (unsigned again = 0; again < 2; again++)
		REQUIRE(!memblock_next_free(world.mb, &cursor, &range), range.start, rule, "no further free range",
			said_of(range.start, range.end));
}
