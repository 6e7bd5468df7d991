// barrier.c: port_barrier on the host: every thread of this process passes a full memory barrier.
//
// Linux has a system call for it (membarrier(2)). Where that is refused, a page that becomes read-only makes the system interrupt every
// processor that runs this process, as liburcu does it.
#include <linux/membarrier.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../port.h"

#define PAGE 4096

void port_barrier(void)
{
	static volatile char page[PAGE] __attribute__((aligned(PAGE)));
	static atomic_bool registered;

	if (!atomic_load(&registered))
		atomic_store(&registered, syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0) == 0);
	if (atomic_load(&registered) && syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0) == 0)
		return;
	if (mprotect((void *)(uintptr_t)page, PAGE, PROT_READ | PROT_WRITE))
		port_panic("port_barrier: mprotect failed", (uintptr_t)page);
	page[0]++;
	if (mprotect((void *)(uintptr_t)page, PAGE, PROT_READ))
		port_panic("port_barrier: mprotect failed", (uintptr_t)page);
}
