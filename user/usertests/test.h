// test.h: how a test is written: TEST(name) { ... } registers itself; a CHECK that does not hold ends it and says where and why.
//
// Each test runs in a process of its own, in an empty directory /ut of its own, with only 0, 1 and 2 open. It leaves no files, no processes
// and no memory behind: main.c checks all three.
#pragma once

#include <stdbool.h>

#include "kernel/fcntl.h"
#include "kernel/fs.h"
#include "kernel/memlayout.h"
#include "kernel/param.h"
#include "kernel/stat.h"
#include "user/quire.h"

#define PAGE 4096
#define MB   (1 << 20)

struct test {
	const char *name;
	void (*run)(void);
	bool slow; // left out by usertests -q
};

#define REGISTER(id, is_slow)                                                                                    \
	static void id(void);                                                                                    \
	static const struct test test_##id = { #id, id, is_slow };                                               \
	static const struct test *const entry_##id __attribute__((section(".tests"), used, no_reorder)) =               \
		&test_##id;                                                                                      \
	static void id(void)
#define TEST(id)      REGISTER(id, false)
#define SLOW_TEST(id) REGISTER(id, true)

// Ends the process with status 1 and a message that says where.
_Noreturn void fail_at(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));

#define FAIL(...) fail_at(__FILE__, __LINE__, __VA_ARGS__)
#define CHECK(condition)                                          \
	do {                                                      \
		if (!(condition))                                 \
			FAIL("does not hold: %s", #condition);    \
	} while (0)
#define EXPECT(actual, expected)                                                              \
	do {                                                                                  \
		long actual_ = (long)(actual), expected_ = (long)(expected);                  \
		if (actual_ != expected_)                                                     \
			FAIL("%s is %ld, expected %ld", #actual, actual_, expected_);         \
	} while (0)

// Children.
int start(void (*run)(void *), void *argument);     // pid; its status is 0 when run returns
int status_of(void (*run)(void *), void *argument); // start, then its status
void reap(int count);                               // waits for `count` children; each must end with status 0
int fork_or_fail(void);                             // fork that must succeed
#define EXPECT_KILLED(run, argument) EXPECT(status_of(run, argument), -1)

// Memory.
extern const uint64 bad_addresses[]; // nothing of the program's is there; ended by 1
#define FOR_EACH_BAD(pointer)                                                                              \
	for (uint index_ = 0; bad_addresses[index_] != 1; index_++)                                        \
		for (void *pointer = (void *)bad_addresses[index_], *once_ = 0; !once_; once_ = (void *)1)
char *page_before_nothing(void); // start of a page that is followed by unmapped addresses; munmap it
uint64 free_pages(void);         // exact
void give_back(char *start);     // moves the end of the heap back to `start`
extern uint test_seed;           // printed at the end; -s gives it
uint random_number(void);        // the same sequence in each test, from test_seed
char *map_memory(uint64 bytes, int flags); // readable and writable, no file; flags: MAP_PRIVATE or MAP_SHARED
void look(void *address);                  // reads a byte
void touch(void *address);                 // writes one

// Files.
void write_file(const char *name, const void *bytes, int count); // made or overwritten
int read_whole(const char *name, char *to, int max);             // bytes read
bool exists(const char *name);
char pattern(uint seed, uint place);                             // byte of a test pattern
int lowest_descriptor(void);                                     // that is free
