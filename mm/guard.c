// guard.c: a heap around another that finds those who write where they must not: before, behind, and after they have freed.
//
//    inner block   | bytes, front | ... | bytes, front, cookie, next | the caller's part | tail |
//
//    free ──► [whole?] ──► filled with DEAD ──► waits behind 256 KiB of other dead blocks ──► [as it was?] ──► inner free
//
// The entry's level 1 has red zones as well, for any heap (and fills what is freed itself); what is found here only is a write to a block
// that was freed before, and it costs no other build: heap=guard.
//
//    Z1  the waiting blocks have the bytes that the count says     Z2  a waiting block is dead, and as it was left
//    Z3  a live block's front and tail are whole
//
// Cost: two passes over each block, and the inner heap's calls. Weakness: a write is found when the block is freed, or leaves the queue.
// Source: Perens, Electric Fence, 1987, and the quarantine of Serebryany, Bruening, Potapenko and Vyukov, "AddressSanitizer: a fast
// address sanity checker", USENIX ATC 2012.
#include "guard.h"

#define TAIL_BYTE 0xf9u
#define DEAD_BYTE 0xd9u
#define HEAD      sizeof(struct guard_head)

static struct guard_head *head_of(const void *block)
{
	return (struct guard_head *)(uintptr_t)block - 1;
}

static void *block_of(const struct guard_head *head)
{
	return (void *)(uintptr_t)(head + 1);
}

static struct guard_head *inner_of(const struct guard_head *head)
{
	return (struct guard_head *)((uintptr_t)block_of(head) - head->front);
}

static bool is(const struct guard_head *head, enum guard_state state)
{
	return head->cookie == guard_cookie(head, state);
}

// The first of so many bytes that is not as wanted; `bytes` when all are.
static size_t unlike(const void *start, size_t bytes, unsigned char wanted)
{
	const unsigned char *byte = start;
	size_t i = 0;

	while (i < bytes && byte[i] == wanted)
		i++;
	return i;
}

// Over all bytes, so that any write shows (FNV-1a, Fowler, Noll and Vo, 1991).
static uintptr_t sum_of(const struct guard_head *head)
{
	const unsigned char *byte = block_of(head);
	uint64_t sum = 0xcbf29ce484222325ULL;

	for (size_t i = 0; i < head->bytes; i++)
		sum = (sum ^ byte[i]) * 0x100000001b3ULL;
	return (uintptr_t)sum;
}

// ---- dead blocks that wait

static void let_go(struct guard *guard)
{
	struct guard_head *head = guard->oldest;

	if (!is(head, GUARD_DEAD) || head->sum != sum_of(head))
		port_panic("guard: a block was written to after it was freed", (uintptr_t)block_of(head));
	guard->oldest = head->next;
	if (!guard->oldest)
		guard->newest = &guard->oldest;
	guard->held -= head->bytes;
	guard->inner->ops->free(guard->inner, inner_of(head));
}

static void hold(struct guard *guard, struct guard_head *head)
{
	for (size_t i = 0; i < head->bytes && !MM_CHECK; i++) // not by memset: the kernel's is watched by SAN=address
		((unsigned char *)block_of(head))[i] = DEAD_BYTE;
	head->sum = sum_of(head);
	head->cookie = guard_cookie(head, GUARD_DEAD);
	head->next = NULL;
	*guard->newest = head;
	guard->newest = &head->next;
	guard->held += head->bytes;
	while (guard->held > GUARD_HOLDS)
		let_go(guard);
}

// ---- operations

static struct heap *guard_create(void *arena, size_t bytes)
{
	struct guard *guard = arena;
	struct heap *inner = heap_create_behind(&heap_segregated, arena, bytes, sizeof *guard);

	if (!inner)
		return NULL;
	*guard = (struct guard){ .inner = inner, .newest = &guard->oldest, .low = UINTPTR_MAX };
	return &guard->heap;
}

static void *guard_alloc(struct heap *heap, size_t bytes, size_t align)
{
	struct guard *guard = (struct guard *)heap;
	size_t front = (HEAD + align - 1) & ~(align - 1);

	if (front < HEAD || bytes > SIZE_MAX - front - GUARD_TAIL)
		return NULL;
	void *inner;
	while (!(inner = guard->inner->ops->alloc(guard->inner, bytes + front + GUARD_TAIL, align)) && guard->oldest)
		let_go(guard); // what waits is not worth a refusal
	if (!inner)
		return NULL;
	char *block = (char *)inner + front;
	struct guard_head *head = head_of(block);
	*(struct tagged *)inner = (struct tagged){ bytes, front };
	*head = (struct guard_head){ .bytes = bytes, .front = front };
	head->cookie = guard_cookie(head, GUARD_LIVE);
	__builtin_memset(block + bytes, TAIL_BYTE, GUARD_TAIL);
	guard->low = (uintptr_t)inner < guard->low ? (uintptr_t)inner : guard->low;
	guard->high = (uintptr_t)block > guard->high ? (uintptr_t)block : guard->high;
	return block;
}

// Panics with the rule that was broken by who gave this back, or by somebody before.
static void inspect(const struct guard *guard, const void *block)
{
	const struct guard_head *head = head_of(block);

	if ((uintptr_t)block % HEAP_ALIGN)
		port_panic("guard: misaligned pointer", (uintptr_t)block);
	if ((uintptr_t)head < guard->low || (uintptr_t)block > guard->high)
		port_panic("guard: foreign pointer", (uintptr_t)block);
	if (is(head, GUARD_DEAD))
		port_panic("guard: double free", (uintptr_t)block);
	if (!is(head, GUARD_LIVE))
		port_panic("guard: foreign pointer, not the start of a block, or its front was overwritten", (uintptr_t)block);
	size_t at = unlike((const char *)block + head->bytes, GUARD_TAIL, TAIL_BYTE);
	if (at < GUARD_TAIL)
		port_panic("guard: the block was written past its end", (uintptr_t)block + head->bytes + at);
}

static void guard_free(struct heap *heap, void *block)
{
	inspect((struct guard *)heap, block);
	hold((struct guard *)heap, head_of(block));
}

static size_t guard_usable(const struct heap *heap, const void *block)
{
	(void)heap;
	return head_of(block)->bytes;
}

static void guard_trim(struct heap *heap)
{
	struct guard *guard = (struct guard *)heap;

	while (guard->oldest)
		let_go(guard);
	guard->inner->ops->trim(guard->inner);
}

// ---- check and walk: the inner heap's blocks

struct visit {
	heap_visitor *visit;
	void *context;
};

static bool visit_inside(void *context, void *inner, size_t bytes, bool used)
{
	const struct visit *to = context;

	if (!used)
		return to->visit(to->context, inner, bytes, false);
	const struct tagged *tag = inner;
	void *block = (char *)inner + tag->front;
	return to->visit(to->context, block, tag->bytes, is(head_of(block), GUARD_LIVE));
}

static void guard_walk(const struct heap *heap, heap_visitor *visit, void *context)
{
	const struct heap *inner = ((const struct guard *)heap)->inner;
	struct visit to = { visit, context };

	inner->ops->walk(inner, visit_inside, &to);
}

static bool judge_block(void *context, void *inner, size_t bytes, bool used)
{
	struct verdict *verdict = context;
	const struct tagged *tag = inner;

	if (!used)
		return true;
	*verdict = (struct verdict){ "Z3", (uintptr_t)inner };
	if (tag->front < HEAD || tag->front > bytes - GUARD_TAIL || tag->bytes > bytes - GUARD_TAIL - tag->front)
		return false;
	const char *block = (char *)inner + tag->front;
	const struct guard_head *head = head_of(block);
	if (!is(head, GUARD_DEAD) && (!is(head, GUARD_LIVE) || unlike(block + tag->bytes, GUARD_TAIL, TAIL_BYTE) < GUARD_TAIL))
		return false;
	*verdict = ALL_HOLD;
	return true;
}

static struct verdict guard_check(const struct heap *heap)
{
	const struct guard *guard = (const struct guard *)heap;
	struct verdict verdict = guard->inner->ops->check(guard->inner);
	size_t held = 0;

	if (!verdict.broken)
		guard->inner->ops->walk(guard->inner, judge_block, &verdict);
	if (verdict.broken)
		return verdict;
	for (const struct guard_head *head = guard->oldest; head; head = head->next) {
		HOLDS("Z2", (uintptr_t)head % HEAP_ALIGN == 0 && (uintptr_t)head >= guard->low && (uintptr_t)head < guard->high, head);
		HOLDS("Z2", is(head, GUARD_DEAD), head);
		held += head->bytes;
		HOLDS("Z1", held <= guard->held && head->bytes > 0, head); // so that a ring ends, too
		HOLDS("Z2", head->sum == sum_of(head), block_of(head));
	}
	HOLDS("Z1", held == guard->held, guard);
	return ALL_HOLD;
}

const struct heap_ops heap_guard = {
	.name = "guard",
	.create = guard_create,
	.alloc = guard_alloc,
	.free = guard_free,
	.usable = guard_usable,
	.trim = guard_trim,
	.check = guard_check,
	.walk = guard_walk,
};
