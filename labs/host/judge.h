// judge.h: checks of a lab: each runs in a process of its own, and a failure says which rule was broken, where, and after which calls.
//
//	CHECK(split)
//	{
//		call("take(%u)", order);                  // before the call: it stands last in the report if the call never returns
//		uint32_t frame = take(order);
//		answer("%u", frame);
//		REQUIRE(frame % size == 0, frame, "A block is aligned to its size.",
//			SAY("a multiple of %u", size), SAY("%u", frame));
//	}
//
//     parent --fork--> child runs a check ----> a shared page: rule, expected, actual, place, last calls, map ----> one JSON object a line
//
// How many points a check has and to which step it belongs stands in the lab's manifest. A check that reaches a function which is
// still a hole ends there; it counts as one to be written.
#pragma once

#include "../../mm/host/test.h"

struct check {
	const char *name;
	void (*run)(void);
	struct check *next;
};
void check_register(struct check *check);

#define CHECK(id)                                                                              \
	static void check_##id(void);                                                          \
	__attribute__((constructor)) static void register_##id(void)                           \
	{                                                                                      \
		static struct check check = { #id, check_##id, NULL };                         \
		check_register(&check);                                                        \
	}                                                                                      \
	static void check_##id(void)

void call(const char *format, ...) __attribute__((format(printf, 1, 2)));   // notes a call that is about to be made
void answer(const char *format, ...) __attribute__((format(printf, 1, 2))); // notes what it returned

// Text for a report; in one of eight buffers that take turns.
const char *say(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define SAY(...) say(__VA_ARGS__)

// Ends the check. `place` is what the map is drawn around; NOWHERE: no map.
#define NOWHERE UINT64_MAX
_Noreturn void fail(const char *file, int line, uint64_t place, const char *rule, const char *expected, const char *actual);
#define REQUIRE(condition, place, rule, expected, actual)                                      \
	do {                                                                                   \
		if (!(condition))                                                              \
			fail(__FILE__, __LINE__, (place), (rule), (expected), (actual));       \
	} while (0)

// Draws the memory around a place into `to`, a few short lines. A lab sets it; also called when the check dies by a panic or a signal.
extern void (*judge_map)(uint64_t place, char *to, size_t bytes);
void judge_place(uint64_t place); // what the map is about when the check dies in the next call

// The rule that is at stake from here on, for reports of crashes and of checks that never end.
void judge_rule(const char *rule);
