// fdt.c: reads a flattened device tree, trusting nothing in it.
//
//	header | /memreserve/: (start, bytes)... (0, 0) | structure: tokens | strings: names of properties
//
//	structure:  BEGIN name  PROPERTY length name-offset data  ...  BEGIN ... END  END  STOP       every token aligned to 4 bytes
//
// D1  Nothing outside [blob, blob + bytes) is read, whatever the blob says: each offset is checked before it is used.
// D2  Every loop goes forward in the blob, so that all end.
//
// Cost: a property is searched for from its node's beginning; a tree of QEMU's has some hundred properties.
// Weakness: addresses are taken as they stand (`ranges` is not applied): true for every node that the kernel looks at.
// Source: Devicetree Specification 0.4, chapter 5.
#include "kernel/boot/fdt.h"

#include "kernel/machine/string.h"

#define MAGIC    0xd00dfeed
#define VERSION  17
#define BEGIN    1u
#define END      2u
#define PROPERTY 3u
#define NOP      4u
#define STOP     9u
#define HEADER_BYTES 40u
#define MAX_DEPTH    16

static uint32_t big_endian(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static uint64_t big_endian_64(const uint8_t *at)
{
	return (uint64_t)big_endian(at) << 32 | big_endian(at + 4);
}

// The token at *offset of the structure, which steps beyond it; STOP at the end of the block.
static uint32_t next_token(const struct fdt *fdt, uint32_t *offset)
{
	if (*offset > fdt->structure_end || fdt->structure_end - *offset < 4)
		return STOP;
	uint32_t token = big_endian(fdt->blob + *offset);
	*offset += 4;
	return token;
}

// The string at `offset`, which must end before `end`; NULL when it does not.
static const char *string_at(const struct fdt *fdt, uint32_t offset, uint32_t end)
{
	if (offset >= end || strnlen((const char *)fdt->blob + offset, end - offset) == end - offset)
		return NULL;
	return (const char *)fdt->blob + offset;
}

// Reads the rest of a PROPERTY token; false when it does not fit into its block.
static bool read_property(const struct fdt *fdt, uint32_t *offset, const char **name, struct fdt_value *value)
{
	if (fdt->structure_end - *offset < 8)
		return false;
	uint32_t bytes = big_endian(fdt->blob + *offset), where = big_endian(fdt->blob + *offset + 4);
	uint32_t data = *offset + 8;
	if (bytes > fdt->structure_end - data || where >= fdt->strings_end - fdt->strings)
		return false;
	*name = string_at(fdt, fdt->strings + where, fdt->strings_end);
	*value = (struct fdt_value){ fdt->blob + data, bytes };
	uint32_t padding = -bytes & 3;
	*offset = data + bytes + (padding <= fdt->structure_end - data - bytes ? padding : 0);
	return *name != NULL;
}

const char *fdt_open(struct fdt *fdt, const void *tree, uint64_t limit)
{
	const uint8_t *blob = tree;
	if ((uintptr_t)tree % 4 != 0 || limit < HEADER_BYTES || big_endian(blob) != MAGIC)
		return "no device tree there";
	uint32_t bytes = big_endian(blob + 4);
	if (bytes < HEADER_BYTES || bytes > limit)
		return "the device tree's size makes no sense";
	if (big_endian(blob + 20) < VERSION || big_endian(blob + 24) > VERSION)
		return "the device tree's version is not 17 or compatible with it";
	uint32_t structure = big_endian(blob + 8), strings = big_endian(blob + 12), reservations = big_endian(blob + 16);
	uint32_t strings_bytes = big_endian(blob + 32), structure_bytes = big_endian(blob + 36);
	if (structure % 4 || structure > bytes || structure_bytes > bytes - structure)
		return "the device tree's structure lies outside it";
	if (strings > bytes || strings_bytes > bytes - strings)
		return "the device tree's strings lie outside it";
	if (reservations % 8 || reservations > bytes)
		return "the device tree's reservations lie outside it";
	*fdt = (struct fdt){ blob, bytes, structure, structure + structure_bytes, strings, strings + strings_bytes, reservations };
	return NULL;
}

bool fdt_reservation(const struct fdt *fdt, uint32_t n, uint64_t *start, uint64_t *bytes)
{
	if (n >= (fdt->bytes - fdt->reservations) / 16)
		return false;
	const uint8_t *entry = fdt->blob + fdt->reservations + n * 16;
	*start = big_endian_64(entry);
	*bytes = big_endian_64(entry + 8);
	return *start || *bytes;
}

// Begins the node at *offset, just beyond its BEGIN.
static bool begin_node(const struct fdt *fdt, uint32_t *offset, const struct fdt_node *parent, struct fdt_node *node)
{
	const char *name = string_at(fdt, *offset, fdt->structure_end);
	if (name == NULL)
		return false;
	*offset = (*offset + (uint32_t)strlen(name) + 1 + 3) & ~3u;
	*node = (struct fdt_node){ .name = name, .parent = parent, .properties = *offset };
	node->address_cells = fdt_cell(fdt, node, "#address-cells", 2);
	node->size_cells = fdt_cell(fdt, node, "#size-cells", 1);
	return true;
}

const char *fdt_walk(const struct fdt *fdt, fdt_visitor *visit, void *context)
{
	struct fdt_node stack[MAX_DEPTH];
	struct fdt_value value;
	const char *name;
	unsigned depth = 0;
	for (uint32_t offset = fdt->structure;;) {
		switch (next_token(fdt, &offset)) {
		case BEGIN:
			if (depth == MAX_DEPTH)
				return "the device tree is nested too deeply";
			if (!begin_node(fdt, &offset, depth ? &stack[depth - 1] : NULL, &stack[depth]))
				return "a node's name in the device tree does not end";
			visit(context, fdt, &stack[depth++]);
			break;
		case END:
			if (depth == 0)
				return "the device tree ends a node that it did not begin";
			depth--;
			break;
		case PROPERTY:
			if (!read_property(fdt, &offset, &name, &value))
				return "a property in the device tree reaches outside it";
			break;
		case NOP:
			break;
		case STOP:
			return depth ? "the device tree ends inside a node" : NULL;
		default:
			return "the device tree has an unknown token";
		}
	}
}

bool fdt_property(const struct fdt *fdt, const struct fdt_node *node, const char *name, struct fdt_value *out)
{
	for (uint32_t offset = node->properties;;) {
		uint32_t token = next_token(fdt, &offset);
		const char *found;
		if (token == NOP)
			continue;
		if (token != PROPERTY || !read_property(fdt, &offset, &found, out))
			return false;
		if (strcmp(found, name) == 0)
			return true;
	}
}

bool fdt_value_cell(struct fdt_value value, uint32_t n, uint32_t *out)
{
	if (n >= value.bytes / 4)
		return false;
	*out = big_endian(value.data + n * 4);
	return true;
}

uint32_t fdt_cell(const struct fdt *fdt, const struct fdt_node *node, const char *name, uint32_t otherwise)
{
	struct fdt_value value;
	if (fdt_property(fdt, node, name, &value))
		fdt_value_cell(value, 0, &otherwise);
	return otherwise;
}

// A number of one or two cells, from cell n on; the caller has bounded it.
static uint64_t wide(struct fdt_value value, uint32_t n, uint32_t cells)
{
	return cells == 2 ? big_endian_64(value.data + n * 4) : cells == 1 ? big_endian(value.data + n * 4) : 0;
}

bool fdt_reg(const struct fdt *fdt, const struct fdt_node *node, uint32_t n, uint64_t *start, uint64_t *bytes)
{
	struct fdt_value value;
	uint32_t address_cells = node->parent ? node->parent->address_cells : 2, size_cells = node->parent ? node->parent->size_cells : 1;
	uint32_t entry = address_cells + size_cells;
	if (address_cells < 1 || address_cells > 2 || size_cells > 2 || !fdt_property(fdt, node, "reg", &value))
		return false;
	if (n >= value.bytes / 4 / entry)
		return false;
	*start = wide(value, n * entry, address_cells);
	*bytes = wide(value, n * entry + address_cells, size_cells);
	return true;
}

bool fdt_lists(const struct fdt *fdt, const struct fdt_node *node, const char *name, const char *text)
{
	struct fdt_value value;
	if (!fdt_property(fdt, node, name, &value))
		return false;
	const char *list = (const char *)value.data;
	for (uint32_t at = 0; at < value.bytes;) {
		uint32_t length = (uint32_t)strnlen(list + at, value.bytes - at);
		if (length == strlen(text) && length < value.bytes - at && strncmp(list + at, text, length) == 0)
			return true;
		at += length + 1;
	}
	return false;
}
