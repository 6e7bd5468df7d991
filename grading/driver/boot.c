// boot.c: the subject "boot": calls of memblock, on a struct memblock of the driver's own, before page_init.
//
// Its ranges are numbers: nothing is read or written there, so they may lie anywhere in the address space. The judge reads both lists
// in memory, by the name boot_memblock.
#include "mm/memblock.h"

#include "grading/driver/subject.h"

enum {
	BOOT_CLEAR = CALL_BOOT, // forgets all ranges
	BOOT_ADD,               // memblock_add(argument, second)
	BOOT_RESERVE,           // memblock_reserve(argument, second)
	BOOT_ALLOC,             // memblock_alloc(argument, second)
	BOOT_ALLOC_HIGH,        // memblock_alloc_high(argument, second)
	BOOT_FREE,              // memblock_free(argument, second)
	BOOT_REWIND,            // the next BOOT_NEXT is the first
	BOOT_NEXT,              // memblock_next_free: the range's start; UINT64_MAX when there is no more
	BOOT_END,               // the end of the range that BOOT_NEXT found
	BOOT_MEMORY_BYTES,
	BOOT_FREE_BYTES,
};

struct memblock boot_memblock;
static uint64_t cursor;
static struct memblock_range range;

static uint64_t perform(const struct call *call, const uint64_t *slot)
{
	struct memblock *mb = &boot_memblock;
	pa_t start = PA(call->argument);
	(void)slot;
	switch (call->op) {
	case BOOT_CLEAR:
		*mb = (struct memblock){ 0 };
		return 0;
	case BOOT_ADD:
		return memblock_add(mb, start, call->second);
	case BOOT_RESERVE:
		return memblock_reserve(mb, start, call->second);
	case BOOT_ALLOC:
		return memblock_alloc(mb, call->argument, call->second).raw;
	case BOOT_ALLOC_HIGH:
		return memblock_alloc_high(mb, call->argument, call->second).raw;
	case BOOT_FREE:
		memblock_free(mb, start, call->second);
		return 0;
	case BOOT_REWIND:
		return cursor = 0;
	case BOOT_NEXT:
		return memblock_next_free(mb, &cursor, &range) ? range.start : UINT64_MAX;
	case BOOT_END:
		return range.end;
	case BOOT_MEMORY_BYTES:
		return memblock_memory_bytes(mb);
	default:
		return memblock_free_bytes(mb);
	}
}

const struct subject subject_boot = { .perform = perform };
