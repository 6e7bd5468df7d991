// lazy.c: first fit that merges late: a freed block waits on a list of its size, and may be given out again as it is.
//
//    free ──► [as many wait as are in use?] ──► first fit's free: merged        size[3] ──► waits ──► waits       64 bytes
//                  └─ no ──► waits                                              size[5] ──► waits                 96 bytes
//
//    first fit   | used |   used (waits)   | used | used (waits) | free ...
//
// For the free list below a block that waits is in use, so its neighbours are not merged with it. The list's code is all shared; only
// the moment of its free is another: when more blocks of a size would wait than are in use, when a request would be refused, at trim.
//
//    L1  what is on a list lies in the heap, waits, and has the list's size     L2  a list has as many blocks as it counts
//    L3  no more blocks of a size wait than are in use                          L4  in memory as many wait and are in use as are counted
//
// Cost: a pop or a push while a size is in steady use; else first fit's.
// Weakness: holes that lie side by side and are not one; the free list asks for more memory before what waits is merged: up to as much
// as the small blocks in use.
// Sources: Barkley and Lee, "A lazy buddy system bounded by two coalescing delays per class", SOSP 1989, for the bound; Wilson, Johnstone,
// Neely and Boles, 1995, on deferred coalescing, for the idea.
#include "lazy.h"

static bool waits(const struct lazy_block *block)
{
	return block->cookie == lazy_cookie(block);
}

static size_t usable(const struct lazy *lazy, const void *block)
{
	return lazy->list->ops->usable(lazy->list, block);
}

// The list for blocks of so many bytes; NULL: they do not wait.
static struct lazy_size *size_for(struct lazy *lazy, size_t bytes)
{
	size_t units = (bytes + HEAP_ALIGN - 1) / HEAP_ALIGN;

	return bytes <= LAZY_SIZES * HEAP_ALIGN ? &lazy->size[units - 1] : NULL;
}

// ---- waiting

static void hold(struct lazy_size *size, void *payload)
{
	struct lazy_block *block = payload;

	*block = (struct lazy_block){ size->first, lazy_cookie(block) };
	size->first = block;
	size->waiting++;
}

// A block that waits, in use again; NULL: none does.
static void *pop(struct lazy_size *size)
{
	struct lazy_block *block = size->first;

	if (block) {
		size->first = block->next;
		size->waiting--;
	}
	return block;
}

static void merge(struct lazy *lazy, struct lazy_size *size)
{
	lazy->list->ops->free(lazy->list, pop(size));
}

// Merges all that waits; false: nothing did.
static bool settle(struct lazy *lazy)
{
	bool any = false;

	for (struct lazy_size *size = lazy->size; size < lazy->size + LAZY_SIZES; size++)
		for (; size->first; any = true)
			merge(lazy, size);
	return any;
}

static void enter(struct lazy *lazy, void *block) // it is in use
{
	struct lazy_size *size = size_for(lazy, usable(lazy, block));

	if (size)
		size->live++;
}

// A block of the size is not in use any more. Two may have to be merged: this one, which the caller sees to, and one that waits.
static void leave(struct lazy *lazy, struct lazy_size *size)
{
	size->live--;
	if (size->waiting > size->live)
		merge(lazy, size);
}

// ---- operations

static struct heap *lazy_create(void *arena, size_t bytes)
{
	struct lazy *lazy = arena;
	struct heap *list = heap_create_behind(&heap_first_fit, arena, bytes, sizeof *lazy);

	if (!list)
		return NULL;
	*lazy = (struct lazy){ .list = list, .low = UINTPTR_MAX };
	return &lazy->heap;
}

static void *lazy_alloc(struct heap *heap, size_t bytes, size_t align)
{
	struct lazy *lazy = (struct lazy *)heap;
	struct lazy_size *size = align == HEAP_ALIGN ? size_for(lazy, bytes) : NULL;
	void *block = size ? pop(size) : NULL;

	if (!block)
		block = lazy->list->ops->alloc(lazy->list, bytes, align);
	if (!block && settle(lazy))
		block = lazy->list->ops->alloc(lazy->list, bytes, align);
	if (!block)
		return NULL;
	((struct lazy_block *)block)->cookie = 0; // it waited, or what it was cut from has held one that did
	lazy->low = (uintptr_t)block < lazy->low ? (uintptr_t)block : lazy->low;
	lazy->high = (uintptr_t)block > lazy->high ? (uintptr_t)block : lazy->high;
	enter(lazy, block);
	return block;
}

// Panics unless the block is in use. The free list knows its own, and no block can become as large as that.
static void inspect(struct lazy *lazy, void *block)
{
	(void)lazy->list->ops->resize(lazy->list, block, SIZE_MAX);
	if (waits(block))
		port_panic("lazy: double free", (uintptr_t)block);
}

static void lazy_free(struct heap *heap, void *block)
{
	struct lazy *lazy = (struct lazy *)heap;

	inspect(lazy, block);
	struct lazy_size *size = size_for(lazy, usable(lazy, block));
	if (size)
		leave(lazy, size);
	if (size && size->waiting < size->live)
		hold(size, block);
	else
		lazy->list->ops->free(lazy->list, block);
}

static size_t lazy_usable(const struct heap *heap, const void *block)
{
	return usable((const struct lazy *)heap, block);
}

static bool lazy_resize(struct heap *heap, void *block, size_t bytes)
{
	struct lazy *lazy = (struct lazy *)heap;

	inspect(lazy, block);
	struct lazy_size *size = size_for(lazy, usable(lazy, block));
	if (!lazy->list->ops->resize(lazy->list, block, bytes))
		return false;
	enter(lazy, block);
	if (size)
		leave(lazy, size);
	return true;
}

static void lazy_trim(struct heap *heap)
{
	struct lazy *lazy = (struct lazy *)heap;

	settle(lazy);
	lazy->list->ops->trim(lazy->list);
}

// ---- check and walk: the free list's blocks

struct visit {
	heap_visitor *visit;
	void *context;
};

static bool visit_block(void *context, void *block, size_t bytes, bool used)
{
	const struct visit *to = context;

	return to->visit(to->context, block, bytes, used && !waits(block));
}

static void lazy_walk(const struct heap *heap, heap_visitor *visit, void *context)
{
	const struct heap *list = ((const struct lazy *)heap)->list;
	struct visit to = { visit, context };

	list->ops->walk(list, visit_block, &to);
}

struct tally {
	size_t waiting[LAZY_SIZES], live[LAZY_SIZES];
};

static bool count_block(void *context, void *block, size_t bytes, bool used)
{
	struct tally *tally = context;

	if (used && bytes <= LAZY_SIZES * HEAP_ALIGN)
		(waits(block) ? tally->waiting : tally->live)[bytes / HEAP_ALIGN - 1]++;
	return true;
}

static struct verdict check_size(const struct lazy *lazy, const struct lazy_size *size)
{
	size_t bytes = (size_t)(size - lazy->size + 1) * HEAP_ALIGN, left = size->waiting;

	HOLDS("L3", size->waiting <= size->live, size);
	for (const struct lazy_block *block = size->first; block; block = block->next) {
		HOLDS("L1", (uintptr_t)block % HEAP_ALIGN == 0 && (uintptr_t)block >= lazy->low && (uintptr_t)block <= lazy->high, block);
		HOLDS("L1", waits(block) && usable(lazy, block) == bytes, block);
		HOLDS("L2", left-- > 0, block); // so that a ring ends, too
	}
	HOLDS("L2", left == 0, size);
	return ALL_HOLD;
}

static struct verdict lazy_check(const struct heap *heap)
{
	const struct lazy *lazy = (const struct lazy *)heap;
	struct verdict verdict = lazy->list->ops->check(lazy->list);
	struct tally tally = { 0 };

	for (unsigned i = 0; i < LAZY_SIZES && !verdict.broken; i++)
		verdict = check_size(lazy, &lazy->size[i]);
	if (verdict.broken)
		return verdict;
	lazy->list->ops->walk(lazy->list, count_block, &tally);
	for (unsigned i = 0; i < LAZY_SIZES; i++)
		HOLDS("L4", tally.waiting[i] == lazy->size[i].waiting && tally.live[i] == lazy->size[i].live, &lazy->size[i]);
	return ALL_HOLD;
}

const struct heap_ops heap_lazy_fit = {
	.name = "lazy_fit",
	.create = lazy_create,
	.alloc = lazy_alloc,
	.free = lazy_free,
	.usable = lazy_usable,
	.resize = lazy_resize,
	.trim = lazy_trim,
	.check = lazy_check,
	.walk = lazy_walk,
};
