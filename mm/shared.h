// shared.h: the pages behind a shared anonymous mapping, as a source that all spaces which inherited the mapping hold on to.
#pragma once

#include "space.h"

// A source of zeroed pages, made when first pinned and kept until the last area lets go of it. One reference, the caller's;
// NULL when there is no memory.
struct source *shared_create(void) __attribute__((warn_unused_result));

// True for a source that shared_create made: when it cannot pin, the reason is a lack of memory.
bool shared_is(const struct source *source);
