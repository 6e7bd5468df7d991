// port.c: what the memory manager asks of the kernel: panics, memory for heaps, where physical memory is seen.
//
// Locks and pins are in machine/lock.c, port_flush is in machine/translation.c.
//
// port_reserve hands out blocks of pages, whole powers of two, up to the largest block that the page engine has: a heap's region is
// contiguous in physical memory, too, and needs no mapping of its own. Windows are vmalloc's.
#include "mm/port.h"

#include "kernel/machine/panic.h"
#include "mm/page.h"
#include "mm/vmalloc.h"

uintptr_t port_linear = 0xffffffc000000000;

void port_panic(const char *rule, uintptr_t where)
{
	panic("%s (at 0x%lx)", rule, where);
}

static unsigned order_for(size_t bytes)
{
	unsigned order = 0;
	while (order <= PAGE_MAX_ORDER && PAGE_BYTES << order < bytes)
		order++;
	return order;
}

void *port_reserve(size_t bytes)
{
	unsigned order = order_for(bytes);
	if (bytes == 0 || order > PAGE_MAX_ORDER)
		return NULL;
	pa_t block = page_alloc(order, PAGE_KERNEL);
	return pa_is_none(block) ? NULL : pa_pointer(block);
}

void port_release(void *start, size_t bytes)
{
	(void)bytes; // the page's record knows its order
	page_free(pa_of(start));
}

void *port_window(size_t bytes)
{
	return vmalloc_window(bytes);
}

bool port_window_map(void *start, size_t bytes)
{
	return vmalloc_window_map(start, bytes);
}

void port_window_unmap(void *start, size_t bytes)
{
	vmalloc_window_unmap(start, bytes);
}
