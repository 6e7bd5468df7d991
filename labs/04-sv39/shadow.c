// shadow.c: see shadow.h.
#include <stdlib.h>

#include "shadow.h"

#define RAM_START 0x80000000u
#define RAM_BYTES ((uint64_t)8 << 20)

struct table kernel, user;
uint64_t *shadow;
size_t free_before, freed_at_flush;
uint64_t flushes;

// ---- an own walk, with constants from the manual

static const uint64_t *table_at(uint64_t pa)
{
	return (const uint64_t *)pa_pointer(PA(pa));
}

static bool is_table_page(uint64_t pa)
{
	return pa >= RAM_START && pa < RAM_START + RAM_BYTES;
}

struct found look(const struct table *table, uint64_t va)
{
	uint64_t at = table->root.raw;
	for (unsigned level = 3; level-- > 0;) {
		uint64_t entry = table_at(at)[va >> (12 + 9 * level) & 511];
		if (!(entry & 1))
			return (struct found){ 0, level, 3 - level };
		if (entry & 10)
			return (struct found){ entry, level, 3 - level };
		at = (entry >> 10 & 0xfffffffffff) << 12;
		if (!is_table_page(at))
			break;
	}
	return (struct found){ 0, 0, 3 };
}

static uint64_t tables_met[2048]; // by the last count
static size_t met;
static uint64_t empty_table; // one of them without an entry, 0: none

static size_t count_below(uint64_t at, unsigned level, unsigned entries)
{
	size_t tables = 1;
	if (met < sizeof tables_met / sizeof *tables_met)
		tables_met[met++] = at;
	unsigned used = 0;
	for (unsigned i = 0; i < entries; i++) {
		uint64_t entry = table_at(at)[i], to = (entry >> 10 & 0xfffffffffff) << 12;
		used += entry & 1;
		if (level > 0 && (entry & 11) == 1 && is_table_page(to))
			tables += count_below(to, level - 1, 512);
	}
	if (!used && entries == 512)
		empty_table = at;
	return tables;
}

size_t count_tables(const struct table *table)
{
	met = 0;
	empty_table = 0;
	return count_below(table->root.raw, 2, 256);
}

// ---- the picture: an address, and what each level says of it

static const char *in_letters(uint64_t entry)
{
	static char text[16];
	snprintf(text, sizeof text, "%c%c%c%c%c%c", entry & PTE_R ? 'r' : '-', entry & PTE_W ? 'w' : '-', entry & PTE_X ? 'x' : '-',
		entry & PTE_U ? 'u' : '-', entry & PTE_G ? 'g' : '-', entry & PTE_COW ? 'c' : '-');
	return text;
}

static size_t draw_level(char *to, size_t bytes, uint64_t table, unsigned level, unsigned index, uint64_t entry)
{
	size_t used = (size_t)snprintf(to, bytes, "level %u  table %#lx, entry %3u: ", level, (unsigned long)table, index);
	unsigned long pa = (unsigned long)((entry >> 10 & 0xfffffffffff) << 12);
	to += used, bytes -= used;
	if (!(entry & 1))
		return used + (size_t)snprintf(to, bytes, entry ? "not valid, but not zero\n" : "empty\n");
	if (entry & 10)
		return used + (size_t)snprintf(to, bytes, "leaf of %s -> %#lx %s\n",
				      level == 0   ? "4 KiB"
				      : level == 1 ? "2 MiB"
						   : "1 GiB",
				      pa, in_letters(entry));
	return used + (size_t)snprintf(to, bytes, "table at %#lx\n", pa);
}

static void draw(uint64_t va, char *to, size_t bytes)
{
	uint64_t at = user.root.raw;
	size_t used = (size_t)snprintf(to, bytes, "address %#lx\n", (unsigned long)va), page = (va - BASE) / PAGE_BYTES;
	for (unsigned level = 3; level-- > 0 && is_table_page(at);) {
		unsigned index = va >> (12 + 9 * level) & 511;
		uint64_t entry = table_at(at)[index];
		used += draw_level(to + used, bytes - used, at, level, index, entry);
		if ((entry & 11) != 1)
			break;
		at = (entry >> 10 & 0xfffffffffff) << 12;
	}
	if (!shadow || page >= PAGES)
		return;
	if (shadow[page])
		snprintf(to + used, bytes - used, "should be -> %#lx %s\n", (unsigned long)round_down(shadow[page], PAGE_BYTES),
			in_letters(shadow[page]));
	else
		snprintf(to + used, bytes - used, "should be: nothing there\n");
}

void draw_walks(void)
{
	judge_map = draw;
}

// ---- the start

static void (*mmu_hears)(uint32_t asid, uint32_t cpus, uintptr_t start, size_t pages);

static void on_flush(uint32_t asid, uint32_t cpus, uintptr_t start, size_t pages)
{
	for (size_t i = 0; i < met && flushes == 0; i++)
		freed_at_flush += !page_is_allocated(PA(tables_met[i]));
	flushes++;
	mmu_hears(asid, cpus, start, pages);
}

void start_tables(void)
{
	static struct memblock mb;
	draw_walks();
	host_reset();
	memset(&mb, 0, sizeof mb);
	host_ram(RAM_START, RAM_BYTES, &mb);
	EXPECT(page_init(&mb, &(struct page_config){ .cpus = 4, .dma_limit = PA(RAM_START) }));
	call("table_create(&kernel, NULL)");
	EXPECT(table_create(&kernel, NULL));
	for (uint64_t i = 256; i < 512; i++)
		((uint64_t *)pa_pointer(kernel.root))[i] = (i - 256) << 28 | 0xe7; // by hand: leaves of 1 GiB, r w g a d v
	call("table_create(&user, &kernel)");
	EXPECT(table_create(&user, &kernel));
	user.asid = 7;
	mmu_reset();
	mmu_hears = host_flush_hook;
	host_flush_hook = on_flush;
	free(shadow);
	shadow = calloc(PAGES, sizeof *shadow);
	free_before = page_free_count();
}

// ---- requirements

static void require_page(size_t page, const char *rule)
{
	uint64_t va = page_va(page), want = shadow[page];
	struct found found = look(&user, va);
	uint64_t offset = va & (level_bytes(found.level) - 1);
	uint64_t pa = ((found.entry >> 10 & 0xfffffffffff) << 12) + offset;
	judge_place(va);
	if (!want) {
		REQUIRE(!found.entry, va, rule, "nothing is mapped there", SAY("a leaf that leads to %#lx", (unsigned long)pa));
		return;
	}
	REQUIRE(found.entry, va, rule, SAY("a leaf that leads to %#lx", (unsigned long)round_down(want, PAGE_BYTES)),
		"nothing is mapped there");
	REQUIRE(pa == round_down(want, PAGE_BYTES), va, rule, SAY("physical %#lx", (unsigned long)round_down(want, PAGE_BYTES)),
		SAY("physical %#lx", (unsigned long)pa));
	uint64_t bits = (want & (RIGHTS | PTE_DIRTY)) | PTE_V | PTE_A | PTE_D;
	REQUIRE((found.entry & 0x3ff) == bits, va, rule, SAY("bits %#lx: the ones asked for, V, A and D", (unsigned long)bits),
		SAY("bits %#lx", (unsigned long)(found.entry & 0x3ff)));
}

void require_pages(size_t first, size_t count, const char *rule)
{
	size_t step = count > 3000 ? 509 : 1;
	for (size_t page = first; page < first + count; page += step)
		require_page(page, rule);
	require_page(first + count - 1, rule);
	if (first > 0)
		require_page(first - 1, rule);
	if (first + count < PAGES)
		require_page(first + count, rule);
}

void require_counts(const char *rule)
{
	size_t tables = count_tables(&user), gone = free_before - page_free_count();
	REQUIRE(user.pages == tables, NOWHERE, rule, SAY("pages = %zu: as many tables can be reached", tables),
		SAY("pages = %zu", user.pages));
	REQUIRE(!empty_table, NOWHERE, rule, "no table without an entry below the root",
		SAY("the table at %#lx has none", (unsigned long)empty_table));
	REQUIRE(gone == tables - 1, NOWHERE, rule,
		SAY("%zu pages taken from page_alloc for %zu tables below the root", tables - 1, tables - 1), SAY("%zu pages taken", gone));
	const uint64_t *root = pa_pointer(user.root), *theirs = pa_pointer(kernel.root);
	for (unsigned i = 256; i < 512; i++)
		REQUIRE(root[i] == theirs[i], NOWHERE,
			"The upper half of the root is the kernel's: every table has the same entries there.",
			SAY("root entry %u = %#lx", i, (unsigned long)theirs[i]), SAY("%#lx", (unsigned long)root[i]));
}

void touch(size_t first, size_t count)
{
	size_t step = count > 600 ? count / 300 : 1;
	uint64_t pa;
	for (size_t page = first; page < first + count; page += step)
		for (unsigned cpu = 0; cpu < 2; cpu++)
			for (int access = MMU_LOAD; access <= MMU_FETCH; access++)
				mmu_translate(&user, cpu, page_va(page), (enum mmu_access)access, (shadow[page] & PTE_U) != 0, &pa);
}

void watch(void)
{
	flushes = 0;
	freed_at_flush = 0;
	count_tables(&user);
}

static const char *const DOES[] = { "read", "write", "execute" };

static void require_page_forgotten(size_t page, const char *rule)
{
	static const uint64_t right[] = { PTE_R, PTE_W, PTE_X };
	uint64_t pa;
	for (unsigned cpu = 0; cpu < 2; cpu++)
		for (int access = MMU_LOAD; access <= MMU_FETCH; access++)
			for (int mode = 0; mode < 2; mode++) {
				bool may = (shadow[page] & right[access]) && mode == ((shadow[page] & PTE_U) != 0);
				bool can = !may && mmu_translate(&user, cpu, page_va(page), (enum mmu_access)access, mode, &pa);
				REQUIRE(!can, page_va(page), rule, SAY("CPU %u cannot %s there any more", cpu, DOES[access]),
					"it still can: its TLB was not told");
			}
}

void require_forgotten(size_t first, size_t count, const char *rule)
{
	size_t step = count > 600 ? count / 300 : 1;
	for (size_t page = first; page < first + count; page += step)
		require_page_forgotten(page, rule);
}

// ---- operations beside the shadow

static bool is_free(size_t first, size_t count)
{
	for (size_t page = first; page < first + count; page++)
		if (shadow[page])
			return false;
	return true;
}

enum table_result try_map(size_t page, uint64_t pa, unsigned level, uint64_t bits)
{
	static const char *const names[] = { "TABLE_OK", "TABLE_NO_MEMORY", "TABLE_BUSY" };
	static const char rule[] = "table_map enters a leaf where nothing is mapped, and says TABLE_BUSY where something is.";
	size_t count = level_bytes(level) / PAGE_BYTES;
	bool fits = is_free(page, count);
	judge_place(page_va(page));
	call("table_map(%#lx -> %#lx, level %u, %#lx)", (unsigned long)page_va(page), (unsigned long)pa, level, (unsigned long)bits);
	enum table_result result = table_map(&user, VA(page_va(page)), PA(pa), level, bits);
	answer("%s", result <= TABLE_BUSY ? names[result] : "?");
	REQUIRE(result == TABLE_NO_MEMORY || result == (fits ? TABLE_OK : TABLE_BUSY), page_va(page), rule,
		fits ? "TABLE_OK" : "TABLE_BUSY", names[result]);
	for (size_t i = 0; result == TABLE_OK && i < count; i++)
		shadow[page + i] = (pa + i * PAGE_BYTES) | bits;
	return result;
}

static bool is_remembered(size_t page) // what the shadow has of it can still be used
{
	uint64_t pa;
	bool can = false;
	for (unsigned cpu = 0; cpu < 2; cpu++)
		for (int access = MMU_LOAD; access <= MMU_FETCH; access++)
			can |= (user.cpus >> cpu & 1) &&
			       mmu_translate(&user, cpu, page_va(page), (enum mmu_access)access, shadow[page] & PTE_U, &pa);
	return can;
}

static const char ORDER[] = "Leaves are released in rising order, each once, when no CPU can reach their memory any more.";
static size_t released, last_released;

static void on_release(void *context, pte_t leaf, va_t va, unsigned level)
{
	size_t first = (va.raw - BASE) / PAGE_BYTES, count = level_bytes(level) / PAGE_BYTES;
	REQUIRE(context == &released, va.raw, ORDER, "the context that was given", "another one");
	REQUIRE(va.raw >= BASE && first + count <= PAGES && (released == 0 || first > last_released), va.raw, ORDER,
		"a higher address than before", SAY("address %#lx", (unsigned long)va.raw));
	for (size_t i = 0; i<count; i += count> 1 ? 73 : 1) {
		uint64_t pa = pte_pa(leaf).raw + i * PAGE_BYTES;
		REQUIRE(shadow[first + i] && round_down(shadow[first + i], PAGE_BYTES) == pa, va.raw, ORDER,
			"the leaf that was mapped there", SAY("one that leads to %#lx", (unsigned long)pa));
		REQUIRE(!is_remembered(first + i), va.raw, ORDER, "no CPU has this page in its TLB any more",
			"one has: the flush must come before the release");
	}
	released += count;
	last_released = first;
}

// At most one flush, none when nothing needs it, and pages become free after it only.
static void require_flushes(bool needed, const char *rule)
{
	REQUIRE(flushes <= 1, NOWHERE, rule, "one port_flush for the whole call", SAY("%llu of them", (unsigned long long)flushes));
	REQUIRE(needed || flushes == 0, NOWHERE, rule, "no port_flush: nothing has lost a right", "one");
	REQUIRE(flushes == 0 || freed_at_flush == 0, NOWHERE,
		"A table page is given back when no CPU can walk through it any more: after the flush.", "no table freed before port_flush",
		SAY("%zu tables freed before it", freed_at_flush));
}

// Whoever gets the pages next fills them with what looks like entries; it must not matter to any CPU.
static void require_tables_forgotten(size_t tables, size_t first, size_t count, const char *rule)
{
	pa_t taken[40];
	size_t n = 0;
	for (; n < tables && n < sizeof taken / sizeof *taken && !pa_is_none(taken[n] = page_alloc(0, PAGE_KERNEL)); n++)
		for (unsigned i = 0; i < 512; i++)
			((uint64_t *)pa_pointer(taken[n]))[i] = (uint64_t)RAM_START >> 2 | 0xdf;
	require_forgotten(first, count, rule);
	while (n-- > 0)
		page_free(taken[n]);
}

enum table_result try_unmap(size_t first, size_t count)
{
	static const char rule[] = "After table_unmap nothing is mapped in the range, and everything beside it is as it was.";
	size_t live = 0, tables = user.pages;
	for (size_t page = first; page < first + count; page++)
		live += shadow[page] != 0;
	touch(first, count);
	watch();
	released = last_released = 0;
	judge_place(page_va(first));
	call("table_unmap(va %#lx, %zu pages)", (unsigned long)page_va(first), count);
	enum table_result result = table_unmap(&user, VA(page_va(first)), count * PAGE_BYTES, on_release, &released);
	answer("%s", result == TABLE_OK ? "TABLE_OK" : "TABLE_NO_MEMORY");
	if (result == TABLE_OK) {
		REQUIRE(released == live, page_va(first), ORDER, SAY("%zu pages released", live), SAY("%zu pages", released));
		require_flushes(live > 0, "Removing takes one flush, however long the range is, and none where nothing was mapped.");
		memset(&shadow[first], 0, count * sizeof *shadow);
		require_forgotten(first, count, "What was unmapped cannot be reached any more, on any CPU.");
		if (user.pages < tables)
			require_tables_forgotten(tables - user.pages, first, count,
				"When a table goes, the whole address space is flushed: a CPU may have cached the way through it.");
	} else {
		REQUIRE(released == 0 && user.pages == tables, page_va(first), "TABLE_NO_MEMORY leaves everything as it was.",
			"nothing released, no tables made",
			SAY("%zu pages released, %zu tables instead of %zu", released, user.pages, tables));
	}
	require_pages(first, count, rule);
	require_counts("Tables that become empty are given back, and no others.");
	return result;
}

enum table_result try_protect(size_t first, size_t count, uint64_t bits)
{
	static const char rule[] =
		"After table_protect every leaf in the range has exactly these rights; all else in it, and beside it, is as it was.";
	bool narrows = false;
	for (size_t page = first; page < first + count; page++)
		narrows |= shadow[page] && ((shadow[page] & ~bits & PTE_PERMISSIONS) || (~shadow[page] & bits & PTE_U));
	touch(first, count);
	watch();
	judge_place(page_va(first));
	call("table_protect(va %#lx, %zu pages, bits %#lx)", (unsigned long)page_va(first), count, (unsigned long)bits);
	enum table_result result = table_protect(&user, VA(page_va(first)), count * PAGE_BYTES, bits);
	answer("%s", result == TABLE_OK ? "TABLE_OK" : "TABLE_NO_MEMORY");
	if (result == TABLE_OK) {
		for (size_t page = first; page < first + count; page++)
			if (shadow[page])
				shadow[page] = (shadow[page] & ~(uint64_t)RIGHTS) | bits;
		require_flushes(narrows, "Only a leaf that loses a right needs a flush, and one flush does for all.");
		require_forgotten(first, count, "A right that was taken away cannot be used any more, on any CPU.");
	}
	require_pages(first, count, rule);
	require_counts("table_protect gives and takes no tables but for splits.");
	return result;
}

// ---- random ones

uint64_t some_pa(unsigned level)
{
	return ((1 + random_below(3)) << 30) + (level < 2 ? random_below(256) * level_bytes(level) : 0);
}

uint64_t some_bits(void)
{
	static const uint64_t some[] = { PTE_R, PTE_R | PTE_W, PTE_R | PTE_X, PTE_X, PTE_R | PTE_COW };
	return some[random_below(5)] | (random_below(3) ? PTE_U : 0);
}

void fill(unsigned leaves, size_t pages, bool large)
{
	for (unsigned n = 0; n < leaves; n++) {
		unsigned level = large && random_below(6) == 0;
		size_t page = level ? EDGE + random_below(pages / LARGE ? pages / LARGE : 1) * LARGE : random_below(pages);
		try_map(page, some_pa(level), level, some_bits());
	}
}
