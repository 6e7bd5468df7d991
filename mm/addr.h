// addr.h: physical addresses, virtual addresses and page-table entries as types that do not mix; Sv39 drawn as bits.
//
//   virtual address (39 bits, sign-extended)        63     39 38    30 29    21 20    12 11         0
//                                                   [ = bit 38 | index 2 | index 1 | index 0 | offset ]
//
//   page-table entry       63 62..61  60..54   53                      10  9 8  7 6 5 4 3 2 1 0
//                          [N|PBMT |reserved | physical page number      | RSW |D|A|G|U|X|W|R|V]
//
//   A leaf (R or X set) may stand at level 0 (4 KiB), 1 (2 MiB) or 2 (1 GiB); an entry with R = W = X = 0 points to the next table.
//   Source: The RISC-V Instruction Set Manual, Volume II: Privileged Architecture, section "Sv39".
//
// This is all that mm knows of RISC-V, but that some of its processors cannot count bits (bits.h).
#pragma once

#include "port.h"

#define PAGE_SHIFT 12u
#define PAGE_BYTES ((size_t)1 << PAGE_SHIFT)

typedef struct {
	uint64_t raw;
} pa_t; // a physical address
typedef struct {
	uint64_t raw;
} va_t; // a virtual address
typedef struct {
	uint64_t raw;
} pte_t; // a page-table entry

#define PA(address) ((pa_t){ (address) })
#define VA(address) ((va_t){ (address) })
#define PA_NONE     PA(0) // no page: physical address 0 is never handed out

static inline bool pa_is_none(pa_t pa)
{
	return pa.raw == 0;
}

// Where the running code sees a physical address, and back.
static inline void *pa_pointer(pa_t pa)
{
	return (void *)((uintptr_t)pa.raw + port_linear);
}

static inline pa_t pa_of(const void *pointer)
{
	return PA((uintptr_t)pointer - port_linear);
}

static inline uint64_t round_down(uint64_t value, uint64_t unit) // unit: a power of two
{
	return value & ~(unit - 1);
}

static inline uint64_t round_up(uint64_t value, uint64_t unit)
{
	return (value + unit - 1) & ~(unit - 1);
}

static inline bool is_aligned(uint64_t value, uint64_t unit)
{
	return (value & (unit - 1)) == 0;
}

// Entry bits.
#define PTE_V   0x001u // valid
#define PTE_R   0x002u
#define PTE_W   0x004u
#define PTE_X   0x008u
#define PTE_U   0x010u // user mode may use it, and supervisor mode may not
#define PTE_G   0x020u // the same in every address space
#define PTE_A   0x040u // accessed
#define PTE_D   0x080u // written
#define PTE_COW 0x100u // software: writable by its area, but the page is shared: copy before the first write
#define PTE_DIRTY 0x200u // software: a shared file page that was written through this mapping
#define PTE_PERMISSIONS (PTE_R | PTE_W | PTE_X | PTE_U | PTE_G)

#define TABLE_ENTRIES 512u
#define TABLE_LEVELS  3u

static inline size_t level_bytes(unsigned level) // bytes that a leaf at this level maps: 4 KiB, 2 MiB, 1 GiB
{
	return PAGE_BYTES << (9 * level);
}

static inline unsigned va_index(va_t va, unsigned level)
{
	return (unsigned)(va.raw >> (PAGE_SHIFT + 9 * level)) & (TABLE_ENTRIES - 1);
}

static inline bool va_is_canonical(va_t va) // bits 63..39 repeat bit 38
{
	return (uint64_t)((int64_t)(va.raw << 25) >> 25) == va.raw;
}

static inline pte_t pte_make(pa_t pa, uint64_t bits)
{
	return (pte_t){ pa.raw >> PAGE_SHIFT << 10 | bits };
}

static inline pa_t pte_pa(pte_t pte)
{
	return PA((pte.raw >> 10 & 0xfffffffffffULL) << PAGE_SHIFT);
}

static inline bool pte_is_valid(pte_t pte)
{
	return pte.raw & PTE_V;
}

static inline bool pte_is_leaf(pte_t pte)
{
	return (pte.raw & PTE_V) && (pte.raw & (PTE_R | PTE_X));
}

static inline bool pte_is_pointer(pte_t pte) // to the next table
{
	return (pte.raw & (PTE_V | PTE_R | PTE_X)) == PTE_V;
}
