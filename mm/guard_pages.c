// guard_pages.c: a heap that gives each object pages of its own, so that who touches what is not his faults at that very instruction.
//
//    window   |      | fill, object, slack |      | (was an object) |      | fill, object ......... | object ..., slack |      |  …
//    memory   | none |        page         | none |      none       | none |        page            |       page        | none |
//                                          ▲ touching this page faults      ▲ `next` goes round: the oldest addresses are used first
//
// An object ends where its last page does, but for the slack that its alignment and its size leave: at most align - 1 bytes, 15 as a rule.
// Slack and what lies before the object hold a fill that is checked when it is freed. Then its memory goes back and its addresses stay
// empty until the search has come round the whole window: thousands of objects later. The port has the memory and the protection; where
// it cannot protect, no such heap can be made.
//
//    W1  each object lies in the window, apart from others, with an empty page behind it     W2  the count of live objects is right
//    W3  slack and fill of each live object are as they were made
//
// Cost: a page and a page-table change a block, a flush of all TLBs a free. No memory is kept for dead objects. Weakness: one object
// takes at least a page, and a window holds about 4,000; nothing aligned to more than a page. At level 1 and above the entry's tail
// zone stands between object and page end: a write to its 16 bytes is found when the block is freed, one beyond faults.
// Source: Perens, Electric Fence, 1987; Microsoft's page heap (gflags /p).
#include "guard_pages.h"

// ---- places

static size_t pages_for(const struct object *object)
{
	return (object->offset + (size_t)object->bytes + GUARD_PAGE - 1) / GUARD_PAGE;
}

static size_t index_of(const struct guard_pages *guard, const struct object *object)
{
	return (size_t)(object - guard->object);
}

static char *page_of(const struct guard_pages *guard, size_t index)
{
	return (char *)(guard->window + index * GUARD_PAGE);
}

static char *block_of(const struct guard_pages *guard, const struct object *object)
{
	return page_of(guard, index_of(guard, object)) + object->offset;
}

// The object that has or had the page of this address, NULL when none did.
static const struct object *object_at(const struct guard_pages *guard, const void *place)
{
	size_t page = ((uintptr_t)place - guard->window) / GUARD_PAGE, index = page;

	if ((uintptr_t)place < guard->window || page >= guard->pages)
		return NULL;
	while (index > 0 && guard->object[index].state == OBJECT_NONE)
		index--;
	const struct object *object = &guard->object[index];
	return object->state != OBJECT_NONE && page - index < pages_for(object) ? object : NULL;
}

// The first byte in an object's pages that is no longer as it was filled, NULL when all are.
static const char *spoiled(const struct guard_pages *guard, const struct object *object)
{
	const char *start = page_of(guard, index_of(guard, object)), *end = start + pages_for(object) * GUARD_PAGE;
	const char *block = block_of(guard, object);

	for (const char *at = start; at < end; at++)
		if (at == block)
			at += object->bytes - 1;
		else if (*(const unsigned char *)at != GUARD_FILL)
			return at;
	return NULL;
}

// The first of so many pages that are empty, in a row, with another behind them; 0 when there are none. Goes round once.
static size_t find(const struct guard_pages *guard, size_t pages)
{
	size_t first = guard->next, at = first;
	bool again = false;

	while (at - first <= pages) {
		if (at == guard->pages || (again && first >= guard->next)) {
			if (again)
				return 0;
			again = true;
			first = at = 1;
		} else if (guard->object[at].state == OBJECT_LIVE) {
			first = at = at + pages_for(&guard->object[at]) + 1;
		} else {
			at++;
		}
	}
	return first;
}

// ---- operations

static struct heap *guard_create(void *arena, size_t bytes)
{
	struct guard_pages *guard = arena;

	if ((uintptr_t)arena % HEAP_ALIGN || bytes < sizeof *guard + GUARD_LEAST * sizeof(struct object))
		return NULL;
	size_t pages = (bytes - sizeof *guard) / sizeof(struct object);
	void *window = port_window(pages * GUARD_PAGE);
	if (!window)
		return NULL;
	__builtin_memset(arena, 0, bytes);
	guard->window = (uintptr_t)window;
	guard->pages = pages;
	guard->next = 1;
	return &guard->heap;
}

static void *guard_alloc(struct heap *heap, size_t bytes, size_t align)
{
	struct guard_pages *guard = (struct guard_pages *)heap;

	if (align > GUARD_PAGE || bytes > guard->pages * GUARD_PAGE)
		return NULL;
	size_t whole = (bytes + align - 1) & ~(align - 1), pages = (whole + GUARD_PAGE - 1) / GUARD_PAGE, first = find(guard, pages);
	if (first == 0 || !port_window_map(page_of(guard, first), pages * GUARD_PAGE))
		return NULL;
	__builtin_memset(page_of(guard, first), GUARD_FILL, pages * GUARD_PAGE);
	__builtin_memset(&guard->object[first], 0, (pages + 1) * sizeof(struct object));
	struct object *object = &guard->object[first];
	*object = (struct object){ (uint32_t)bytes, (uint16_t)(pages * GUARD_PAGE - whole), OBJECT_LIVE };
	guard->next = first + pages + 1;
	guard->live++;
	return block_of(guard, object);
}

static void guard_inspect(const struct heap *heap, const void *place)
{
	const struct object *object = object_at((const struct guard_pages *)heap, place);

	if (!object)
		port_panic("guard_pages: foreign pointer", (uintptr_t)place);
	if (object->state == OBJECT_DEAD)
		port_panic("guard_pages: double free", (uintptr_t)place);
}

static void guard_free(struct heap *heap, void *block)
{
	struct guard_pages *guard = (struct guard_pages *)heap;

	if ((uintptr_t)block % HEAP_ALIGN)
		port_panic("guard_pages: misaligned pointer", (uintptr_t)block);
	guard_inspect(heap, block);
	size_t index = ((uintptr_t)block - guard->window) / GUARD_PAGE;
	struct object *object = &guard->object[index];
	if (object->state != OBJECT_LIVE || block != block_of(guard, object))
		port_panic("guard_pages: foreign pointer, not the start of a block", (uintptr_t)block);
	const char *at = spoiled(guard, object);
	if (at)
		port_panic(at < (char *)block ? "guard_pages: the block was written before its start"
					      : "guard_pages: the block was written past its end", (uintptr_t)at);
	port_window_unmap(page_of(guard, index), pages_for(object) * GUARD_PAGE);
	object->state = OBJECT_DEAD;
	guard->live--;
}

static size_t guard_usable(const struct heap *heap, const void *block)
{
	const struct object *object = object_at((const struct guard_pages *)heap, block);

	return object ? object->bytes : 0;
}

// ---- check and walk

static struct verdict check_object(const struct guard_pages *guard, const struct object *object)
{
	size_t index = index_of(guard, object), pages = pages_for(object);

	HOLDS("W1", object->bytes > 0 && object->offset < GUARD_PAGE && object->offset % HEAP_ALIGN == 0, object);
	HOLDS("W1", index > 0 && pages < guard->pages - index, object);
	for (size_t i = 1; i <= pages; i++)
		HOLDS("W1", object[i].state == OBJECT_NONE, object);
	HOLDS("W3", !spoiled(guard, object), spoiled(guard, object));
	return ALL_HOLD;
}

static struct verdict guard_check(const struct heap *heap)
{
	const struct guard_pages *guard = (const struct guard_pages *)heap;
	size_t live = 0;

	for (const struct object *object = guard->object; object < guard->object + guard->pages; object++) {
		struct verdict verdict = object->state == OBJECT_LIVE ? check_object(guard, object) : ALL_HOLD;

		if (verdict.broken)
			return verdict;
		live += object->state == OBJECT_LIVE;
	}
	HOLDS("W2", live == guard->live, guard);
	return ALL_HOLD;
}

static void guard_walk(const struct heap *heap, heap_visitor *visit, void *context)
{
	const struct guard_pages *guard = (const struct guard_pages *)heap;

	for (const struct object *object = guard->object; object < guard->object + guard->pages; object++)
		if (object->state == OBJECT_LIVE && !visit(context, block_of(guard, object), object->bytes, true))
			return;
}

const struct heap_ops heap_guard_pages = {
	.name = "guard_pages",
	.create = guard_create,
	.alloc = guard_alloc,
	.free = guard_free,
	.usable = guard_usable,
	.inspect = guard_inspect,
	.check = guard_check,
	.walk = guard_walk,
};
