// translation.h: which page table a hart translates through: satp, ASIDs and the kernel's own table.
#pragma once

#include "mm/table.h"

// The kernel's own table: its upper half is in every space. Harts that run no process translate through it.
extern struct table kernel_table;

// This hart translates user addresses through `table` from now on. Gives the table an ASID when it has none (or one from before the numbers
// were used up), notes the hart in table->cpus. Cheap when the hart does so already. Interrupts are off.
void translation_enter(struct table *table);

// This hart translates through the kernel's own table: an idle hart must, since the table of the process that ran last may be freed,
// and so must a process before it destroys its own space.
void translation_leave(void);

// Finds out how many ASID bits the harts have; at most `limit` numbers are used (0: none, the TLB is flushed at each switch).
void translation_init(uint32_t limit);
uint32_t translation_asids(void); // numbers in use, 0 when the machine has none
