// quota.h: a heap that wraps another and gives out no more than so many bytes at a time.
#pragma once

#include "wrapper.h"

struct quota {
	struct wrapper wrapper; // pass &wrapper.heap to heap_alloc and so on
	size_t limit;           // bytes; to be changed at any time. Below `used`: nothing is taken away, and nothing more is given
	size_t used;            // bytes of live blocks, as large as they were given, not as they were asked for
	size_t peak;            // the most that `used` has been
	size_t refused;         // calls that would have gone beyond the limit
};

// Wraps `inner`, none of whose blocks may be in use. Blocks of the wrapper must be freed through the wrapper.
struct heap *quota_create(struct quota *quota, struct heap *inner, size_t limit);
