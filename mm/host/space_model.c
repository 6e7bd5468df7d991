// space_model.c: the shadow of a few address spaces: for each page its rights, what kind it is, and its 4096 bytes.
//
//      model_step --draw--> fault through the MMU | copy | string | touch | sbrk | map | unmap | protect | fork | destroy
//           |                     |
//        shadow <---compare---> space under test        files: 0 lends pages, 1 only reads, 2 is shared by pinning
//
//   A step may run with memory giving out after the n-th request: then SPACE_NO_MEMORY (SPACE_IO for a file) is as good an answer, and
//   nothing may have changed. Accesses go through the software MMU, so a flush that is missing shows as a byte or a right that is stale.
#include "space_model.h"

#include <stdlib.h>

#include "../heap.h"
#include "../page.h"
#include "../slab.h"
#include "mmu.h"
#include "model_shadow.h"
#include "test.h"

#define RAM_START 0x80000000u
#define RAM_BYTES ((uint64_t)12 << 20)
#define SPACES    5
#define TEXT      0x10000u
#define HEAP      0x40000u

static struct memblock mb;
static struct table kernel;
static struct shadow shadows[SPACES];
static struct bytes *shared_file[FILE_PAGES]; // what file 2 holds
static model_draw *draw;
static unsigned cpus, next_asid;
static size_t free_before; // 0: not booted yet
static uint64_t last_place;
static bool scarce; // memory or I/O may fail in this step

// ---- drawing

static struct shadow *any_space(void)
{
	for (uint64_t i = draw(SPACES);; i = (i + 1) % SPACES)
		if (shadows[i].used)
			return &shadows[i];
}

// An address in or near something.
static uint64_t new_place(struct shadow *s)
{
	for (int tries = 0; tries < 64; tries++) {
		const struct shadow_page *page = &s->page[draw(SHADOW_SLOTS)];
		for (int step = 0; step < 64 && !page->mapped; step++)
			page = page == &s->page[SHADOW_SLOTS - 1] ? s->page : page + 1;
		if (page->mapped)
			return page->va + draw(4096) + (draw(8) ? 0 : draw(2) ? 4096 : -4096);
	}
	switch (draw(5)) {
	case 0: return SPACE_STACK_TOP - draw(24 * 4096);
	case 1: return draw(4096);
	case 2: return SPACE_END + draw(4096);
	case 3: return SPACE_STACK_TOP - SPACE_STACK_MAX - 4096 + draw(4096); // the guard below the reach
	default: return HEAP + draw(32 * 4096);
	}
}

// Often where the last one was: for another CPU, another right, or in another space that inherited it.
static uint64_t any_place(struct shadow *s)
{
	if (draw(2))
		return (last_place & ~(uint64_t)4095) + draw(4096);
	return last_place = new_place(s);
}

// Whether a result is the expected one, or a failure that this step may have. True: the operation took place.
static bool took_place(enum space_result result, enum space_result expected)
{
	if (scarce && expected == SPACE_OK && (result == SPACE_NO_MEMORY || result == SPACE_IO))
		return false;
	EXPECT_EQ(result, expected);
	return result == SPACE_OK;
}

// ---- the operations

static void step_access(struct shadow *s)
{
	static const enum access accesses[] = { ACCESS_READ, ACCESS_WRITE, ACCESS_EXECUTE };
	unsigned cpu = (unsigned)draw(cpus);
	int kind = (int)draw(3);
	uint64_t va = draw(6) ? any_place(s) : SPACE_STACK_TOP - draw(24 * 4096), pa;
	host_cpu(cpu);
	for (int tries = 0; !mmu_translate(&s->space.table, cpu, va, (enum mmu_access)kind, true, &pa); tries++) {
		EXPECT(tries < 3);
		enum space_result result = space_fault(&s->space, va, accesses[kind]);
		if (scarce && (result == SPACE_NO_MEMORY || result == SPACE_IO))
			return;
		if (!took_place(result, shadow_allows(s, va, accesses[kind]) ? SPACE_OK : SPACE_BAD))
			return;
	}
	EXPECT(shadow_allows(s, va, accesses[kind]));
	uint8_t *there = pa_pointer(PA(pa)), *shadow = &shadow_at(s, va)->bytes->at[va & 4095];
	EXPECT(memcmp(there - (va & 4095), shadow - (va & 4095), 4096) == 0); // all of it: a stale page may differ in one byte
	if (kind == MMU_STORE)
		*there = *shadow = (uint8_t)draw(256);
}

static void step_copy_out(struct shadow *s)
{
	uint8_t from[3 * 4096];
	uint64_t va = any_place(s), bytes = draw(2) ? draw(64) : draw(sizeof from), done = 0;
	bool good = va + bytes <= SPACE_END;
	memset(from, (int)draw(256), sizeof from);
	size_t skew = draw(8);
	bytes -= bytes < skew ? bytes : skew;
	enum space_result result = space_copy_out(&s->space, va, from + skew, bytes);
	while (good && done < bytes && (good = shadow_allows(s, va + done, ACCESS_WRITE))) {
		uint64_t now = 4096 - ((va + done) & 4095);
		now = now < bytes - done ? now : bytes - done;
		memcpy(&shadow_at(s, va + done)->bytes->at[(va + done) & 4095], from + skew + done, now);
		done += now;
	}
	EXPECT_EQ(result, good || bytes == 0 ? SPACE_OK : SPACE_BAD);
}

static void step_copy_in(struct shadow *s)
{
	uint8_t to[3 * 4096];
	uint64_t va = any_place(s), bytes = draw(2) ? draw(64) : draw(sizeof to);
	enum space_result result = space_copy_in(&s->space, to, va, bytes);
	bool good = va + bytes <= SPACE_END;
	for (uint64_t i = 0; good && i < bytes; i++) {
		if (i == 0 || ((va + i) & 4095) == 0)
			good = shadow_allows(s, va + i, ACCESS_READ);
		if (good)
			EXPECT(to[i] == shadow_at(s, va + i)->bytes->at[(va + i) & 4095]);
	}
	EXPECT_EQ(result, good || bytes == 0 ? SPACE_OK : SPACE_BAD);
}

static void step_string(struct shadow *s)
{
	char to[5000];
	uint64_t va = any_place(s), max = draw(sizeof to), i = 0;
	enum space_result result = space_copy_string(&s->space, to, va, max), expected = SPACE_BAD;
	for (; i < max && va + i < SPACE_END && shadow_allows(s, va + i, ACCESS_READ); i++) {
		char c = (char)shadow_at(s, va + i)->bytes->at[(va + i) & 4095];
		EXPECT(to[i] == c);
		if (!c) {
			expected = SPACE_OK;
			break;
		}
	}
	EXPECT_EQ(result, expected);
}

static void step_touch(struct shadow *s)
{
	enum access access = (enum access)(1u << draw(3));
	uint64_t va = any_place(s), bytes = draw(3 * 4096);
	enum space_result result = space_touch(&s->space, va, bytes, access);
	bool good = bytes == 0 || va + bytes <= SPACE_END;
	for (uint64_t at = va & ~(uint64_t)4095; good && bytes && at < va + bytes; at += 4096)
		good = shadow_allows(s, at, access);
	EXPECT_EQ(result, good ? SPACE_OK : SPACE_BAD);
}

static void step_sbrk(struct shadow *s)
{
	int64_t delta = (int64_t)draw(6 * 4096) * (draw(2) ? 1 : -1);
	if (draw(3) == 0)
		delta = delta / 4096 * 4096;
	uint64_t end = s->heap_end + (uint64_t)delta, from = round_up(s->heap_end, 4096), to = round_up(end, 4096), old;
	enum space_result expected = end < HEAP || end > HEAP + 64 * 4096 ? SPACE_BAD : SPACE_OK;
	if (end > HEAP + 64 * 4096)
		return;
	for (uint64_t va = from; va < to; va += 4096)
		if (shadow_has(s, va))
			expected = SPACE_BAD;
	if (!took_place(space_sbrk(&s->space, delta, &old), expected))
		return;
	EXPECT_EQ(old, s->heap_end);
	s->heap_end = end;
	for (uint64_t va = from; va < to; va += 4096)
		shadow_map(s, va, AREA_HEAP, ACCESS_READ | ACCESS_WRITE, NULL);
	for (uint64_t va = to; va < from; va += 4096)
		if (shadow_at(s, va)->kind == AREA_HEAP)
			shadow_unmap(shadow_at(s, va));
}

static void step_map(struct shadow *s)
{
	uint64_t pages = 1 + draw(6), hint = draw(2) ? any_place(s) : 0, place, which = draw(6), offset = 0;
	unsigned rights = (unsigned)draw(8);
	bool shared = which == FILE_PINS || which == 5, free = true;
	struct file *file = which < FILES ? &files[which] : NULL;
	if (draw(2))
		hint &= ~(uint64_t)4095;
	if (file)
		offset = draw(FILE_PAGES - pages + (shared ? 0 : 4)) * 4096; // the end of the last page is in no file: not to be shared
	enum space_result result = space_map(&s->space, hint, pages * 4096, rights, shared, file ? &file->source : NULL, offset, &place);
	if (!took_place(result, SPACE_OK))
		return;
	for (uint64_t i = 0; i < pages && hint; i++)
		free &= !shadow_has(s, hint + i * 4096);
	if (free && hint % 4096 == 0 && hint >= 4096 && hint + pages * 4096 <= SPACE_STACK_TOP - SPACE_STACK_MAX - 4096)
		EXPECT_EQ(place, hint);
	EXPECT(place + pages * 4096 <= SPACE_STACK_TOP - SPACE_STACK_MAX - 4096);
	for (uint64_t i = 0; i < pages; i++) {
		struct bytes *bytes = which == FILE_PINS ? shared_file[offset / 4096 + i] : shared ? new_bytes() : NULL;
		struct shadow_page *page = shadow_map(s, place + i * 4096, AREA_MAPPING, rights, bytes);
		if (which == FILE_PINS)
			bytes->users++;
		if (which == FILE_PINS && !(rights & ACCESS_WRITE))
			page->most = ACCESS_READ | ACCESS_EXECUTE;
		if (file && !shared)
			shadow_fill(page, file, offset + i * 4096, 4096);
	}
}

static void step_unmap(struct shadow *s)
{
	uint64_t start = any_place(s) & ~(uint64_t)4095, bytes = 1 + draw(8 * 4096), end = start + round_up(bytes, 4096);
	if (!took_place(space_unmap(&s->space, start, bytes), end <= SPACE_END ? SPACE_OK : SPACE_BAD))
		return;
	for (uint64_t va = start; va < end; va += 4096)
		shadow_unmap(shadow_at(s, va));
}

static void step_protect(struct shadow *s)
{
	uint64_t start = any_place(s) & ~(uint64_t)4095, bytes = 1 + draw(8 * 4096), end = start + round_up(bytes, 4096);
	unsigned rights = (unsigned)draw(8), full = rights | (rights & ACCESS_WRITE ? ACCESS_READ : 0);
	bool good = true;
	for (uint64_t va = start; va < end; va += 4096)
		good &= shadow_has(s, va) && !(full & ~shadow_at(s, va)->most);
	if (!took_place(space_protect(&s->space, start, bytes, rights), good ? SPACE_OK : SPACE_BAD))
		return;
	for (uint64_t va = start; va < end; va += 4096)
		shadow_at(s, va)->rights = (uint8_t)full;
}

static void step_fork(struct shadow *s)
{
	struct shadow *child = shadows;
	while (child < shadows + SPACES && child->used)
		child++;
	if (child == shadows + SPACES)
		return;
	*child = (struct shadow){ .heap_end = s->heap_end };
	if (!space_create(&child->space, &kernel)) {
		EXPECT(scarce);
		return;
	}
	child->space.table.asid = ++next_asid;
	if (!took_place(space_fork(&child->space, &s->space), SPACE_OK)) {
		EXPECT(!child->space.areas && child->space.table.pages == 1);
		space_destroy(&child->space);
		return;
	}
	child->used = true;
	for (size_t i = 0; i < SHADOW_SLOTS; i++) {
		struct shadow_page *page = &child->page[i];
		*page = s->page[i];
		if (!page->mapped)
			continue;
		if (page->shared) {
			page->bytes->users++;
		} else {
			page->bytes = new_bytes();
			memcpy(page->bytes->at, s->page[i].bytes->at, 4096);
		}
	}
}

static void destroy(struct shadow *s)
{
	for (size_t i = 0; i < SHADOW_SLOTS; i++)
		shadow_unmap(&s->page[i]);
	space_destroy(&s->space);
	s->used = false;
}

static void step_destroy(struct shadow *s)
{
	unsigned used = 0;
	for (int i = 0; i < SPACES; i++)
		used += shadows[i].used;
	if (used > 1)
		destroy(s);
}

// ---- running

void model_step(void)
{
	static void (*const steps[])(struct shadow *) = {
		step_access, step_access, step_access, step_access, step_copy_out, step_copy_in, step_string, step_touch,
		step_sbrk, step_map, step_unmap, step_protect, step_fork, step_destroy,
	};
	uint64_t step = draw(sizeof steps / sizeof *steps + 1);
	host_cpu((unsigned)draw(cpus));
	if (step == sizeof steps / sizeof *steps) { // the machine or a file forgets something that nobody promised to keep
		mmu_evict((unsigned)draw(cpus), 1 + (unsigned)draw(5));
		file_drop(&files[FILE_LENDS], draw(FILE_PAGES));
		return;
	}
	bool atomic = step < 4 || step > 7; // when it fails, nothing has changed
	scarce = atomic && draw(4) == 0;
	void *held[256];
	size_t count = 0;
	if (scarce) {
		host_fail_after(1);
		while (count < 256 && draw(2) && (held[count] = kmalloc(sizeof(struct area)))) // the heap has no record left
			count++;
		host_fail_after(1 + draw(6));
		file_io_fails = draw(4) == 0;
	}
	steps[step](any_space());
	host_fail_after(UINT64_MAX);
	scarce = file_io_fails = false;
	while (count)
		kfree(held[--count]);
}

void model_check(void)
{
	for (int n = 0; n < SPACES; n++) {
		struct shadow *s = &shadows[n];
		size_t resident = 0, pages = 0;
		struct space_report report;
		if (!s->used)
			continue;
		EXPECT_VERDICT(space_check(&s->space), NULL);
		for (size_t i = 0; i < SHADOW_SLOTS; i++) {
			if (!s->page[i].mapped)
				continue;
			struct slot slot = table_find(&s->space.table, VA(s->page[i].va));
			pages++;
			if (!pte_is_valid(*slot.entry))
				continue;
			resident++;
			EXPECT(memcmp(pa_pointer(pte_pa(*slot.entry)), s->page[i].bytes->at, 4096) == 0);
		}
		space_report(&s->space, &report);
		EXPECT_EQ(report.resident, resident);
		EXPECT_EQ(report.resident, s->space.resident);
		EXPECT_EQ(report.bytes, pages * 4096);
		EXPECT_EQ(s->space.heap_end, s->heap_end);
	}
}

static void add(struct shadow *s, uint64_t start, uint64_t bytes, enum area_kind kind, unsigned rights, struct file *file,
		uint64_t file_bytes)
{
	struct source *source = file ? &file->source : NULL;
	EXPECT(space_add(&s->space, start, bytes, kind, rights, false, source, 0, file_bytes) == SPACE_OK);
	for (uint64_t at = 0; at < bytes; at += 4096) {
		struct shadow_page *page = shadow_map(s, start + at, kind, rights, NULL);
		if (file && at < file_bytes)
			shadow_fill(page, file, at, file_bytes - at);
	}
}

static void boot(void)
{
	host_reset();
	memset(&mb, 0, sizeof mb);
	host_ram(RAM_START, RAM_BYTES, &mb);
	slab_forget();
	EXPECT(page_init(&mb, &(struct page_config){ .cpus = 4, .dma_limit = PA(RAM_START) }));
	EXPECT(kmalloc_init(NULL) && table_create(&kernel, NULL));
	kfree(kmalloc(sizeof(struct area)));
	kmem_reap();
	page_drain();
	free_before = page_free_count();
}

void model_start(model_draw *source, unsigned count)
{
	draw = source;
	cpus = count;
	next_asid = 0;
	last_place = HEAP;
	if (!free_before)
		boot();
	mmu_reset();
	files_start();
	for (size_t i = 0; i < FILE_PAGES; i++) {
		shared_file[i] = new_bytes();
		memcpy(shared_file[i]->at, files[FILE_PINS].bytes + i * 4096, 4096);
	}
	memset(shadows, 0, sizeof shadows);
	struct shadow *s = shadows;
	EXPECT(space_create(&s->space, &kernel));
	s->used = true;
	s->space.table.asid = ++next_asid;
	add(s, TEXT, 5 * 4096, AREA_TEXT, ACCESS_READ | ACCESS_EXECUTE, &files[FILE_LENDS], 4 * 4096 + 100);
	add(s, TEXT + 8 * 4096, 6 * 4096, AREA_DATA, ACCESS_READ | ACCESS_WRITE, &files[FILE_LENDS], 3 * 4096 + 5);
	add(s, SPACE_STACK_TOP - 4096, 4096, AREA_STACK, ACCESS_READ | ACCESS_WRITE, NULL, 0);
	s->space.heap_start = s->space.heap_end = s->heap_end = HEAP;
}

void model_finish(void)
{
	for (int i = 0; i < SPACES; i++)
		if (shadows[i].used)
			destroy(&shadows[i]);
	for (size_t i = 0; i < FILE_PAGES; i++) {
		for (int f = 0; f < 2; f++)
			file_drop(&files[f], i);
		uint64_t offset = i * 4096, bytes = FILE_BYTES - offset < 4096 ? FILE_BYTES - offset : 4096;
		EXPECT(pa_is_none(files[FILE_PINS].page[i]) || files[FILE_PINS].pins[i] == 0);
		EXPECT(memcmp(shared_file[i]->at, files[FILE_PINS].bytes + offset, bytes) == 0);
		file_drop(&files[FILE_PINS], i);
		drop_bytes(shared_file[i]);
	}
	for (int f = 0; f < FILES; f++)
		EXPECT_EQ(files[f].users, 0);
	kmem_reap();
	page_drain();
	EXPECT_EQ(page_free_count(), free_before); // so the next start finds all as the first did
}
