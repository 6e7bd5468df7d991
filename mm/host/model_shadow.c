// model_shadow.c: the shadow's pages in a small hash table, and the one rule that an access can change: a stack grows.
//
//      va --hash--> [page][page][free]...    linear probing; what is unmapped may be used again
#include "model_shadow.h"

#include <stdlib.h>

#include "test.h"

// The record of a page; one that is not mapped when there is none. It may be written only with `make`.
static struct shadow_page *record_at(struct shadow *s, uint64_t va, bool make)
{
	static struct shadow_page none;
	struct shadow_page *unused = NULL;
	va &= ~(uint64_t)4095;
	for (size_t i = va / 4096 * 0x9e3779b1 % SHADOW_SLOTS, n = 0; n < SHADOW_SLOTS; n++, i = (i + 1) % SHADOW_SLOTS) {
		struct shadow_page *page = &s->page[i];
		if (page->mapped && page->va == va)
			return page;
		if (!page->mapped && !unused)
			unused = page;
		if (!page->va)
			break;
	}
	none = (struct shadow_page){ 0 };
	if (make && !unused)
		test_fail(__FILE__, __LINE__, "the shadow has no room for another page");
	return make ? unused : &none;
}

struct shadow_page *shadow_at(struct shadow *s, uint64_t va)
{
	return record_at(s, va, false);
}

bool shadow_has(struct shadow *s, uint64_t va)
{
	return shadow_at(s, va)->mapped;
}

struct bytes *new_bytes(void)
{
	struct bytes *bytes = calloc(1, sizeof *bytes);
	bytes->users = 1;
	return bytes;
}

void drop_bytes(struct bytes *bytes)
{
	if (--bytes->users == 0)
		free(bytes);
}

void shadow_unmap(struct shadow_page *page)
{
	if (!page->mapped)
		return;
	page->mapped = false;
	drop_bytes(page->bytes);
	page->bytes = NULL;
}

struct shadow_page *shadow_map(struct shadow *s, uint64_t va, unsigned kind, unsigned rights, struct bytes *bytes)
{
	EXPECT(!shadow_has(s, va));
	struct shadow_page *page = record_at(s, va, true);
	rights |= rights & ACCESS_WRITE ? ACCESS_READ : 0;
	*page = (struct shadow_page){ va, true, bytes != NULL, (uint8_t)rights, 7, (uint8_t)kind, bytes ? bytes : new_bytes() };
	return page;
}

void shadow_fill(struct shadow_page *page, const struct file *file, uint64_t offset, uint64_t bytes)
{
	for (uint64_t i = 0; i < 4096 && i < bytes; i++)
		page->bytes->at[i] = offset + i < FILE_BYTES ? file->bytes[offset + i] : 0;
}

bool shadow_allows(struct shadow *s, uint64_t va, unsigned access)
{
	va &= ~(uint64_t)4095;
	if (va >= SPACE_END)
		return false;
	if (!shadow_has(s, va) && va >= SPACE_STACK_TOP - SPACE_STACK_MAX && va < SPACE_STACK_TOP) {
		uint64_t above = va;
		while (above < SPACE_STACK_TOP && !shadow_has(s, above))
			above += 4096;
		struct shadow_page *stack = shadow_at(s, above), lowest = *stack;
		bool grows = lowest.kind == AREA_STACK && !lowest.shared && (lowest.rights & access);
		if (above == SPACE_STACK_TOP || !grows || shadow_has(s, va - 4096))
			return false;
		for (uint64_t new = va; new < above; new += 4096)
			shadow_map(s, new, AREA_STACK, lowest.rights, NULL);
	}
	return shadow_has(s, va) && (shadow_at(s, va)->rights & access);
}
