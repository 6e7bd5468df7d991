// page_check.c: what page.c tells about itself: counts, reports, and the check of its invariants P1 to P8 (see page.c).
//
// Nothing here is called on the way of an allocation. The check is exact when nothing else runs; it reads and follows nothing that
// it has not bounded first.
//
// Cost: a count reads the caches' slots; a check reads every record and compares the caches' slots with one another.
#include "page_engine.h"

static size_t cached_count(void)
{
	size_t count = 0;
	for (unsigned cpu = 0; cpu < page_state.cpus; cpu++)
		for (unsigned i = 0; i < CACHE_SLOTS; i++)
			count += __atomic_load_n(&page_state.caches[cpu].slot[i], __ATOMIC_RELAXED) != 0;
	return count;
}

static size_t free_in(const struct zone *zone)
{
	return __atomic_load_n(&zone->free, __ATOMIC_RELAXED);
}

size_t page_free_count(void)
{
	return free_in(&page_state.zones[0]) + free_in(&page_state.zones[1]) + cached_count();
}

size_t page_total_count(void)
{
	return page_state.zones[0].total + page_state.zones[1].total;
}

unsigned page_report(struct page_zone_report report[PAGE_ZONES])
{
	unsigned zones = 0;
	for (unsigned i = 0; i < PAGE_ZONES; i++) {
		struct zone *zone = &page_state.zones[i];
		struct page_zone_report *to = &report[zones];
		if (zone->total == 0)
			continue;
		zones++;
		*to = (struct page_zone_report){ .name = zone->name, .total = zone->total, .reserve = zone->reserve };
		to->start = frame_address(zone->first).raw;
		to->end = frame_address(zone->end - 1).raw + PAGE_BYTES;
		to->cached = zone == page_state.cached ? cached_count() : 0;
		lock_acquire(&zone->lock);
		to->free = zone->free;
		page_state.engine->count(zone, to->blocks);
		lock_release(&zone->lock);
	}
	return zones;
}

const char *page_engine_name(void)
{
	return page_state.engine ? page_state.engine->name : "none";
}

size_t page_metadata_bytes(void)
{
	return page_state.metadata;
}

uint64_t page_lock_acquisitions(void)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < PAGE_ZONES; i++) {
		struct zone *zone = &page_state.zones[i];
		lock_acquire(&zone->lock); // not counted
		sum += zone->acquisitions;
		lock_release(&zone->lock);
	}
	return sum;
}

// ---- check

static struct verdict check_spans(void)
{
	const uint64_t low = (1u << PAGE_MAX_ORDER) - 1;
	HOLDS("P8", page_state.span_count <= PAGE_SPANS, &page_state.span_count);
	for (unsigned i = 0; i < page_state.span_count; i++) {
		const struct span *span = &page_state.spans[i];
		HOLDS("P8", ((span->start >> PAGE_SHIFT ^ span->first) & low) == 0 && span->bytes >> PAGE_SHIFT == span->count, span);
		HOLDS("P8", span->records == (uintptr_t)page_at(span->first), span);
		HOLDS("P8", i == 0 || span[-1].start + span[-1].bytes <= span->start, span);
		HOLDS("P8", i == 0 || (span[-1].first + span[-1].count - 1) >> PAGE_MAX_ORDER < span->first >> PAGE_MAX_ORDER, span);
	}
	return ALL_HOLD;
}

// An allocated block starts at `frame`.
static struct verdict check_block(const struct zone *zone, uint32_t frame)
{
	const struct page *page = page_at(frame);
	HOLDS("P3", page->order <= PAGE_MAX_ORDER, page);
	uint32_t size = 1u << page->order;
	HOLDS("P3", (frame & (size - 1)) == 0 && size <= zone->end - frame, page);
	for (uint32_t i = 1; i < size; i++)
		HOLDS("P3", use_of(page + i) == PAGE_USED_TAIL, page + i);
	HOLDS("P4", __atomic_load_n(&page->extra, __ATOMIC_RELAXED) < EXTRA_MAX, page);
	return ALL_HOLD;
}

static struct verdict check_zone(const struct zone *zone, size_t *cached)
{
	size_t count[PAGE_UNMANAGED + 1] = { 0 }, tails = 0;
	for (uint32_t frame = zone->first; frame < zone->end; frame++) {
		enum page_use use = use_of(page_at(frame));
		HOLDS("P1", use <= PAGE_UNMANAGED, page_at(frame));
		count[use]++;
		if (use != PAGE_USED)
			continue;
		struct verdict verdict = check_block(zone, frame);
		if (verdict.broken)
			return verdict;
		tails += (1u << page_at(frame)->order) - 1;
	}
	HOLDS("P3", tails == count[PAGE_USED_TAIL], zone);
	HOLDS("P2", zone->free == count[PAGE_FREE] + count[PAGE_FREE_TAIL] + count[PAGE_WAITING], &zone->free);
	HOLDS("P7", zone->total == zone->end - zone->first - count[PAGE_UNMANAGED], &zone->total);
	*cached += count[PAGE_CACHED];
	return zone->total ? page_state.engine->check(zone) : ALL_HOLD;
}

static uint64_t *slot_at(unsigned i) // all caches' slots in a row
{
	return &page_state.caches[i / CACHE_SLOTS].slot[i % CACHE_SLOTS];
}

static struct verdict check_caches(size_t marked)
{
	size_t found = 0;
	for (unsigned i = 0; i < PORT_MAX_CPUS * CACHE_SLOTS; i++) {
		uint64_t *slot = slot_at(i), address = __atomic_load_n(slot, __ATOMIC_RELAXED);
		if (address == 0)
			continue;
		const struct page *page = record_of(PA(round_down(address, PAGE_BYTES)));
		HOLDS("P5", slot < page_state.caches[i / CACHE_SLOTS].top, slot);
		HOLDS("P5", is_aligned(address, PAGE_BYTES) && use_of(page) == PAGE_CACHED, slot);
		HOLDS("P5", zone_has(page_state.cached, frame_of(page)), slot);
		for (unsigned j = 0; j < i; j++)
			HOLDS("P5", __atomic_load_n(slot_at(j), __ATOMIC_RELAXED) != address, slot);
		found++;
	}
	HOLDS("P6", found == marked, page_state.caches);
	return ALL_HOLD;
}

struct verdict page_check(void)
{
	size_t cached = 0;
	if (!page_state.engine)
		return ALL_HOLD;
	struct verdict verdict = check_spans();
	for (unsigned i = 0; i < PAGE_ZONES && !verdict.broken; i++)
		verdict = check_zone(&page_state.zones[i], &cached);
	return verdict.broken ? verdict : check_caches(cached);
}
