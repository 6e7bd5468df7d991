// quota.c: a heap that wraps another and gives out no more than so many bytes at a time.
//
//    alloc ──► [used + bytes > limit: NULL] ──► inner heap ──► [used + usable(block) > limit: back, NULL] ──► used += usable(block)
//
// What counts is what a block holds (`usable`), not what was asked for: it is what the others cannot have, and it is known again when the
// block is freed. At level 1 and above the entry's zones are part of it. Who is refused sees what an empty memory would show.
//
//    Q1  `used` is not below the sum over the inner heap's live blocks (slab's walk does not show all)      Q2  `peak` is not below `used`
//
// Cost: the inner heap's calls and a look at the block's size. Weakness: as wrapper.c; a block that was rounded up beyond the limit is
// allocated and freed again.
// Source: the limits of Plan 9's pools (pool.h: maxsize), and those of BSD's malloc types (vmstat -m), by use instead of by type.
#include "quota.h"

static bool fits(const struct quota *quota, size_t bytes)
{
	return quota->used <= quota->limit && bytes <= quota->limit - quota->used;
}

static void charge(struct quota *quota, size_t bytes)
{
	quota->used += bytes;
	if (quota->used > quota->peak)
		quota->peak = quota->used;
}

static void *quota_alloc(struct heap *heap, size_t bytes, size_t align)
{
	struct quota *quota = (struct quota *)heap;
	void *block = fits(quota, bytes) ? wrapper_alloc(heap, bytes, align) : NULL;
	size_t given = block ? wrapper_usable(heap, block) : bytes;

	if (fits(quota, given)) {
		charge(quota, block ? given : 0); // NULL: the inner heap has none
		return block;
	}
	if (block)
		wrapper_free(heap, block);
	quota->refused++;
	return NULL;
}

static void quota_free(struct heap *heap, void *block)
{
	size_t given = wrapper_usable(heap, block);

	wrapper_free(heap, block);
	((struct quota *)heap)->used -= given;
}

// A block that grew beyond the limit shrinks again to what it was. Then the entry asks for one elsewhere, which is refused and counted.
static bool quota_resize(struct heap *heap, void *block, size_t bytes)
{
	struct quota *quota = (struct quota *)heap;
	size_t had = wrapper_usable(heap, block);

	bool done = wrapper_resize(heap, block, bytes);
	size_t has = wrapper_usable(heap, block);
	if (has > had && !fits(quota, has - had)) {
		done = !wrapper_resize(heap, block, had);
		has = wrapper_usable(heap, block);
	}
	quota->used -= had;
	charge(quota, has);
	return done;
}

static bool add_block(void *context, void *block, size_t bytes, bool used)
{
	(void)block;
	*(size_t *)context += used ? bytes : 0;
	return true;
}

static struct verdict quota_check(const struct heap *heap)
{
	const struct quota *quota = (const struct quota *)heap;
	struct verdict verdict = wrapper_check(heap);
	size_t used = 0;

	if (verdict.broken)
		return verdict;
	wrapper_walk(heap, add_block, &used);
	HOLDS("Q1", used <= quota->used, quota);
	HOLDS("Q2", quota->used <= quota->peak, quota);
	return ALL_HOLD;
}

static const struct heap_ops quota_ops = {
	.name = "quota",
	.alloc = quota_alloc,
	.free = quota_free,
	.usable = wrapper_usable,
	.resize = quota_resize,
	.inspect = wrapper_inspect,
	.trim = wrapper_trim,
	.check = quota_check,
	.walk = wrapper_walk,
};

struct heap *quota_create(struct quota *quota, struct heap *inner, size_t limit)
{
	*quota = (struct quota){ .wrapper = wrapper_around(inner, &quota_ops), .limit = limit };
	return &quota->wrapper.heap;
}
