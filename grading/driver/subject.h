// subject.h: what the driver needs of a subject, a part of the memory manager that is judged: how its calls are made.
//
// Calls number CALL_GROUP * n to CALL_GROUP * n + 31 are those of subject n in the list SUBJECTS (main.c); group 0 is the driver's own.
#pragma once

#include "kernel/boot/map.h"
#include "mm/addr.h"

#include "grading/driver/mailbox.h"

struct subject {
	// Before the call is made and counted: ODD_ bits of what is wrong already. May be NULL.
	uint32_t (*before)(const struct call *call, const uint64_t *slot);
	// Makes the call; `slot` is the call's own in the table of slots, which it does not change. Returns the call's value.
	uint64_t (*perform)(const struct call *call, const uint64_t *slot);
	// After it: keeps the value in the slot, where it belongs there. May be NULL.
	void (*after)(const struct call *call, uint64_t *slot, uint64_t value);
};

// Whether this can be memory that somebody was given, for the driver to write marks into: RAM lies on both sides of the kernel.
static inline bool may_mark(uint64_t physical, uint64_t bytes)
{
	bool is_kernel = physical + bytes > pa_of(kernel_start).raw && physical < pa_of(kernel_end).raw;
	return physical >= 0x80000000 && physical < MAP_LINEAR_BYTES && !is_kernel;
}

extern const struct subject subject_pages, subject_heaps, subject_tables, subject_boot;
