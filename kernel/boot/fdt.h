// fdt.h: reads a flattened device tree, trusting nothing in it.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct fdt {
	const uint8_t *blob;
	uint32_t bytes;                         // of the whole blob
	uint32_t structure, structure_end;      // offsets of the tokens
	uint32_t strings, strings_end;          // of the property names
	uint32_t reservations;                  // of the /memreserve/ list
};

struct fdt_node {
	const char *name;              // with unit address: "memory@80000000"; NUL-terminated inside the blob
	const struct fdt_node *parent; // NULL for the root
	uint32_t properties;           // offset of the first
	uint32_t address_cells, size_cells; // that this node gives its children
};

struct fdt_value {
	const uint8_t *data;
	uint32_t bytes;
};

// NULL, or what is wrong with the blob at `tree`, of which at most `limit` bytes are looked at.
const char *fdt_open(struct fdt *fdt, const void *tree, uint64_t limit);
// The n-th entry of the /memreserve/ list; false after the last.
bool fdt_reservation(const struct fdt *fdt, uint32_t n, uint64_t *start, uint64_t *bytes);
// Calls `visit` for each node, parents first. NULL, or what is wrong with the tree.
typedef void fdt_visitor(void *context, const struct fdt *fdt, const struct fdt_node *node);
const char *fdt_walk(const struct fdt *fdt, fdt_visitor *visit, void *context);

// The node's property of that name.
bool fdt_property(const struct fdt *fdt, const struct fdt_node *node, const char *name, struct fdt_value *out);
// The first cell of the property, or `otherwise`.
uint32_t fdt_cell(const struct fdt *fdt, const struct fdt_node *node, const char *name, uint32_t otherwise);
// The n-th cell of a value; false beyond its end.
bool fdt_value_cell(struct fdt_value value, uint32_t n, uint32_t *out);
// The n-th (address, size) pair of `reg`.
bool fdt_reg(const struct fdt *fdt, const struct fdt_node *node, uint32_t n, uint64_t *start, uint64_t *bytes);
// Whether the property is a list of strings that contains `text`.
bool fdt_lists(const struct fdt *fdt, const struct fdt_node *node, const char *name, const char *text);
