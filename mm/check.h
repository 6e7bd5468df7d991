// check.h: what a module's own check answers: which invariant is broken, and where.
//
// Each module numbers its invariants in its file head (F1, F2 …). Its check function is const and bounded, follows no pointer
// that it has not bounded first, prints nothing, and states each invariant as
//
//      HOLDS("F2", block_end(b) <= region_end(r), b);
//
// which leaves the function with that id and place when the condition is false. `make lint` compares the ids in the head, the
// check and the test that breaks each of them on purpose.
#pragma once

#include <stdint.h>

struct verdict {
	const char *broken; // the invariant's id, or NULL when all hold
	uintptr_t where;    // the address that shows it
};

#define ALL_HOLD ((struct verdict){ 0 })

#define HOLDS(id, condition, place)                                            \
	do {                                                                   \
		if (!(condition))                                              \
			return (struct verdict){ (id), (uintptr_t)(place) };   \
	} while (0)
