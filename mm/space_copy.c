// space_copy.c: copies between the kernel and user memory, through the linear map, with the user's own rights.
//
//      user address --walk the table--> leaf with PTE_U and the right? --> physical page + port_linear
//                                         no: space_fault, as if the user had touched it; then look again
//
//   The kernel never dereferences a user pointer: a bad one is a result, not a trap.
//   Cost: one walk a page, 8 bytes at a time where both ends are aligned alike. Weakness: none is remembered from page to page.
#include "space.h"

// Where the kernel sees the byte at `va`, made accessible for `access`; NULL, with the reason in *result, when it cannot be.
static uint8_t *reach(struct space *space, uint64_t va, enum access access, enum space_result *result)
{
	const uint64_t right = PTE_V | PTE_U | (access == ACCESS_WRITE ? PTE_W : PTE_R);
	struct slot slot = table_find(&space->table, VA(va));
	if ((slot.entry->raw & right) != right) {
		*result = space_fault(space, va, access);
		if (*result != SPACE_OK)
			return NULL;
		slot = table_find(&space->table, VA(va));
	}
	return (uint8_t *)pa_pointer(pte_pa(*slot.entry)) + (va & (level_bytes(slot.level) - 1));
}

static void copy_bytes(uint8_t *to, const uint8_t *from, size_t bytes)
{
	size_t i = 0;
	if ((((uintptr_t)to ^ (uintptr_t)from) & 7) == 0) {
		for (; i < bytes && ((uintptr_t)(to + i) & 7); i++)
			to[i] = from[i];
		for (; bytes - i >= 32; i += 32) {
			uint64_t *into = __builtin_assume_aligned(to + i, 8);
			const uint64_t *out = __builtin_assume_aligned(from + i, 8);
			uint64_t a = out[0], b = out[1], c = out[2], d = out[3];
			into[0] = a, into[1] = b, into[2] = c, into[3] = d;
		}
	}
	for (; i < bytes; i++)
		to[i] = from[i];
}

static bool in_user_half(uint64_t start, uint64_t bytes) // nothing is in it wherever it starts
{
	return bytes == 0 || (start <= SPACE_END && bytes <= SPACE_END - start);
}

static size_t to_page_end(uint64_t va, size_t bytes)
{
	size_t room = PAGE_BYTES - (size_t)(va & (PAGE_BYTES - 1));
	return bytes < room ? bytes : room;
}

enum space_result space_copy_out(struct space *space, uint64_t to, const void *from, size_t bytes)
{
	enum space_result result = SPACE_BAD;
	if (!in_user_half(to, bytes))
		return result;
	for (const uint8_t *rest = from; bytes;) {
		size_t now = to_page_end(to, bytes);
		uint8_t *place = reach(space, to, ACCESS_WRITE, &result);
		if (!place)
			return result;
		copy_bytes(place, rest, now);
		rest += now, to += now, bytes -= now;
	}
	return SPACE_OK;
}

enum space_result space_copy_in(struct space *space, void *to, uint64_t from, size_t bytes)
{
	enum space_result result = SPACE_BAD;
	if (!in_user_half(from, bytes))
		return result;
	for (uint8_t *rest = to; bytes;) {
		size_t now = to_page_end(from, bytes);
		const uint8_t *place = reach(space, from, ACCESS_READ, &result);
		if (!place)
			return result;
		copy_bytes(rest, place, now);
		rest += now, from += now, bytes -= now;
	}
	return SPACE_OK;
}

enum space_result space_copy_string(struct space *space, char *to, uint64_t from, size_t max)
{
	enum space_result result = SPACE_BAD;
	while (max && from < SPACE_END) {
		size_t now = to_page_end(from, max);
		const char *place = (const char *)reach(space, from, ACCESS_READ, &result);
		if (!place)
			return result;
		for (size_t i = 0; i < now; i++)
			if ((to[i] = place[i]) == 0)
				return SPACE_OK;
		to += now, from += now, max -= now;
	}
	return SPACE_BAD;
}

enum space_result space_touch(struct space *space, uint64_t start, uint64_t bytes, enum access access)
{
	if (!in_user_half(start, bytes))
		return SPACE_BAD;
	for (uint64_t va = round_down(start, PAGE_BYTES); bytes && va < start + bytes; va += PAGE_BYTES) {
		enum space_result result;
		if (access == ACCESS_EXECUTE)
			result = space_fault(space, va, access);
		else if (reach(space, va, access, &result))
			result = SPACE_OK;
		if (result != SPACE_OK)
			return result;
	}
	return SPACE_OK;
}
