// heap.c: the one checked entry to every heap.
//
//    caller -> heap_alloc -> dress -> ops->alloc            at MM_CHECK = 0 both steps in the middle compile away
//    caller -> heap_free -> undress -> ops->free
//
// A dressed block (level 1 and above); `front` is 32, or the alignment where that is larger:
//
//    allocator's block                                                  the caller's block
//    |<--------------------------- front ----------------------------->|
//    +---------------+------------------------------+------------------+-----------------+-----------+------ - -
//    | bytes, caller | (only for large alignments)  | front, seal      | bytes asked for | tail zone | unused
//    +---------------+------------------------------+------------------+-----------------+-----------+------ - -
//
// The seal mixes address, front, and bytes, so any write over the front part is seen, and tells live blocks from dead ones. New blocks
// are filled with FRESH, freed ones with DEAD: a pointer read from either is not canonical and faults.
//
//    H1  the heap's ops are set                 H2  every block that walk finds is aligned to HEAP_ALIGN, not empty and does not wrap
//    H3  at level 1 and above, the tag of each used block fits inside the block
//
// Cost: at level 0 a branch and a call through ops; at level 1 two passes over the block; at level 2 the heap's whole check, twice a call.
// Weakness: level 1 sees a stray write when the block is freed, not when it happens.
// Sources: Plan 9's pool.c for checking on the way in and out; SQLite's mem2.c for dressing in one place.
#include "heap_entry.h"

#define TAIL_BYTE 0xfdu
#define FRESH     0xa5u
#define DEAD      0xddu

#define SEAL_LIVE ((uintptr_t)0x5ea1ab1e0ddba11ULL)
#define SEAL_DEAD ((uintptr_t)0xdeadb10cdeadb10cULL)

const struct heap_observer *heap_observer;

static struct seal *seal_of(const void *block)
{
	return (struct seal *)(uintptr_t)block - 1;
}

static void *inner_of(const void *block)
{
	return MM_CHECK ? (char *)(uintptr_t)block - seal_of(block)->front : (void *)(uintptr_t)block;
}

static struct tag *tag_of(const void *block)
{
	return inner_of(block);
}

static uintptr_t mark_for(const void *block, size_t front, size_t bytes, uintptr_t state)
{
	return state ^ (uintptr_t)block ^ front << 20 ^ bytes * 0x9e3779b1u;
}

// ---- level 2: the allocator's own check around each call ----

static void put_text(char *rule, size_t *length, size_t limit, const char *text)
{
	while (*text && *length + 1 < limit)
		rule[(*length)++] = *text++;
	rule[*length] = 0;
}

// Panics when the heap's check finds a broken rule, saying whose fault it is by when it was found.
static void verify(const struct heap *heap, const char *fault)
{
	static char rule[128];
	size_t length = 0;
	struct verdict verdict = heap->ops->check(heap);

	if (!verdict.broken)
		return;
	put_text(rule, &length, sizeof rule, "heap ");
	put_text(rule, &length, sizeof rule, heap->ops->name);
	put_text(rule, &length, sizeof rule, ": invariant ");
	put_text(rule, &length, sizeof rule, verdict.broken);
	put_text(rule, &length, sizeof rule, fault);
	port_panic(rule, verdict.where);
}

static void lock(const struct heap *heap)
{
	if (!heap->ops->own_locking)
		lock_acquire(&((struct heap *)(uintptr_t)heap)->lock);
}

static void unlock(const struct heap *heap)
{
	if (!heap->ops->own_locking)
		lock_release(&((struct heap *)(uintptr_t)heap)->lock);
}

// The lock is needed even to look: what says where the block ends may stand beside what tells of others.
static size_t room_of(const struct heap *heap, const void *inner)
{
	lock(heap);
	size_t room = heap->ops->usable(heap, inner);
	unlock(heap);
	return room;
}

void heap_enter(const struct heap *heap)
{
	lock(heap);
	if (MM_CHECK >= 2)
		verify(heap, " is broken before the call: its user's fault");
}

void heap_leave(const struct heap *heap)
{
	if (MM_CHECK >= 2)
		verify(heap, " is broken after the call: the allocator's fault");
	unlock(heap);
}

static void enter_for(struct heap *heap, const void *caller)
{
	heap_enter(heap);
	if (!heap->ops->own_locking)
		heap->caller = caller;
}

// ---- level 1: red zones, poison and the tag ----

// Turns the allocator's block into the caller's.
static void *dress(char *inner, size_t front, size_t bytes, const void *caller)
{
	char *block = inner + front;

	*(struct tag *)(void *)inner = (struct tag){ bytes, caller };
	*seal_of(block) = (struct seal){ front, mark_for(block, front, bytes, SEAL_LIVE) };
	__builtin_memset(block + bytes, TAIL_BYTE, TAIL);
	return block;
}

// Panics unless the caller's block is live and its zones are whole.
static void inspect(const struct heap *heap, const void *block)
{
	const struct seal *seal = seal_of(block);

	if ((uintptr_t)block % HEAP_ALIGN)
		port_panic("heap_free: misaligned pointer", (uintptr_t)block);
	if (heap->ops->inspect) {
		lock(heap);
		heap->ops->inspect(heap, seal);
		unlock(heap);
	}
	if (seal->front < FRONT_MIN || (seal->front & (seal->front - 1)))
		port_panic("heap_free: foreign pointer, not the start of a block, or its front was overwritten", (uintptr_t)block);

	const struct tag *tag = tag_of(block);

	if (seal->mark == mark_for(block, seal->front, 0, SEAL_DEAD)) // an allocator may keep its links where the tag was
		port_panic("heap_free: double free", (uintptr_t)block);
	if (seal->mark != mark_for(block, seal->front, tag->bytes, SEAL_LIVE))
		port_panic("heap_free: foreign pointer, not the start of a block, or its front was overwritten", (uintptr_t)block);
	if (room_of(heap, tag) < seal->front + tag->bytes + TAIL)
		port_panic("heap_free: the block is smaller than its tag says", (uintptr_t)block);
	for (const unsigned char *zone = (const unsigned char *)block + tag->bytes, *end = zone + TAIL; zone < end; zone++)
		if (*zone != TAIL_BYTE)
			port_panic("heap_free: the block was written past its end", (uintptr_t)zone);
}

// Marks the block dead and wipes it; returns the allocator's block.
static void *undress(const struct heap *heap, void *block)
{
	struct tag *tag = tag_of(block);

	inspect(heap, block);
	seal_of(block)->mark = mark_for(block, seal_of(block)->front, 0, SEAL_DEAD);
	__builtin_memset(block, DEAD, tag->bytes);
	return tag;
}

static void observe(bool given, struct heap *heap, void *block, size_t bytes, const void *caller)
{
	if (!heap_observer)
		return;
	(given ? heap_observer->given : heap_observer->taken)(heap, block, bytes, caller);
}

// ---- the entry ----

struct heap *heap_create(const struct heap_ops *ops, void *arena, size_t bytes)
{
	struct heap *heap = ops->create(arena, bytes);

	if (!heap)
		return NULL;
	heap->ops = ops;
	heap->lock = (struct lock){ .name = ops->name };
	return heap;
}

struct heap *heap_create_behind(const struct heap_ops *ops, void *arena, size_t bytes, size_t own)
{
	own = (own + HEAP_ALIGN - 1) & ~(size_t)(HEAP_ALIGN - 1);
	if ((uintptr_t)arena % HEAP_ALIGN || bytes < own)
		return NULL;
	return heap_create(ops, (char *)arena + own, bytes - own);
}

typedef void *allocator(struct heap *heap, size_t bytes, size_t align);

static void *alloc_by(allocator *alloc, struct heap *heap, size_t bytes, size_t align, const void *caller)
{
	size_t around = heap_around(align);

	if (align & (align - 1))
		port_panic("heap_alloc_aligned: the alignment is not a power of two", align);
	if (bytes == 0 || bytes > SIZE_MAX - around)
		return NULL;
	enter_for(heap, caller);
	void *block = alloc(heap, bytes + around, align < HEAP_ALIGN ? HEAP_ALIGN : align);
	heap_leave(heap);
	if (!MM_CHECK && block)
		port_shadow_alloc(block, bytes, PORT_REDZONE ? room_of(heap, block) : 0);
	if (!MM_CHECK || !block)
		return block;
	block = dress(block, heap_front(align), bytes, caller);
	__builtin_memset(block, FRESH, bytes);
	observe(true, heap, block, bytes, caller);
	return block;
}

void *heap_alloc_for(struct heap *heap, size_t bytes, size_t align, const void *caller)
{
	return alloc_by(heap->ops->alloc, heap, bytes, align, caller);
}

void heap_free_for(struct heap *heap, void *block, const void *caller)
{
	if (!block)
		return;
	if (MM_CHECK) {
		inspect(heap, block);
		observe(false, heap, block, tag_of(block)->bytes, caller);
		block = undress(heap, block);
	} else {
		port_shadow_free(block, PORT_REDZONE ? room_of(heap, block) : 0);
	}
	enter_for(heap, caller);
	heap->ops->free(heap, block);
	heap_leave(heap);
}

// Changes the size where the block stands; false when it has to move.
static bool resize(struct heap *heap, void *block, size_t bytes, const void *caller)
{
	size_t front = MM_CHECK ? seal_of(block)->front : 0, around = MM_CHECK ? front + TAIL : PORT_REDZONE;
	void *inner = inner_of(block);

	if (bytes > SIZE_MAX - around)
		return false;
	enter_for(heap, caller);
	size_t room = heap->ops->usable(heap, inner);
	bool done = bytes + around <= room && bytes + around > room / 2;
	if (!done && heap->ops->resize)
		done = heap->ops->resize(heap, inner, bytes + around);
	heap_leave(heap);
	if (done && !MM_CHECK)
		port_shadow_alloc(block, bytes, PORT_REDZONE ? room_of(heap, block) : 0);
	if (done && MM_CHECK) {
		observe(false, heap, block, tag_of(block)->bytes, caller);
		dress(inner, front, bytes, caller);
		observe(true, heap, block, bytes, caller);
	}
	return done;
}

void *heap_realloc_for(struct heap *heap, void *block, size_t bytes, const void *caller)
{
	if (!block)
		return heap_alloc_for(heap, bytes, HEAP_ALIGN, caller);
	if (bytes == 0) {
		heap_free_for(heap, block, caller);
		return NULL;
	}
	if (MM_CHECK)
		inspect(heap, block);

	size_t had = heap_usable(heap, block);

	if (resize(heap, block, bytes, caller))
		return block;
	void *moved = heap_alloc_for(heap, bytes, HEAP_ALIGN, caller);
	if (!moved)
		return bytes <= had ? block : NULL;
	__builtin_memcpy(moved, block, had < bytes ? had : bytes);
	heap_free_for(heap, block, caller);
	return moved;
}

void *heap_alloc(struct heap *heap, size_t bytes)
{
	return heap_alloc_for(heap, bytes, HEAP_ALIGN, __builtin_return_address(0));
}

void *heap_alloc_aligned(struct heap *heap, size_t bytes, size_t align)
{
	return heap_alloc_for(heap, bytes, align, __builtin_return_address(0));
}

void *heap_alloc_back(struct heap *heap, size_t bytes)
{
	const struct heap_ops *ops = heap->ops;

	return alloc_by(ops->alloc_back ? ops->alloc_back : ops->alloc, heap, bytes, HEAP_ALIGN, __builtin_return_address(0));
}

void *heap_alloc_zeroed(struct heap *heap, size_t count, size_t bytes)
{
	size_t total;

	if (__builtin_mul_overflow(count, bytes, &total))
		return NULL;
	void *block = heap_alloc_for(heap, total, HEAP_ALIGN, __builtin_return_address(0));
	if (block)
		__builtin_memset(block, 0, total);
	return block;
}

void *heap_realloc(struct heap *heap, void *block, size_t bytes)
{
	return heap_realloc_for(heap, block, bytes, __builtin_return_address(0));
}

void heap_free(struct heap *heap, void *block)
{
	heap_free_for(heap, block, __builtin_return_address(0));
}

size_t heap_usable(const struct heap *heap, const void *block)
{
	if (PORT_REDZONE)
		return port_shadow_bytes(block);
	return MM_CHECK ? tag_of(block)->bytes : room_of(heap, block);
}

void heap_trim(struct heap *heap)
{
	if (!heap->ops->trim)
		return;
	heap_enter(heap);
	heap->ops->trim(heap);
	heap_leave(heap);
}

// ---- check ----

static bool judge_block(void *context, void *block, size_t bytes, bool used)
{
	struct verdict *verdict = context;
	const struct tag *tag = block;

	*verdict = (struct verdict){ "H2", (uintptr_t)block };
	if ((uintptr_t)block % HEAP_ALIGN || (used && bytes == 0) || (uintptr_t)block + bytes < (uintptr_t)block)
		return false;
	*verdict = (struct verdict){ "H3", (uintptr_t)block };
	if (MM_CHECK && used && (bytes < FRONT_MIN + TAIL || tag->bytes > bytes - FRONT_MIN - TAIL))
		return false;
	*verdict = ALL_HOLD;
	return true;
}

struct verdict heap_check(const struct heap *heap)
{
	struct verdict verdict = ALL_HOLD;

	HOLDS("H1", heap->ops, heap);
	lock(heap);
	verdict = heap->ops->check(heap);
	if (!verdict.broken)
		heap->ops->walk(heap, judge_block, &verdict);
	unlock(heap);
	return verdict;
}
