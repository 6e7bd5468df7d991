// shared.c: anonymous memory that processes share: an object that owns the pages, so that one first touched after a fork is shared, too.
//
//      parent's area --.
//                       >-- struct shared: users = 2 -- table: offset -> page
//      child's area  --'
//
//   The index from an offset to its page is a page table of our own that no CPU ever walks: sparse, quick, and written already.
//   A space that maps a page holds a reference of its own to it; the object's reference goes when the last area does.
//
//   Cost: pin: a lock and a walk of three levels. Three table pages at least for each mapping, however small.
//   Weakness: unmapping a part gives nothing back before the last area is gone.
#include "shared.h"

#include "heap.h"
#include "page.h"

struct shared {
	struct source source;
	uint32_t users;     // areas and creators; atomic
	struct lock lock;   // guards `pages`
	struct table pages; // a leaf's address is its offset
};

static struct shared *shared_of(struct source *source)
{
	return (struct shared *)source; // its first member
}

static void release_page(void *context, pte_t leaf, va_t va, unsigned level)
{
	(void)context, (void)va, (void)level;
	page_free(pte_pa(leaf));
}

static void shared_get(struct source *source)
{
	__atomic_fetch_add(&shared_of(source)->users, 1, __ATOMIC_RELAXED);
}

static void shared_put(struct source *source)
{
	struct shared *shared = shared_of(source);
	if (__atomic_fetch_sub(&shared->users, 1, __ATOMIC_ACQ_REL) != 1)
		return;
	table_destroy(&shared->pages, release_page, NULL);
	kfree(shared);
}

static bool shared_read(struct source *source, uint64_t offset, void *to, size_t bytes)
{
	(void)source, (void)offset;
	__builtin_memset(to, 0, bytes); // only a private area reads, and none has such a source
	return true;
}

static pa_t shared_pin(struct source *source, uint64_t offset)
{
	struct shared *shared = shared_of(source);
	lock_acquire(&shared->lock);
	pte_t leaf = *table_find(&shared->pages, VA(offset)).entry;
	pa_t page = pte_pa(leaf);
	if (!pte_is_valid(leaf)) {
		page = page_alloc(0, PAGE_ZERO);
		if (!pa_is_none(page) && table_map(&shared->pages, VA(offset), page, 0, PTE_R) != TABLE_OK) {
			page_free(page);
			page = PA_NONE;
		}
	}
	if (!pa_is_none(page))
		page_share(page);
	lock_release(&shared->lock);
	return page;
}

static void shared_unpin(struct source *source, uint64_t offset, pa_t page, bool dirty)
{
	(void)source, (void)offset, (void)dirty;
	page_free(page);
}

static const struct source_ops shared_ops = {
	.get = shared_get,
	.put = shared_put,
	.read = shared_read,
	.pin = shared_pin,
	.unpin = shared_unpin,
};

struct source *shared_create(void)
{
	struct shared *shared = kmalloc(sizeof *shared);
	if (!shared)
		return NULL;
	*shared = (struct shared){ .source.ops = &shared_ops, .users = 1, .lock.name = "shared" };
	if (!table_create(&shared->pages, NULL)) {
		kfree(shared);
		return NULL;
	}
	return &shared->source;
}

bool shared_is(const struct source *source)
{
	return source->ops == &shared_ops;
}
