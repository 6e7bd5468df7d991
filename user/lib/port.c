// port.c: what mm's heaps ask of the world, answered for a program: memory is the end of the heap, a broken rule ends the program, and with
// one thread in a process a lock has nobody to keep out.

#include "kernel/vm.h"
#include "mm/port.h"
#include "user/quire.h"

_Noreturn void port_panic(const char *rule, uintptr_t where)
{
	die("malloc: %s (at 0x%lx)", rule, where);
}

void lock_acquire(struct lock *lock)
{
	if (lock->held)
		port_panic("lock: taken twice", (uintptr_t)lock);
	lock->held = 1;
}

void lock_release(struct lock *lock)
{
	lock->held = 0;
}

struct pin port_pin(void)
{
	return (struct pin){ 0 };
}

void port_unpin(struct pin pin)
{
	(void)pin;
}

// Eagerly, so that malloc can answer NULL: a page that is not there at its first touch would end the program instead. The program may have
// moved the end of its heap to an odd place by itself.
void *port_reserve(size_t bytes)
{
	uint64 odd = (uint64)sbrk(0) % 4096;
	char *start;

	if (bytes > 0x7fffffff - 4096)
		return NULL;
	if (odd && sbrk((int)(4096 - odd)) == SBRK_ERROR)
		return NULL;
	start = sys_sbrk((int)bytes, SBRK_EAGER);
	return start == SBRK_ERROR ? NULL : start;
}

// Only the last piece can go back to the kernel; others stay with the process until it ends.
void port_release(void *start, size_t bytes)
{
	if ((char *)start + bytes == sbrk(0))
		sbrk(-(int)bytes);
}

// For heaps that stand on pages: the program's own page allocator (mm/page.h) is given addresses as they are. There is no other CPU whose
// writes could be late, and no way to map a page by hand: mmap knows no place that is kept free.
uintptr_t port_linear;

void port_barrier(void)
{
}

void port_flush(uint32_t asid, uint32_t cpus, uintptr_t start, size_t pages)
{
	(void)asid, (void)cpus, (void)start, (void)pages;
}

void *port_window(size_t bytes)
{
	(void)bytes;
	return NULL;
}

bool port_window_map(void *start, size_t bytes)
{
	(void)bytes;
	port_panic("port_window_map: there are no windows", (uintptr_t)start);
}

void port_window_unmap(void *start, size_t bytes)
{
	(void)bytes;
	port_panic("port_window_unmap: there are no windows", (uintptr_t)start);
}
