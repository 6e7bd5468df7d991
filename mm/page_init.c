// page_init.c: the handover: from memblock's ranges to numbered frames, zones and engines.
//
//     memory    |  free ranges of memblock  |   large hole   |   more   |
//     spans     [ 0 ......................  ]                [ 1 ...... ]     runs of pages that have records
//     frames    first ...                end    (no records)  first ...       dense numbers
//     records   [12 bytes each: unmanaged | free | ...       ][         ]     one array, at the top of the highest range with room
//     zones     [ DMA: below the limit | normal                         ]
//
// A hole that leaves out at least one place for a largest block starts a new span; smaller ones have records that stay
// PAGE_UNMANAGED. A span's first frame agrees with its physical page modulo 2^PAGE_MAX_ORDER and lies in a later largest-block
// place than the span before, so aligned blocks never lie across two spans. The invariants stand in page.c (P7, P8).
//
// Memory may come later (page_grow): behind the last span, up to a limit for which the tables have room from the start. Records are cleared
// when their pages come, so room costs addresses only where the memory of tables is filled in when it is touched.
//
// Cost: O(frames), 12 bytes each and one for its mark; no free page is touched, unless free pages are poisoned.
// Weakness: up to 2 * 2^PAGE_MAX_ORDER records are wasted for a span.
#include "page_engine.h"

const struct page_engine *const PAGE_ENGINES[] = { &page_buddy, &page_buddy_lazy, &page_bitmap, &page_stack, NULL };

const char *page_engine_choice(unsigned i)
{
	return PAGE_ENGINES[i] ? PAGE_ENGINES[i]->name : NULL;
}

static const struct page_engine *engine_named(const char *name)
{
	if (!name)
		return PAGE_ENGINES[0];
	const struct page_engine *const *engine = PAGE_ENGINES;
	while (*engine && __builtin_strcmp((*engine)->name, name) != 0)
		engine++;
	return *engine;
}

// The next free range in whole pages below the limit, [*first, *last); page 0 is left out, its address means "none".
static bool next_pages(const struct memblock *mb, uint64_t *cursor, uint64_t *first, uint64_t *last)
{
	struct memblock_range range;
	while (memblock_next_free(mb, cursor, &range)) {
		*first = (range.start >> PAGE_SHIFT) + ((range.start & (PAGE_BYTES - 1)) != 0 || range.start == 0);
		*last = (range.end < page_state.limit ? range.end : page_state.limit) >> PAGE_SHIFT;
		if (*first < *last)
			return true;
	}
	return false;
}

// ---- spans

static uint64_t place(uint64_t number) // of the largest block that a page or a frame lies in
{
	return number >> PAGE_MAX_ORDER;
}

static uint64_t frames_end(void) // the first frame after the last span
{
	if (page_state.span_count == 0)
		return 0;
	const struct span *last = &page_state.spans[page_state.span_count - 1];
	return (uint64_t)last->first + last->count;
}

// Adds pages [first, last), which lie above all others, to the last span, or to a new one. False: too many frames to number.
static bool span_add(uint64_t first, uint64_t last)
{
	struct span *span = &page_state.spans[page_state.span_count];
	uint64_t frame = round_up(frames_end(), 1u << PAGE_MAX_ORDER) + (first & ((1u << PAGE_MAX_ORDER) - 1));
	if (page_state.span_count > 0) {
		bool near = place(first) <= place(((span[-1].start + span[-1].bytes) >> PAGE_SHIFT) - 1) + 1;
		if (near || page_state.span_count == PAGE_SPANS) {
			span--;
			first = span->start >> PAGE_SHIFT;
			frame = span->first;
		}
	}
	if (last - first >= FRAME_NONE - frame)
		return false;
	*span = (struct span){ .start = first << PAGE_SHIFT, .bytes = (last - first) << PAGE_SHIFT };
	span->first = (uint32_t)frame;
	span->count = (uint32_t)(last - first);
	page_state.span_count = (uint32_t)(span - page_state.spans) + 1;
	return true;
}

static bool find_spans(const struct memblock *mb)
{
	uint64_t cursor = 0, first, last;
	while (next_pages(mb, &cursor, &first, &last))
		if (!span_add(first, last))
			return false;
	return page_state.span_count > 0;
}

// The first frame of a page at or above `limit`.
static uint32_t frame_from(pa_t limit)
{
	for (unsigned i = 0; i < page_state.span_count; i++) {
		const struct span *span = &page_state.spans[i];
		if (limit.raw <= span->start)
			return span->first;
		if (limit.raw - span->start <= span->bytes - PAGE_BYTES)
			return span->first + (uint32_t)((limit.raw - span->start + PAGE_BYTES - 1) >> PAGE_SHIFT);
	}
	return (uint32_t)frames_end();
}

// The end of the last span's frames that lie before `frame`.
static uint32_t end_before(uint32_t frame)
{
	uint32_t end = page_state.spans[0].first;
	for (unsigned i = 0; i < page_state.span_count; i++) {
		const struct span *span = &page_state.spans[i];
		if (span->first < frame)
			end = frame < span->first + span->count ? frame : span->first + span->count;
	}
	return end;
}

// The frame after the last that may ever be.
static uint64_t frames_limit(void)
{
	const struct span *last = &page_state.spans[page_state.span_count - 1];
	return page_state.limit == UINT64_MAX ? frames_end() : last->first + ((page_state.limit - last->start) >> PAGE_SHIFT);
}

// ---- tables

static size_t zone_bytes(const struct zone *zone)
{
	return zone->first == zone->end ? 0 : page_state.engine->bytes(zone->end - zone->first);
}

// The tables stay for ever: they lie as high as they can, and low memory is left whole for DMA.
static bool place_tables(struct memblock *mb)
{
	uint32_t skipped = page_state.spans[0].first;
	size_t cleared = (size_t)round_up((frames_end() - skipped) * sizeof(struct page), 64);
	size_t records = (size_t)round_up((frames_limit() - skipped) * sizeof(struct page), 64);
	size_t marks = (size_t)round_up(frames_limit() - skipped, 64);
	size_t states[PAGE_ZONES], bytes = records + marks;
	for (unsigned i = 0; i < PAGE_ZONES; i++)
		bytes += states[i] = (size_t)round_up(zone_bytes(&page_state.zones[i]), 64);
	pa_t tables = memblock_alloc_high(mb, bytes, 64);
	if (pa_is_none(tables))
		return false;
	uintptr_t at = (uintptr_t)pa_pointer(tables);
	fill((void *)at, cleared, 0);
	page_state.records = at - skipped * sizeof(struct page);
	for (unsigned i = 0; i < page_state.span_count; i++)
		page_state.spans[i].records = (uintptr_t)page_at(page_state.spans[i].first);
	at += records;
	fill((void *)at, (size_t)(frames_end() - skipped), 0);
	page_state.marks = at - skipped;
	at += marks;
	for (unsigned i = 0; i < PAGE_ZONES; i++) {
		page_state.zones[i].state = (void *)at;
		at += states[i];
	}
	page_state.metadata = bytes + sizeof page_state;
	return true;
}

// ---- zones

static void create_zones(const struct page_config *config)
{
	uint32_t start = page_state.spans[0].first, limit = frame_from(config->dma_limit), end = (uint32_t)frames_end();
	page_state.zones[0] = (struct zone){ .name = "DMA", .first = start, .end = end_before(limit) };
	page_state.zones[1] = (struct zone){ .name = "normal", .first = limit, .end = limit < end ? (uint32_t)frames_limit() : end };
	page_state.cached = &page_state.zones[limit < end];
	page_state.cpus = config->cpus < PORT_MAX_CPUS ? config->cpus : PORT_MAX_CPUS;
	for (unsigned i = 0; i < PAGE_ZONES; i++) {
		page_state.zones[i].lock.name = page_state.zones[i].name;
		page_state.zones[i].reserve = config->reserve;
	}
	for (unsigned cpu = 0; cpu < PORT_MAX_CPUS; cpu++)
		page_state.caches[cpu].top = page_state.caches[cpu].slot;
}

// Opens the window on the largest run of the cached zone.
static void open_window(void)
{
	const struct zone *zone = page_state.cached;
	for (unsigned i = 0; i < page_state.span_count; i++) {
		const struct span *span = &page_state.spans[i];
		uint32_t from = span->first > zone->first ? span->first : zone->first;
		uint32_t to = span->first + span->count < zone->end ? span->first + span->count : zone->end;
		uint64_t bytes = from < to ? (uint64_t)(to - from) << PAGE_SHIFT : 0;
		if (bytes > page_state.window.bytes)
			page_state.window = (struct window){ .start = frame_address(from).raw, .bytes = bytes,
				.seen = (uintptr_t)pa_pointer(frame_address(from)), .records = (uintptr_t)page_at(from),
				.marks = mark_at(from) };
	}
	page_state.window_bytes = page_state.window.bytes;
}

// Frames [from, to) have no page, or one that memblock had reserved.
static void mark_unmanaged(uint32_t from, uint32_t to)
{
	for (; from < to; from++)
		use_set(page_at(from), PAGE_UNMANAGED);
}

static void add_pages(uint32_t frame, uint32_t count)
{
	uint32_t end = frame + count;
	for (unsigned i = 0; i < PAGE_ZONES; i++) {
		struct zone *zone = &page_state.zones[i];
		uint32_t from = frame > zone->first ? frame : zone->first;
		uint32_t to = end < zone->end ? end : zone->end;
		if (from >= to)
			continue;
		page_state.engine->add(zone, from, to - from);
		zone->free = zone->total += to - from;
		if (MM_CHECK >= 1)
			poison(from, to - from);
	}
}

bool page_init(struct memblock *mb, const struct page_config *config)
{
	__builtin_memset(&page_state, 0, sizeof page_state);
	const struct page_engine *engine = engine_named(config->engine);
	page_state.limit = pa_is_none(config->limit) ? UINT64_MAX : config->limit.raw;
	if (!engine || !find_spans(mb) || frames_limit() >= FRAME_NONE)
		return false;
	page_state.engine = engine;
	create_zones(config);
	if (!place_tables(mb)) {
		__builtin_memset(&page_state, 0, sizeof page_state);
		return false;
	}
	for (unsigned i = 0; i < PAGE_ZONES; i++)
		if (zone_bytes(&page_state.zones[i]) > 0)
			engine->create(&page_state.zones[i]);
	page_state.zones[1].end = (uint32_t)frames_end(); // the engines' tables are large enough for the limit
	open_window();
	uint64_t cursor = 0, first, last;
	uint32_t done = page_state.spans[0].first;
	while (next_pages(mb, &cursor, &first, &last)) {
		uint32_t frame = frame_of(record_of(PA(first << PAGE_SHIFT)));
		mark_unmanaged(done, frame);
		add_pages(frame, (uint32_t)(last - first));
		done = frame + (uint32_t)(last - first);
	}
	mark_unmanaged(done, (uint32_t)frames_end());
	return true;
}

// ---- memory that comes later

// The last span ends where the normal zone does. Records come first and the window last, by which others find them without the lock.
static void grow(struct zone *zone, struct span *span, uint64_t bytes)
{
	uint32_t frame = zone->end, count = (uint32_t)(bytes >> PAGE_SHIFT);
	bool window = page_state.window.start + page_state.window_bytes == span->start + span->bytes;
	__builtin_memset(page_at(frame), 0, (size_t)count * sizeof(struct page));
	__builtin_memset(mark_at(frame), 0, count);
	__atomic_store_n(&span->count, span->count + count, __ATOMIC_RELEASE);
	__atomic_store_n(&span->bytes, span->bytes + bytes, __ATOMIC_RELEASE);
	__atomic_store_n(&zone->end, frame + count, __ATOMIC_RELEASE);
	page_state.engine->add(zone, frame, count);
	if (MM_CHECK >= 1)
		poison(frame, count);
	zone->total += count;
	__atomic_store_n(&zone->free, zone->free + count, __ATOMIC_RELAXED);
	if (window)
		page_state.window_bytes += bytes;
	if (zone->free >= zone->reserve) // as zone_count in page_zone.c has it
		__atomic_store_n(&page_state.window.bytes, page_state.window_bytes, __ATOMIC_RELEASE);
}

bool page_grow(uint64_t bytes)
{
	struct zone *zone = &page_state.zones[1];
	struct span *span = page_state.spans + page_state.span_count - 1;
	const uint64_t block = PAGE_BYTES << PAGE_MAX_ORDER; // whole ones only: then nothing meets a buddy across the old end
	if (!page_state.engine || zone != page_state.cached || page_state.limit == UINT64_MAX || bytes % block)
		return false;
	lock_acquire(&zone->lock);
	uint64_t end = span->start + span->bytes;
	bool fits = end % block == 0 && bytes <= page_state.limit - end;
	if (fits)
		grow(zone, span, bytes);
	lock_release(&zone->lock);
	return fits;
}
