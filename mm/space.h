// space.h: a process's address space: areas with permissions, and what a page fault in them means.
//
//    0        0x10000                                                      SPACE_STACK_TOP      SPACE_END
//    |  guard  |text|data|heap -> ............ <- mappings ..... <- stack |      guard         |
//
// A space belongs to one process with one thread: only that thread calls these functions (fork and exec included), so there is no
// lock in it; other harts read the counters only. Functions that take pages from a file may sleep: hold no spinlock.
#pragma once

#include "table.h"

#define SPACE_END       ((uint64_t)1 << 38)             // first address of user space's end: the lower half of Sv39
#define SPACE_STACK_TOP (SPACE_END - 16 * PAGE_BYTES)   // the stack grows down from here
#define SPACE_STACK_MAX ((uint64_t)8 << 20)             // bytes it may grow to

enum area_kind { AREA_TEXT, AREA_DATA, AREA_HEAP, AREA_STACK, AREA_MAPPING };

enum access { ACCESS_READ = 1, ACCESS_WRITE = 2, ACCESS_EXECUTE = 4 };

enum space_result {
	SPACE_OK,
	SPACE_NO_MEMORY, // no page, no table page or no area record
	SPACE_BAD,       // no area there, or not with these rights, or bad arguments
	SPACE_IO,        // the file behind it could not be read
};

// A file that stands behind an area. The kernel's file system provides it; the host's tests have one of their own.
struct source {
	const struct source_ops *ops;
};
struct source_ops {
	// One more / one less area uses the source.
	void (*get)(struct source *source);
	void (*put)(struct source *source);
	// Reads `bytes` bytes at `offset` into `to`; what lies past the file's end is zeroed. False on an I/O error.
	bool (*read)(struct source *source, uint64_t offset, void *to, size_t bytes);
	// The file's own cached page for the page-aligned `offset`, with a reference taken for the caller. For reading only (a
	// private area maps it without PTE_W); NULL op or PA_NONE: use `read`.
	pa_t (*borrow)(struct source *source, uint64_t offset);
	// As borrow, for a shared area: the file keeps this page in place until every `unpin`, whose `dirty` says that it was written.
	pa_t (*pin)(struct source *source, uint64_t offset);
	void (*unpin)(struct source *source, uint64_t offset, pa_t page, bool dirty);
};

struct area {
	struct area *next;       // in rising order of addresses
	uint64_t start, end;     // page-aligned
	uint8_t kind;            // enum area_kind
	uint8_t rights;          // enum access bits; ACCESS_WRITE brings ACCESS_READ with it
	uint8_t most;            // rights that space_protect may give it
	bool shared;             // writes go to the source (anonymous ones have one of mm's own: shared.h)
	struct source *source;   // NULL: zeroes
	uint64_t offset;         // of `start` in the source
	uint64_t source_bytes;   // bytes from `start` that come from the source; the rest is zero (a shared area: all)
};

struct space {
	struct table table;
	struct area *areas;
	struct area *recent;     // the area of the last fault
	uint64_t heap_start;     // program break range: [heap_start, heap_end), heap_end in bytes, not rounded
	uint64_t heap_end;
	size_t resident;         // pages mapped
};

// An empty space; its table's asid is the caller's to set. False when there is no memory. destroy: no CPU uses the table any more,
// nor will its asid be used before a flush; NULL and a destroyed space are allowed.
bool space_create(struct space *space, const struct table *kernel) __attribute__((warn_unused_result));
void space_destroy(struct space *space);

// Adds an area; bytes is rounded up to pages. Overlap, misalignment (offset: of a shared area) or addresses beyond SPACE_END: SPACE_BAD.
// Takes a reference to source (if any) on success. A shared area that cannot be written at first never can be (space_protect).
enum space_result space_add(struct space *space, uint64_t start, uint64_t bytes, enum area_kind kind, unsigned rights, bool shared,
			    struct source *source, uint64_t offset, uint64_t source_bytes) __attribute__((warn_unused_result));

// The fault decision: makes [va] accessible for `access` or says why not. Called by the trap handler and by the copies below.
enum space_result space_fault(struct space *space, uint64_t va, enum access access) __attribute__((warn_unused_result));

// A child's copy into an empty space: private pages become copy-on-write in both, shared ones stay shared. On failure `child` is empty
// again.
enum space_result space_fork(struct space *child, struct space *parent) __attribute__((warn_unused_result));

// Moves the program break by `delta` bytes, lazily. *old gets the break before. SPACE_BAD: below heap_start or into something else
// (the stack's range, at the latest); SPACE_NO_MEMORY: beyond SPACE_END, or no area record.
enum space_result space_sbrk(struct space *space, int64_t delta, uint64_t *old) __attribute__((warn_unused_result));

// mmap's heart: at `hint` when it is free, aligned and nonzero, else at the highest free place below the stack's reach. *out gets the
// address. SPACE_BAD: no bytes, or a misaligned offset. unmap: holes are allowed. protect: holes are SPACE_BAD, and nothing changes.
enum space_result space_map(struct space *space, uint64_t hint, uint64_t bytes, unsigned rights, bool shared, struct source *source,
			    uint64_t offset, uint64_t *out) __attribute__((warn_unused_result));
enum space_result space_unmap(struct space *space, uint64_t start, uint64_t bytes) __attribute__((warn_unused_result));
enum space_result space_protect(struct space *space, uint64_t start, uint64_t bytes, unsigned rights) __attribute__((warn_unused_result));

// Copies between the kernel and user memory, page by page, taking each fault as the user's own access would. On failure some leading
// bytes may have been copied; nothing to copy is SPACE_OK. copy_string: copies up to and including the NUL; SPACE_BAD when there is
// none within `max` bytes.
enum space_result space_copy_out(struct space *space, uint64_t to, const void *from, size_t bytes) __attribute__((warn_unused_result));
enum space_result space_copy_in(struct space *space, void *to, uint64_t from, size_t bytes) __attribute__((warn_unused_result));
enum space_result space_copy_string(struct space *space, char *to, uint64_t from, size_t max) __attribute__((warn_unused_result));

// Makes every page of a range present for `access` now, so that a copy_in/out of it that follows neither sleeps nor fails.
enum space_result space_touch(struct space *space, uint64_t start, uint64_t bytes, enum access access) __attribute__((warn_unused_result));

struct space_report {
	size_t resident, shared, tables, areas; // pages mapped, of those with more than one reference, table pages, areas
	uint64_t bytes;                         // address space in use
};
void space_report(const struct space *space, struct space_report *report);

struct verdict space_check(const struct space *space);
