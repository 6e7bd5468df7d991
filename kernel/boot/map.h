// map.h: the kernel half of every address space.
//
//   0xffffffc000000000  MAP_LINEAR    physical memory and device registers at address + port_linear
//     + 0x80200000        the kernel: text R-X, rodata R--, data RW-; the page boot_stack_guard is left out
//   0xffffffe000000000  MAP_VMALLOC   kernel stacks and other blocks made of scattered pages
//
// Nothing of it has PTE_U; everything has PTE_G. No page can be both written and executed.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "mm/memblock.h"

#define MAP_USER_END      0x4000000000UL
#define MAP_LINEAR_BYTES  (128UL << 30)
#define MAP_VMALLOC_START 0xffffffe000000000UL
#define MAP_VMALLOC_BYTES (1UL << 30)

extern const char kernel_start[], kernel_text_end[], kernel_rodata_end[], kernel_end[];

// Builds kernel_table out of pages ; translation_init switches to it. NULL, or what went wrong, in words.
const char *kernel_map_init(const struct memblock_list *ram);
