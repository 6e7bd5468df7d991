// port.h: all that the memory manager asks of the world around it.
//
//      kernel/port.c        mm/host/port.c        user/port.c
//            \                    |                   /
//             `--------------- port.h --------------'
//                                 |
//                      every other file of mm/
//
// The kernel, the host's tests and user programs each link a port.c of their own. Nothing else of them is visible from here,
// so that each allocator runs unmodified in all three. A port that has no use for a function leaves it out: the linker takes
// only the mm files that a program needs.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef PORT_MAX_CPUS
#define PORT_MAX_CPUS 16 // the most CPUs that per-CPU arrays have room for
#endif
#ifndef PORT_SHARED_CPU
#define PORT_SHARED_CPU PORT_MAX_CPUS // the number, if any, that stands for several CPUs at once: it gets no magazines
#endif
#ifndef PORT_STOCK_OBJECTS // how much of each kind of object a CPU may keep for itself, and the least order of a slab's pages:
#define PORT_STOCK_OBJECTS 31u // less memory for a kernel, less time for a program
#define PORT_STOCK_BYTES   8192u
#define PORT_DEPOT_OBJECTS 62u // and all CPUs together, on top of that
#define PORT_DEPOT_BYTES   16384u
#define PORT_SLAB_ORDER    0u
#endif
#ifndef PORT_WATCHED // 1: by ThreadSanitizer, which cannot follow port_barrier, nor that what a pointer leads to is read after it
#define PORT_WATCHED 0
#endif
#ifndef PORT_BIT_TABLES
#define PORT_BIT_TABLES 0 // 1: the machine has no instruction that finds a word's lowest or highest bit: see bits.h
#endif
#ifndef PORT_FRAMELESS // of functions whose calls are all tail calls: they are in no backtrace, so that a frame would be for nothing
#define PORT_FRAMELESS
#endif

// Reports that a rule was broken, with the address it was broken at, and does not return.
// `rule` is one sentence for a person, such as "page_free: the page is free already".
_Noreturn void port_panic(const char *rule, uintptr_t where);

// A spinlock. Zero it to make it ready, with a name for reports. The port decides how to wait and may detect misuse.
struct lock {
	uint32_t held;   // 1 while held
	uint32_t holder; // CPU number + 1 of the holder, 0 when free
	const char *name;
};

// Takes the lock; on a kernel, interrupts stay off until it is released. Taking a lock twice panics.
void lock_acquire(struct lock *lock);

// Releases a lock that this CPU holds; panics when it does not.
void lock_release(struct lock *lock);

// A stay on one CPU: between port_pin and port_unpin the running code is neither moved to another CPU nor interrupted,
// so it owns that CPU's data. Pins nest. Both members come back in registers on RISC-V.
struct pin {
	uintptr_t cpu;   // number of this CPU, 0 .. PORT_MAX_CPUS - 1
	uintptr_t saved; // for port_unpin
};
#ifdef PORT_PIN // a header of the port's that defines them inline: a call costs more than the pin itself
#include PORT_PIN
#else
struct pin port_pin(void);
void port_unpin(struct pin pin);
#endif

// Where this CPU, which is pinned, keeps a pointer for the slab heap: what kmem_no_stocks says at first. A port may have a near place.
#ifndef PORT_STOCKS
#define PORT_STOCKS(pin) slab_rows[(pin).cpu]
extern struct stock *slab_rows[PORT_MAX_CPUS];
#endif

// Returns when every other CPU has passed a full memory barrier since the call: what it wrote before is seen here then, and what was
// written here before the call is seen there.
void port_barrier(void);

// Physical memory is visible at `physical address + port_linear`: the kernel's linear map, or an arena on the host.
extern uintptr_t port_linear;

// Memory for a heap that needs to grow: `bytes` (a multiple of 4096) of zeroed or dirty memory, aligned to 4096 bytes;
// NULL when there is none. port_release takes back exactly what port_reserve gave.
void *port_reserve(size_t bytes);
void port_release(void *start, size_t bytes);

// Addresses without memory, for a heap that wants each touch of a dead place to fault: `bytes` (a multiple of 4096) of them, for good.
// NULL: there are none, or this port cannot protect memory. Between map and unmap a part of them, whole pages, has memory (dirty); false:
// there is none left. After unmap a touch faults again at the instruction that does it, on every CPU.
void *port_window(size_t bytes);
bool port_window_map(void *start, size_t bytes);
void port_window_unmap(void *start, size_t bytes);

// Forgets cached translations of `pages` pages from virtual address `start` under address-space number `asid`, on each CPU
// whose bit is set in `cpus`; returns when all of them have. asid PORT_KERNEL_ASID means mappings shared by all spaces.
#define PORT_KERNEL_ASID UINT32_MAX
void port_flush(uint32_t asid, uint32_t cpus, uintptr_t start, size_t pages);

// In a kernel built with SAN=address the entries of heap and page tell the sanitizer which bytes are alive; elsewhere these are nothing.
// `room` is all that the block has, `bytes` what was asked for; PORT_REDZONE bytes are asked on top of each heap block.
#ifdef MM_SANITIZE
#define PORT_REDZONE 16u
void port_shadow_alloc(void *block, size_t bytes, size_t room);
void port_shadow_free(void *block, size_t room);
void port_shadow_pages(void *start, size_t bytes, bool alive);
size_t port_shadow_bytes(const void *block); // bytes alive from here on
#else
#define PORT_REDZONE 0u
#define port_shadow_alloc(block, bytes, room)    ((void)(block), (void)(bytes), (void)(room))
#define port_shadow_free(block, room)            ((void)(block), (void)(room))
#define port_shadow_pages(start, bytes, alive)   ((void)(start), (void)(bytes), (void)(alive))
#define port_shadow_bytes(block)                 ((void)(block), (size_t)0)
#endif
