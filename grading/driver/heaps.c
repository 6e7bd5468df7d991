// heaps.c: the subject "heaps": calls of one heap, which grows as the kernel's own does.
//
// A slot holds a block's address. A call that stamps marks its block as its own, and looks at the marks before the block is freed.
#include "kernel/boot/map.h"
#include "kernel/machine/cpu.h"
#include "mm/heap.h"

#include "grading/driver/subject.h"

enum {
	HEAPS_CREATE = CALL_HEAPS, // a heap of the kind that `second` and `third` name, 16 characters, in an arena of `argument` bytes
	HEAPS_ALLOC,               // slot = heap_alloc(argument)
	HEAPS_ALIGNED,             // slot = heap_alloc_aligned(argument, second)
	HEAPS_ZEROED,              // slot = heap_alloc_zeroed(second, third); argument is the product
	HEAPS_REALLOC,             // slot = heap_realloc(slot, argument), unless that is NULL
	HEAPS_FREE,                // heap_free(slot), when the slot has a block; argument: its bytes
	HEAPS_USABLE,              // heap_usable(slot), likewise
	HEAPS_TRIM,
	HEAPS_FREE_AT, // heap_free(argument), whatever it is
	HEAPS_CHURN,   // argument times: up to CHURN_MOST blocks of about `second` bytes at most are taken, marked, looked at and freed
};

#define CHURN_MOST 48
#define STAMP      1 // in `touch`

static struct heap *heap;

static uint64_t create(const struct call *call)
{
	char name[17] = "";
	__builtin_memcpy(name, &call->second, 8);
	__builtin_memcpy(name + 8, &call->third, 8);
	const struct heap_ops *ops = heap_named(name);
	void *arena = port_reserve(call->argument);
	heap = ops && arena ? heap_create(ops, arena, call->argument) : NULL;
	return (uint64_t)heap;
}

// ---- marks: a block's first and last eight bytes say who owns it

static bool can_stamp(uint64_t block, uint64_t bytes) // the judge says what is wrong with other addresses
{
	bool linear = block >= port_linear && may_mark(block - port_linear, bytes);
	bool mapped = block >= MAP_VMALLOC_START && block - MAP_VMALLOC_START < MAP_VMALLOC_BYTES;
	return block % 8 == 0 && bytes >= 16 && (linear || mapped);
}

static uint64_t *last_word(uint64_t block, uint64_t bytes)
{
	return (uint64_t *)(block + (bytes - 8) / 8 * 8);
}

static void stamp(uint64_t block, uint64_t bytes, uint64_t mine)
{
	if (can_stamp(block, bytes))
		*(uint64_t *)block = *last_word(block, bytes) = block ^ mine << 40;
}

static bool is_stamped(uint64_t block, uint64_t bytes, uint64_t mine)
{
	uint64_t mark = block ^ mine << 40;
	return !can_stamp(block, bytes) || (*(uint64_t *)block == mark && *last_word(block, bytes) == mark);
}

// ---- many calls in one, for several harts at once: nothing slows them down but the heap

static uint64_t churn_once(unsigned count, uint64_t most, uint64_t random)
{
	uint64_t held[CHURN_MOST], bytes[CHURN_MOST], broken = 0;
	unsigned got = 0;
	for (; got < count; got++) {
		random = random * 6364136223846793005 + 1442695040888963407;
		bytes[got] = 16 + (random >> 33) % most;
		held[got] = (uint64_t)heap_alloc(heap, bytes[got]);
		if (!held[got])
			break;
		if (!can_stamp(held[got], bytes[got]))
			return 1;
		stamp(held[got], bytes[got], random >> 40);
		bytes[got] |= random >> 40 << 40; // the mark
	}
	for (unsigned i = 0; i < got; i++) { // every second one from the top, the others from the bottom
		unsigned which = i % 2 ? i / 2 : got - 1 - i / 2;
		broken += !is_stamped(held[which], bytes[which] << 24 >> 24, bytes[which] >> 40);
		heap_free(heap, (void *)held[which]);
	}
	return broken;
}

static uint64_t churn(const struct call *call)
{
	uint64_t broken = 0, random = this_cpu()->number * 0x9e3779b97f4a7c15 + call->slot + 1;
	for (uint64_t times = call->argument; times > 0; times--) {
		random = random * 6364136223846793005 + 1442695040888963407;
		broken += churn_once(1 + (unsigned)(random >> 33) % CHURN_MOST, call->second, random);
	}
	return broken;
}

// ---- one call

static uint64_t on_slot(const struct call *call, void *block)
{
	switch (call->op) {
	case HEAPS_FREE:
		heap_free(heap, block);
		return 0;
	case HEAPS_REALLOC:
		return (uint64_t)heap_realloc(heap, block, call->argument);
	default:
		return heap_usable(heap, block);
	}
}

static uint64_t perform(const struct call *call, const uint64_t *slot)
{
	switch (call->op) {
	case HEAPS_CREATE:
		return create(call);
	case HEAPS_ALLOC:
		return (uint64_t)heap_alloc(heap, call->argument);
	case HEAPS_ALIGNED:
		return (uint64_t)heap_alloc_aligned(heap, call->argument, call->second);
	case HEAPS_ZEROED:
		return (uint64_t)heap_alloc_zeroed(heap, call->second, call->third);
	case HEAPS_TRIM:
		heap_trim(heap);
		return 0;
	case HEAPS_FREE_AT:
		heap_free(heap, (void *)call->argument);
		return 0;
	case HEAPS_CHURN:
		return churn(call);
	default:
		return *slot ? on_slot(call, (void *)*slot) : CALL_SKIPPED;
	}
}

static uint32_t before(const struct call *call, const uint64_t *slot)
{
	bool looks = call->touch & STAMP && call->op == HEAPS_FREE && *slot;
	return looks && !is_stamped(*slot, call->argument, call->slot) ? ODD_STAMP : 0;
}

static void after(const struct call *call, uint64_t *slot, uint64_t value)
{
	bool allocates = call->op == HEAPS_ALLOC || call->op == HEAPS_ALIGNED || call->op == HEAPS_ZEROED;
	if (allocates || (call->op == HEAPS_REALLOC && value && value != CALL_SKIPPED))
		*slot = value;
	if (allocates && call->touch & STAMP && value)
		stamp(value, call->argument, call->slot);
}

const struct subject subject_heaps = { before, perform, after };
