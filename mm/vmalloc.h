// vmalloc.h: virtually contiguous kernel memory out of scattered pages, with an unmapped guard page after each block.
#pragma once

#include "table.h"

// The range of kernel addresses that blocks are placed in; `table` is the kernel's own. False when there is no memory.
bool vmalloc_init(struct table *kernel, va_t start, uint64_t bytes) __attribute__((warn_unused_result));

// `bytes` (rounded up to pages) of dirty memory; NULL when there is none. The pages below and above are unmapped.
void *vmalloc(size_t bytes) __attribute__((warn_unused_result));
// Panics when `block` is not one that vmalloc returned.
void vfree(void *block);
// Bytes of the block that starts here, 0 when none does.
size_t vmalloc_bytes(const void *block);
// `bytes` (whole pages) of addresses without memory, for good; NULL when there are none. What port_window promises is done with these:
// map gives a part of them fresh pages (false: there are none left), unmap takes them back and flushes.
void *vmalloc_window(size_t bytes) __attribute__((warn_unused_result));
bool vmalloc_window_map(void *start, size_t bytes) __attribute__((warn_unused_result));
void vmalloc_window_unmap(void *start, size_t bytes);
// Pages in all blocks: a walk over them.
size_t vmalloc_pages(void);
struct verdict vmalloc_check(void);
