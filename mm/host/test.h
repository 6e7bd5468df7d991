// test.h: host tests register themselves, are run one process each, and print their seed when they fail.
//
//	TEST(page_exhaustion) { ... EXPECT(count == total); ... }
//
// Link with -Wl,--wrap=page_alloc, so that host_fail_after reaches page_alloc. A panic that EXPECT_PANIC caught lets go of its thread's
// locks.
// EXPECT ends the test at the first false condition, with file, line and seed. `random_below` draws from the test's own seeded stream.
// EXPECT_PANIC(rule, statement): the statement must call port_panic with a rule that contains `rule`.
#pragma once

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "../memblock.h"

struct test {
	const char *name, *file;
	void (*run)(void);
	struct test *next;
};
void test_register(struct test *test);
_Noreturn void test_fail(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));

uint64_t random_next(void);                // the test's stream, from --seed and its name
uint64_t random_below(uint64_t limit);     // 0 .. limit - 1

#define TEST(id)                                                                               \
	static void test_##id(void);                                                           \
	__attribute__((constructor)) static void register_##id(void)                           \
	{                                                                                      \
		static struct test test = { #id, __FILE__, test_##id, NULL };                  \
		test_register(&test);                                                          \
	}                                                                                      \
	static void test_##id(void)

#define EXPECT(condition)                                                                      \
	do {                                                                                   \
		if (!(condition))                                                              \
			test_fail(__FILE__, __LINE__, "expected: %s", #condition);             \
	} while (0)

// The same in the words of a format: "what is, expected what should be".
#define EXPECT_SO(condition, ...)                                                              \
	do {                                                                                   \
		if (!(condition))                                                              \
			test_fail(__FILE__, __LINE__, __VA_ARGS__);                            \
	} while (0)

#define EXPECT_EQ(a, b)                                                                        \
	do {                                                                                   \
		unsigned long long a_ = (unsigned long long)(a), b_ = (unsigned long long)(b); \
		if (a_ != b_)                                                                  \
			test_fail(__FILE__, __LINE__, "%s is %llu (0x%llx), expected %s = %llu (0x%llx)", #a, a_, a_, #b, b_, b_); \
	} while (0)

// Expects that check() says exactly `id` (NULL: that all holds).
#define EXPECT_VERDICT(answer, id)                                                             \
	do {                                                                                   \
		struct verdict v_ = (answer);                                                  \
		const char *id_ = (id);                                                        \
		if ((v_.broken == NULL) != (id_ == NULL) || (id_ && strcmp(v_.broken, id_)))   \
			test_fail(__FILE__, __LINE__, "check says %s at %#lx, expected %s",    \
				  v_.broken ? v_.broken : "all holds", (unsigned long)v_.where, id_ ? id_ : "all holds"); \
	} while (0)

extern sigjmp_buf *panic_jump;    // while set, port_panic comes back here
extern char panic_rule[256];      // the last panic's rule

#define EXPECT_PANIC(rule, statement)                                                          \
	do {                                                                                   \
		sigjmp_buf jump_;                                                              \
		if (sigsetjmp(jump_, 0) == 0) {                                                \
			panic_jump = &jump_;                                                   \
			statement;                                                             \
			panic_jump = NULL;                                                     \
			test_fail(__FILE__, __LINE__, "expected a panic: %s", rule);           \
		}                                                                              \
		panic_jump = NULL;                                                             \
		if (!strstr(panic_rule, rule))                                                 \
			test_fail(__FILE__, __LINE__, "panic says \"%s\", expected \"%s\"", panic_rule, rule); \
	} while (0)

// The host's port (mm/host/port.c): simulated RAM at the physical addresses of a real machine, and the faults to inject.
void host_reset(void);                                             // forgets all RAM, unlocks everything, CPU 0
// Backs [start, start + bytes) with memory and adds it to mb, if any; within 16 GiB of physical space.
void host_ram(uint64_t start, uint64_t bytes, struct memblock *mb);
void host_fail_after(uint64_t n); // the n-th port_reserve or page-allocating call from now fails, and all after it; UINT64_MAX: none
void host_cpu(unsigned cpu);      // the CPU that this thread now is
uint64_t host_flushes(void);      // calls of port_flush so far
uint64_t host_allocations(void);  // calls that host_fail_after counted since it was last called
size_t host_reserved(void);       // bytes that port_reserve and port_window_map gave and nobody took back
extern void (*host_flush_hook)(uint32_t asid, uint32_t cpus, uintptr_t start, size_t pages); // sees each port_flush; NULL: none
extern void *(*host_reserve_hook)(size_t bytes); // answers port_reserve, and the other takes back, where a test says where memory lies
extern void (*host_release_hook)(void *start, size_t bytes);
extern void (*host_panic_report)(const char *rule, uintptr_t where); // told of a panic that no EXPECT_PANIC waits for; then abort()
