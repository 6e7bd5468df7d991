// model_shadow.h: what the space model knows of one address space: rights, kind and bytes of each page.
#pragma once

#include "model_file.h"

#define SHADOW_SLOTS 2048

struct bytes { // of one page; shared by all who see the same memory
	unsigned users;
	uint8_t at[4096];
};

struct shadow_page {
	uint64_t va;
	bool mapped, shared;
	uint8_t rights, most, kind;
	struct bytes *bytes;
};

struct shadow {
	bool used;
	struct space space;
	struct shadow_page page[SHADOW_SLOTS];
	uint64_t heap_end;
};

struct bytes *new_bytes(void); // one user, all zero
void drop_bytes(struct bytes *bytes);

// The record of a page; one that is not mapped when there is none.
struct shadow_page *shadow_at(struct shadow *s, uint64_t va);
bool shadow_has(struct shadow *s, uint64_t va);
// A page that was not there; private, with bytes of its own, when `bytes` is NULL.
struct shadow_page *shadow_map(struct shadow *s, uint64_t va, unsigned kind, unsigned rights, struct bytes *bytes);
void shadow_unmap(struct shadow_page *page);
// Its first bytes come from the file.
void shadow_fill(struct shadow_page *page, const struct file *file, uint64_t offset, uint64_t bytes);
// Whether an access to the page should be allowed, after growing the stack if that is due.
bool shadow_allows(struct shadow *s, uint64_t va, unsigned access);
