// arena.c: the calls that checks make, and what is asked of their answers: see arena.h.
#include "arena.h"

static struct gap gaps[GAPS_MOST];
static unsigned visits;

// ---- stamps

static uint64_t stamp_word(const struct live *live, size_t i)
{
	return live->stamp + i * 0x9e3779b97f4a7c15;
}

static void stamp(struct live *live)
{
	live->stamp = random_next();
	for (size_t i = 0; i + 8 <= live->usable; i += 8) {
		uint64_t word = stamp_word(live, i);
		memcpy((void *)(live->at + i), &word, 8);
	}
}

static void look_at(const struct live *live, size_t bytes)
{
	for (size_t i = 0; i + 8 <= bytes; i += 8) {
		uint64_t word;
		memcpy(&word, (void *)(live->at + i), 8);
		REQUIRE(word == stamp_word(live, i), live->at + i, "Nobody but its owner writes to a block while it is in use.",
			"what the owner wrote",
			SAY("byte %zu of the block of %zu at %s was changed", i, live->bytes, arena_name(live->at)));
	}
}

static unsigned index_of(const void *block)
{
	unsigned i = 0;
	while (i < arena.count && arena.live[i].at != (uintptr_t)block)
		i++;
	REQUIRE(i < arena.count, NOWHERE, "a check frees only what it has", "", "the check is wrong");
	return i;
}

// ---- what is asked of a block

static const char APART_RULE[] = "No byte belongs to two blocks at the same time.";

static void require_apart(const struct live *live, const struct live *below, const struct live *above)
{
	if (below)
		REQUIRE(below->at + below->usable <= live->at, live->at, APART_RULE, "a block of free memory",
			SAY("%s lies in the block of %zu bytes at %s", arena_name(live->at), below->usable, arena_name(below->at)));
	if (above)
		REQUIRE(live->at + live->usable <= above->at, live->at, APART_RULE, "a block of free memory",
			SAY("%zu bytes at %s reach into the block at %s", live->usable, arena_name(live->at), arena_name(above->at)));
}

static void require_size(const struct live *live)
{
	REQUIRE(live->usable >= live->bytes, live->at, "A block has room for all that was asked for.",
		SAY("usable: at least %zu", live->bytes), SAY("usable = %zu", live->usable));
	REQUIRE(live->usable <= live->bytes + SLACK, live->at, "What a block does not need stays free.",
		SAY("about %zu bytes", live->bytes), SAY("usable = %zu", live->usable));
}

static void require_inside(uintptr_t at, size_t bytes)
{
	bool inside = at >= arena.memory && at < arena.memory + arena.bytes && bytes <= arena.memory + arena.bytes - at;
	uintptr_t reach = 0; // pieces that touch are one
	for (unsigned i = 1; i < arena.ranges && !inside; i++) {
		if (arena.range[i].start != reach || at < arena.range[i].start)
			reach = arena.range[i].end;
		if (at < arena.range[i].start || at >= arena.range[i].end)
			continue;
		reach = arena.range[i].end;
		while (i + 1 < arena.ranges && arena.range[i + 1].start == reach)
			reach = arena.range[++i].end;
		inside = bytes <= reach - at;
	}
	REQUIRE(inside, at, "A block lies wholly in the heap's arena, or in memory from port_reserve.", "an address in it",
		SAY("%s, %zu bytes", arena_name(at), bytes));
}

static void require_policy(const struct gap *gap, unsigned count, uintptr_t at, size_t bytes, size_t align)
{
	unsigned chosen = 0;
	size_t need = align > HEAP_ALIGN ? bytes + 2 * align : bytes;
	while (chosen + 1 < count && gap[chosen].end <= at)
		chosen++;
	size_t size = gap[chosen].end - gap[chosen].start;
	for (unsigned i = 0; i < count; i++) {
		size_t other = gap[i].end - gap[i].start;
		const char *name = arena.ops->name;
		const char *expected = SAY("the hole of %zu bytes at %s", other, arena_name(gap[i].start));
		const char *actual = SAY("the hole of %zu bytes at %s", size, arena_name(gap[chosen].start));
		if (i == chosen || gap[i].sure < need)
			continue;
		if (name[0] == 'f')
			REQUIRE(i > chosen, at, "First fit takes the lowest hole that is large enough.", expected, actual);
		if (name[0] == 'b')
			REQUIRE(other + SLACK >= size, at, "Best fit takes the smallest hole that is large enough.", expected, actual);
		if (name[0] == 'w')
			REQUIRE(other <= size + SLACK, at, "Worst fit takes the largest hole.", expected, actual);
		bool sooner = at > arena.last ? gap[i].start > arena.last && gap[i].end < at : gap[i].start > arena.last || gap[i].end < at;
		if (name[0] == 'n' && arena.last)
			REQUIRE(!sooner, at, "Next fit goes on where the last search ended, and takes the first hole that is large enough.",
				SAY("%s; the last block is at %s", expected, arena_name(arena.last)), actual);
	}
}

static const char REFUSAL[] = "A block is refused only when no hole is large enough and port_reserve gives no more.";

static void require_refusal(size_t bytes, size_t align, unsigned refusals)
{
	unsigned count = arena_gaps(gaps);
	size_t need = align > HEAP_ALIGN ? bytes + 2 * align : bytes;
	if (need < bytes || bytes > POOL_BYTES)
		return;
	for (unsigned i = 0; i < count; i++)
		REQUIRE(gaps[i].sure < need, gaps[i].start, REFUSAL,
			SAY("a block: %zu bytes are free at %s", gaps[i].end - gaps[i].start, arena_name(gaps[i].start)), "NULL");
	REQUIRE(arena.refusals > refusals, NOWHERE, REFUSAL, "port_reserve is asked for more memory", "NULL, without a call of it");
	if (!arena.refuse_from && arena.ranges < RANGES_MOST)
		REQUIRE(arena_find_run((unsigned)((need + need / 64) / PAGE) + 2) == POOL_PAGES, NOWHERE, REFUSAL,
			SAY("a block: port_reserve would still give %zu bytes", ((need + need / 64) / PAGE + 2) * PAGE), "NULL");
}

// ---- calls

unsigned char *arena_alloc(size_t bytes, size_t align)
{
	unsigned count = arena_gaps(gaps), refusals = arena.refusals, reserves = arena.reserves, i = arena.count;
	if (align > HEAP_ALIGN)
		call("alloc(%zu, aligned to %zu)", bytes, align);
	else
		call("alloc(%zu)", bytes);
	REQUIRE(i < LIVE_MOST, NOWHERE, "a check has room for all its blocks", "", "the check is wrong");
	unsigned char *block = arena.ops->alloc(arena.heap, bytes, align);
	uintptr_t at = (uintptr_t)block;
	if (!block) {
		answer("NULL");
		require_refusal(bytes, align, refusals);
		return NULL;
	}
	answer("%s", arena_name(at));
	REQUIRE(at % align == 0, at, "A block is aligned as was asked for, and to HEAP_ALIGN at least.", SAY("a multiple of %zu", align),
		arena_name(at));
	require_inside(at, bytes);
	struct live live = { at, bytes, arena.ops->usable(arena.heap, block), 0 };
	require_size(&live);
	require_inside(at, live.usable);
	while (i > 0 && arena.live[i - 1].at > at)
		i--;
	require_apart(&live, i > 0 ? &arena.live[i - 1] : NULL, i < arena.count ? &arena.live[i] : NULL);
	if (arena.ranges == 1 && arena.reserves == reserves)
		require_policy(gaps, count, at, bytes, align);
	memmove(arena.live + i + 1, arena.live + i, (arena.count++ - i) * sizeof live);
	stamp(&live);
	arena.live[i] = live;
	arena.last = at;
	return block;
}

void arena_free(void *block)
{
	unsigned i = index_of(block);
	call("free(%s)", arena_name((uintptr_t)block));
	judge_place((uintptr_t)block);
	look_at(&arena.live[i], arena.live[i].usable);
	memset(block, 0xdd, arena.live[i].usable);
	memmove(arena.live + i, arena.live + i + 1, (--arena.count - i) * sizeof *arena.live);
	arena.last = 0;
	arena.ops->free(arena.heap, block);
}

static bool is_start(uintptr_t address)
{
	for (unsigned i = 0; i < arena.ranges; i++)
		if (arena.range[i].start == address)
			return true;
	return false;
}

bool arena_resize(void *block, size_t bytes)
{
	unsigned i = index_of(block), count = arena_gaps(gaps);
	struct live *live = &arena.live[i], before = *live;
	size_t room = live->usable;
	for (unsigned g = 0; g < count; g++) // right above it, in the same piece
		if (!is_start(gaps[g].start) && gaps[g].start == live->at + live->usable && gaps[g].end - gaps[g].start > SLACK)
			room += gaps[g].end - gaps[g].start - SLACK;
	call("resize(%s, %zu)", arena_name(live->at), bytes);
	judge_place(live->at);
	bool done = arena.ops->resize(arena.heap, block, bytes);
	answer(done ? "true" : "false");
	arena.last = 0;
	REQUIRE(done || bytes > room, live->at, "A block shrinks where it stands, and grows where what lies right above it is free.",
		SAY("true: there is room for %zu bytes", room), "false");
	live->usable = arena.ops->usable(arena.heap, block);
	look_at(&before, live->usable < before.usable ? live->usable : before.usable);
	if (!done) {
		REQUIRE(live->usable == before.usable, live->at, "A block that cannot be resized is as it was.",
			SAY("usable = %zu", before.usable), SAY("usable = %zu", live->usable));
		return false;
	}
	live->bytes = bytes;
	require_size(live);
	require_inside(live->at, live->usable);
	require_apart(live, NULL, i + 1 < arena.count ? live + 1 : NULL);
	stamp(live);
	return true;
}

void arena_trim(void)
{
	call("trim()");
	arena.last = 0;
	arena.ops->trim(arena.heap);
}

void *arena_random(void)
{
	return arena.count ? (void *)arena.live[random_below(arena.count)].at : NULL;
}

// ---- what the heap says of itself

static const char WALK[] = "walk shows each block once: the live ones as used, the rest as free.";
static unsigned seen;

static bool look_visited(void *context, void *block, size_t bytes, bool used)
{
	uintptr_t at = (uintptr_t)block;
	struct live live = { at, bytes, bytes, 0 };
	unsigned low = arena_first_above(at);
	(void)context;
	const struct live *here = low < arena.count ? &arena.live[low] : NULL;
	if (used) {
		REQUIRE(here && here->at == at, at, WALK, "a live block", SAY("used: %zu bytes at %s", bytes, arena_name(at)));
		REQUIRE(bytes >= here->bytes && bytes <= here->usable + SLACK, at, WALK,
			SAY("%zu bytes", here->usable), SAY("%zu bytes", bytes));
		seen++;
	} else {
		require_apart(&live, low > 0 ? &arena.live[low - 1] : NULL, here);
	}
	REQUIRE(++visits < 2 * LIVE_MOST + 200, at, WALK, "an end", "more blocks than there can be");
	return true;
}

void arena_look(void)
{
	for (unsigned i = 0; i < arena.count; i++)
		look_at(&arena.live[i], arena.live[i].usable);
	struct verdict verdict = arena.ops->check(arena.heap);
	REQUIRE(!verdict.broken, verdict.where, "The heap's own check finds all its invariants whole.",
		SAY("%s holds: the head of mm/freelist.c says what it is", verdict.broken),
		SAY("it is broken at %s", arena_name(verdict.where)));
	visits = seen = 0;
	arena.ops->walk(arena.heap, look_visited, NULL);
	REQUIRE(seen == arena.count, NOWHERE, WALK, SAY("%u used blocks", arena.count), SAY("%u", seen));
}

void arena_expect_panic(const char *words, void *payload, const char *what)
{
	sigjmp_buf jump;
	call("free(%s), which is %s", arena_name((uintptr_t)payload), what);
	judge_place((uintptr_t)payload);
	if (sigsetjmp(jump, 0) == 0) {
		panic_jump = &jump;
		arena.ops->free(arena.heap, payload);
		panic_jump = NULL;
		fail(__FILE__, __LINE__, (uintptr_t)payload, "A caller's mistake panics at once, with the name of the rule.",
		     SAY("a panic: %s", words), "free returned as if all were well");
	}
	panic_jump = NULL;
	char copy[sizeof panic_rule];
	bool named = false;
	memcpy(copy, panic_rule, sizeof copy);
	if (strncmp(copy, "Lab ", 4) == 0)
		port_panic(copy, 0);
	snprintf(copy, sizeof copy, "%s", words);
	for (char *word = strtok(copy, "|"); word; word = strtok(NULL, "|"))
		named |= strstr(panic_rule, word) != NULL;
	REQUIRE(named, (uintptr_t)payload, "A caller's mistake panics at once, with the name of the rule.",
		SAY("a panic that says: %s", words), SAY("panic: %s", panic_rule));
}
