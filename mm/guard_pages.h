// guard_pages.h: inside the heap of pages of their own: its records, for guard_pages.c and the tests.
#pragma once

#include "heap.h"

#define GUARD_PAGE  ((size_t)4096)
#define GUARD_FILL  0xf5u // in the pages of an object, before and behind it
#define GUARD_LEAST 8000u // pages of a window: fewer and an address comes back too soon

enum object_state { OBJECT_NONE, OBJECT_LIVE, OBJECT_DEAD };

struct object { // of the one that begins in this page of the window
	uint32_t bytes;
	uint16_t offset; // in the page
	uint16_t state;  // enum object_state; dead: until its addresses are used again
};

struct guard_pages {
	struct heap heap;
	uintptr_t window;
	size_t pages;           // of the window; the first stays empty
	size_t next;            // page at which the search goes on
	size_t live;            // objects
	struct object object[]; // by page
};
