// slab_record.h: from an object to its page's record, to its cache and its slab.
//
//    the record of each page of a slab:   owner: the struct slab   tag: SLAB_TAG + the cache's number   extra: which page of the slab
//    its mark:                            the cache's number, where the slab has the size that its cache prefers, else 0
//
// So the way from an object to its cache touches a byte only: not the slab, of which there may be thousands. A marked slab begins at a
// multiple of its size, as pages do.
#pragma once

#include "page_record.h"
#include "slab_cache.h"

#define SLAB_TAG 0x700u // struct page.tag of a slab's page, plus the number of its cache: beyond any table's count of entries, and short

static inline struct slab *slab_of(const struct page *page) // page: one of a slab
{
	return pa_pointer(PA((uint64_t)page->owner * SLAB_ALIGN));
}

// The record of the page that any address lies in; one that has no tag when there is none.
static inline struct page *page_under(const void *address)
{
	return record_of(PA(round_down(pa_of(address).raw, PAGE_BYTES)));
}

// The number of the cache whose slab the page belongs to; SLAB_CACHES or more when it belongs to none.
static inline size_t number_of(const struct page *page)
{
	return (size_t)page->tag - SLAB_TAG;
}

static inline struct kmem_cache *cache_of(const struct page *page) // or NULL
{
	return number_of(page) < SLAB_CACHES ? slab_cache_of[number_of(page)] : NULL;
}

// True for the address of an object in a slab: offset % stride == 0 without a division (Lemire, Kaser and Kurz, "Faster remainder by
// direct computation", Software: Practice and Experience 49(6), 2019). In a slab that is smaller than its cache prefers, what lies behind
// the last object is found only when the object is given back to the slab; on the short way, in every slab.
static inline bool slab_has_object_at(const struct page *page, const struct kmem_cache *cache, uintptr_t address)
{
	uint64_t offset = page->extra * PAGE_BYTES + address % PAGE_BYTES;

	return offset < cache->limit && offset * cache->inverse < cache->inverse;
}

// offset / stride, for offsets in a slab
static inline size_t slab_index(const struct kmem_cache *cache, uint64_t offset)
{
	return (size_t)((unsigned __int128)offset * cache->inverse >> 64);
}
