// fixed.c: a few fixed sizes, each with a stack of free cells; what is larger goes to a fallback heap, a first-fit list.
//
//    free[0] ──► cell ──► cell           32 bytes with the head
//    free[1] ──► cell                    64 bytes
//    ...
//    fallback    | slab: head | cell | cell | ... |   | head | large block      |   | free ...
//
// Cells come out of slabs, which are blocks of the fallback heap. A head of 16 bytes before each block says which size it has and how
// far the slab's start is, so a free needs no search. A slab whose cells are all free stays for its size, until trim.
//
//    X1  slabs have a known size and lie in the fallback heap     X2  each cell of a slab is used or free, and knows its size and place
//    X3  a slab counts its used cells                             X4  the free cells in memory are those in the stacks
//
// Cost: a pop or a push for small blocks; those of the fallback heap for large ones.
// Weakness: half a cell is lost to the next power of two at worst, and memory that one size has taken is lost to all others until trim.
// A foreign pointer between the fallback heap's pieces is known by what stands there only.
// Source: Kenwright, "Fast efficient fixed-size memory pool", Computation Tools 2012.
#include "fixed.h"

#define HEAD sizeof(struct fixed_head)

static struct fixed_head *head_of(const void *block)
{
	return (struct fixed_head *)(uintptr_t)block - 1;
}

static struct fixed_slab *slab_of(const struct fixed_head *cell)
{
	return (struct fixed_slab *)((uintptr_t)cell - cell->offset);
}

static void set_head(struct fixed_head *head, uint32_t size, uint32_t offset, enum fixed_state state)
{
	*head = (struct fixed_head){ size, offset, fixed_cookie(head, state) };
}

static bool is(const struct fixed_head *head, enum fixed_state state)
{
	return head->cookie == fixed_cookie(head, state);
}

static bool is_ours(const struct fixed *fixed, const void *address)
{
	return fixed->low <= (uintptr_t)address && (uintptr_t)address < fixed->high;
}

// A block of the fallback heap; NULL: it has none.
static struct fixed_head *more(struct fixed *fixed, size_t bytes, size_t align)
{
	void *block = fixed->fallback->ops->alloc(fixed->fallback, bytes, align);
	uintptr_t start = (uintptr_t)block;

	if (block) {
		fixed->low = start < fixed->low ? start : fixed->low;
		fixed->high = start + bytes > fixed->high ? start + bytes : fixed->high;
	}
	return block;
}

// ---- small blocks

static void push(struct fixed *fixed, struct fixed_head *head)
{
	struct fixed_cell *cell = (struct fixed_cell *)head;

	head->cookie = fixed_cookie(head, FIXED_FREE);
	cell->next = fixed->free[head->size];
	fixed->free[head->size] = cell;
}

// Cuts one more block of the fallback heap into cells; false: it has none.
static bool cut(struct fixed *fixed, uint32_t size)
{
	struct fixed_slab *slab = (struct fixed_slab *)more(fixed, FIXED_SLAB, HEAP_ALIGN);

	if (!slab)
		return false;
	*slab = (struct fixed_slab){ .next = fixed->slabs, .size = size };
	set_head(&slab->head, FIXED_CUT, 0, FIXED_USED);
	fixed->slabs = slab;
	for (size_t at = FIXED_SLAB; at >= sizeof *slab + FIXED_BYTES(size); at -= FIXED_BYTES(size)) {
		struct fixed_head *head = (struct fixed_head *)((uintptr_t)slab + at - FIXED_BYTES(size));

		set_head(head, size, (uint32_t)(at - FIXED_BYTES(size)), FIXED_FREE);
		push(fixed, head);
	}
	return true;
}

static void *pop(struct fixed *fixed, uint32_t size)
{
	if (!fixed->free[size] && !cut(fixed, size))
		return NULL;
	struct fixed_cell *cell = fixed->free[size];
	fixed->free[size] = cell->next;
	cell->head.cookie = fixed_cookie(&cell->head, FIXED_USED);
	slab_of(&cell->head)->used++;
	return &cell->head + 1;
}

// ---- large ones

static void *large(struct fixed *fixed, size_t bytes, size_t align)
{
	if (bytes > SIZE_MAX - align || align > UINT32_MAX)
		return NULL;
	struct fixed_head *start = more(fixed, bytes + align, align);
	if (!start)
		return NULL;
	void *block = (char *)start + align;
	set_head(start, FIXED_LARGE, (uint32_t)align, FIXED_USED);
	set_head(head_of(block), FIXED_LARGE, (uint32_t)align, FIXED_USED);
	return block;
}

static void *start_of(const void *block) // the fallback's block
{
	return (char *)(uintptr_t)block - head_of(block)->offset;
}

// ---- operations

static struct heap *fixed_create(void *arena, size_t bytes)
{
	struct fixed *fixed = arena;
	struct heap *fallback = heap_create_behind(&heap_first_fit, arena, bytes, sizeof *fixed);

	if (!fallback)
		return NULL;
	*fixed = (struct fixed){ .fallback = fallback, .low = UINTPTR_MAX };
	return &fixed->heap;
}

static void *fixed_alloc(struct heap *heap, size_t bytes, size_t align)
{
	struct fixed *fixed = (struct fixed *)heap;

	if (align == HEAP_ALIGN)
		for (uint32_t size = 0; size < FIXED_SIZES; size++)
			if (bytes <= FIXED_BYTES(size) - HEAD)
				return pop(fixed, size);
	return large(fixed, bytes, align);
}

// Panics with the rule that a caller broke who gave back what is no used block.
static void require_used(const struct fixed *fixed, const void *block)
{
	if ((uintptr_t)block % HEAP_ALIGN)
		port_panic("fixed: misaligned pointer", (uintptr_t)block);
	if (!is_ours(fixed, head_of(block)))
		port_panic("fixed: foreign pointer", (uintptr_t)block);
	if (is(head_of(block), FIXED_FREE))
		port_panic("fixed: double free", (uintptr_t)block);
	if (!is(head_of(block), FIXED_USED) || head_of(block)->size > FIXED_LARGE)
		port_panic("fixed: foreign pointer, not the start of a block", (uintptr_t)block);
}

static void fixed_free(struct heap *heap, void *block)
{
	struct fixed *fixed = (struct fixed *)heap;
	struct fixed_head *head = head_of(block), *start;

	require_used(fixed, block);
	if (head->size < FIXED_LARGE) {
		slab_of(head)->used--;
		push(fixed, head);
		return;
	}
	start = start_of(block);
	head->cookie = fixed_cookie(head, FIXED_FREE);
	start->cookie = fixed_cookie(start, FIXED_FREE);
	fixed->fallback->ops->free(fixed->fallback, start);
}

static size_t fixed_usable(const struct heap *heap, const void *block)
{
	const struct heap *fallback = ((const struct fixed *)heap)->fallback;
	const struct fixed_head *head = head_of(block);

	return head->size < FIXED_LARGE ? FIXED_BYTES(head->size) - HEAD : fallback->ops->usable(fallback, start_of(block)) - head->offset;
}

static bool fixed_resize(struct heap *heap, void *block, size_t bytes)
{
	struct heap *fallback = ((struct fixed *)heap)->fallback;
	const struct fixed_head *head = head_of(block);

	require_used((struct fixed *)heap, block);
	if (head->size < FIXED_LARGE)
		return bytes <= FIXED_BYTES(head->size) - HEAD;
	return bytes <= SIZE_MAX - head->offset && fallback->ops->resize(fallback, start_of(block), bytes + head->offset);
}

static void fixed_trim(struct heap *heap)
{
	struct fixed *fixed = (struct fixed *)heap;

	for (unsigned size = 0; size < FIXED_SIZES; size++)
		for (struct fixed_cell **link = &fixed->free[size]; *link;)
			if (slab_of(&(*link)->head)->used == 0)
				*link = (*link)->next;
			else
				link = &(*link)->next;
	for (struct fixed_slab **link = &fixed->slabs; *link;) {
		struct fixed_slab *slab = *link;

		if (slab->used > 0) {
			link = &slab->next;
			continue;
		}
		*link = slab->next;
		slab->head.cookie = fixed_cookie(&slab->head, FIXED_FREE);
		fixed->fallback->ops->free(fixed->fallback, slab);
	}
	fixed->fallback->ops->trim(fixed->fallback);
}

// ---- check

static struct verdict check_slab(const struct fixed_slab *slab, size_t free[FIXED_SIZES])
{
	uint32_t used = 0;

	for (size_t at = FIXED_SLAB; at >= sizeof *slab + FIXED_BYTES(slab->size); at -= FIXED_BYTES(slab->size)) {
		const struct fixed_head *head = (const struct fixed_head *)((uintptr_t)slab + at - FIXED_BYTES(slab->size));

		HOLDS("X2", is(head, FIXED_USED) || is(head, FIXED_FREE), head);
		HOLDS("X2", head->size == slab->size && slab_of(head) == slab, head);
		used += is(head, FIXED_USED);
		free[slab->size] += is(head, FIXED_FREE);
	}
	HOLDS("X3", slab->used == used, slab);
	return ALL_HOLD;
}

static struct verdict fixed_check(const struct heap *heap)
{
	const struct fixed *fixed = (const struct fixed *)heap;
	struct verdict verdict = fixed->fallback->ops->check(fixed->fallback);
	size_t free[FIXED_SIZES] = { 0 }, slabs = fixed->slabs ? (fixed->high - fixed->low) / FIXED_SLAB : 0; // no more than fit

	for (const struct fixed_slab *slab = fixed->slabs; slab && !verdict.broken; slab = slab->next) {
		HOLDS("X1", slabs-- > 0 && (uintptr_t)slab % HEAP_ALIGN == 0 && is_ours(fixed, slab), slab);
		HOLDS("X1", slab->size < FIXED_SIZES && is(&slab->head, FIXED_USED) && slab->head.size == FIXED_CUT, slab);
		verdict = check_slab(slab, free);
	}
	for (unsigned size = 0; size < FIXED_SIZES && !verdict.broken; size++) {
		for (const struct fixed_cell *cell = fixed->free[size]; cell; cell = cell->next) {
			HOLDS("X4", free[size]-- > 0 && (uintptr_t)cell % HEAP_ALIGN == 0 && is_ours(fixed, cell), cell);
			HOLDS("X4", is(&cell->head, FIXED_FREE) && cell->head.size == size, cell);
		}
		HOLDS("X4", free[size] == 0, &fixed->free[size]);
	}
	return verdict;
}

// ---- walk: the fallback's blocks, of which those that were cut stand for their cells

struct visit {
	heap_visitor *visit;
	void *context;
};

static bool visit_inside(void *context, void *block, size_t bytes, bool used)
{
	const struct visit *to = context;
	struct fixed_head *start = block;

	if (!used)
		return to->visit(to->context, block, bytes, false);
	if (start->size == FIXED_LARGE)
		return to->visit(to->context, (char *)block + start->offset, bytes - start->offset, true);
	size_t step = FIXED_BYTES(((struct fixed_slab *)block)->size);
	for (size_t at = FIXED_SLAB; at >= sizeof(struct fixed_slab) + step; at -= step) {
		struct fixed_head *head = (struct fixed_head *)((uintptr_t)block + at - step);

		if (!to->visit(to->context, head + 1, step - HEAD, is(head, FIXED_USED)))
			return false;
	}
	return true;
}

static void fixed_walk(const struct heap *heap, heap_visitor *visit, void *context)
{
	const struct heap *fallback = ((const struct fixed *)heap)->fallback;
	struct visit to = { visit, context };

	fallback->ops->walk(fallback, visit_inside, &to);
}

const struct heap_ops heap_fixed = {
	.name = "fixed",
	.create = fixed_create,
	.alloc = fixed_alloc,
	.free = fixed_free,
	.usable = fixed_usable,
	.resize = fixed_resize,
	.trim = fixed_trim,
	.check = fixed_check,
	.walk = fixed_walk,
};
