// thread_shadow.h: the record of who touched memory last: what each access is compared with.
#pragma once

#include <stddef.h>
#include <stdint.h>

// An access, and what a shadow cell holds of one; 0: none.
//
//	63          30 29         14  13     12    11..8   7..0
//	[ moment      | stack       |plain |write | hart | bytes of the eight that it touches ]
//
// `plain`: neither atomic nor volatile.
#define ACCESS_BYTES        0xffUL
#define ACCESS_HART_SHIFT   8
#define ACCESS_WRITE        (1UL << 12)
#define ACCESS_PLAIN        (1UL << 13)
#define ACCESS_STACK_SHIFT  14
#define ACCESS_STACKS       (1u << 16)
#define ACCESS_MOMENT_SHIFT 30

// This hart touches [address, address + bytes); kind: ACCESS_WRITE, ACCESS_PLAIN, both or 0. `pc`: where the instrumented code called.
void shadow_touch(uint64_t address, size_t bytes, uint64_t kind, uint64_t pc);
