// syscall_memory.c: the system calls that change the caller's address space: sbrk, mmap, munmap, mprotect.
//
// They check what is the interface's business (flags, alignment, the file's mode) and leave overlaps and what an area may become to
// mm/space. The protection bits of mmap are, by choice of their values, mm's access bits.
#include "kernel/process/syscall.h"

#include "kernel/fcntl.h"
#include "kernel/fs/file.h"
#include "kernel/param.h"
#include "kernel/vm.h"
#include "mm/page.h"

_Static_assert(PROT_READ == ACCESS_READ && PROT_WRITE == ACCESS_WRITE && PROT_EXEC == ACCESS_EXECUTE, "PROT_ bits are access bits");
_Static_assert(USERSTACK * PAGE_BYTES == SPACE_STACK_MAX, "USERSTACK is what the stack may grow to");

// Makes what sbrk just added present; when there is not enough memory, takes it back.
static __attribute__((noinline)) int64_t touch_or_undo(struct space *space, uint64_t old, int64_t delta)
{
	uint64_t ignored;

	if (space_touch(space, old, (uint64_t)delta, ACCESS_WRITE) == SPACE_OK)
		return (int64_t)old;
	if (space_sbrk(space, -delta, &ignored) != SPACE_OK)
		__atomic_store_n(&process_current()->killed, true, __ATOMIC_RELAXED);
	return -1;
}

// Whether a heap of so many bytes may grow by `delta` without being more than the machine has; one that sbrklazy has made more than that
// already may grow by as much again.
static bool within_bounds(uint64_t bytes, uint64_t delta)
{
	uint64_t all = (uint64_t)page_total_count() * PAGE_BYTES;

	return bytes + delta <= all || (bytes > all && delta <= all);
}

int64_t call_sbrk(const uint64_t *a)
{
	struct space *space = &process_current()->space;
	int64_t delta = (int64_t)a[0];
	uint64_t old;

	if (delta < 0 && 0 - (uint64_t)delta > space->heap_end)
		return (int64_t)space->heap_end; // to below address 0: nothing changes and nothing is wrong, as in xv6
	if (delta > 0 && (int)a[1] != SBRK_LAZY && !within_bounds(space->heap_end - space->heap_start, (uint64_t)delta))
		return -1;
	if (space_sbrk(space, delta, &old) != SPACE_OK)
		return -1;
	if (delta > 0 && (int)a[1] == SBRK_EAGER)
		return touch_or_undo(space, old, delta);
	return (int64_t)old;
}

// Rights for mm; the machine has no pages that can be written but not read.
static unsigned rights_of(int protection)
{
	return (unsigned)protection | (protection & PROT_WRITE ? ACCESS_READ : 0u);
}

static bool arguments_are_good(const uint64_t *a)
{
	int protection = (int)a[2], flags = (int)a[3], kind = flags & (MAP_SHARED | MAP_PRIVATE);
	bool fixed = flags & MAP_FIXED;

	if (a[1] == 0 || a[1] > SPACE_END || (protection & ~(PROT_READ | PROT_WRITE | PROT_EXEC)))
		return false;
	if ((kind != MAP_SHARED && kind != MAP_PRIVATE) || (flags & ~(MAP_SHARED | MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS)))
		return false;
	if (fixed && (!is_aligned(a[0], PAGE_BYTES) || a[0] >= PROGRAM_TOP || a[1] > PROGRAM_TOP - a[0]))
		return false;
	return (flags & MAP_ANONYMOUS) || (is_aligned(a[5], PAGE_BYTES) && a[5] <= (uint64_t)INT64_MAX - SPACE_END);
}

int64_t call_mmap(const uint64_t *a)
{
	struct space *space = &process_current()->space;
	int flags = (int)a[3];
	bool shared = flags & MAP_SHARED, anonymous = flags & MAP_ANONYMOUS;
	uint64_t bytes = round_up(a[1], PAGE_BYTES), offset = anonymous ? 0 : a[5], place = a[0];
	struct source *source = NULL;
	enum space_result result;

	if (!arguments_are_good(a))
		return -1;
	unsigned rights = rights_of((int)a[2]);
	if (!anonymous) {
		struct file *file = file_of(a[4]);
		source = file ? file_source(file, shared, rights & ACCESS_WRITE) : NULL;
		if (!source)
			return -1;
	}
	if (flags & MAP_FIXED)
		result = space_add(space, place, bytes, AREA_MAPPING, rights, shared, source, offset, source ? bytes : 0);
	else
		result = space_map(space, round_down(place, PAGE_BYTES), bytes, rights, shared, source, offset, &place);
	if (source)
		source->ops->put(source);
	return result == SPACE_OK ? (int64_t)place : -1;
}

static bool range_is_good(uint64_t start, uint64_t bytes)
{
	return is_aligned(start, PAGE_BYTES) && start < SPACE_END && bytes > 0 && bytes <= SPACE_END - start;
}

int64_t call_munmap(const uint64_t *a)
{
	if (!range_is_good(a[0], a[1]))
		return -1;
	return result_of(space_unmap(&process_current()->space, a[0], round_up(a[1], PAGE_BYTES)));
}

int64_t call_mprotect(const uint64_t *a)
{
	int protection = (int)a[2];

	if (!range_is_good(a[0], a[1]) || (protection & ~(PROT_READ | PROT_WRITE | PROT_EXEC)))
		return -1;
	return result_of(space_protect(&process_current()->space, a[0], round_up(a[1], PAGE_BYTES), rights_of(protection)));
}
