// slab_magazine.h: the two fast paths that kmalloc and kmem_cache_* share: an object from, or to, this CPU's magazine.
//
// A magazine is taken out of its place (which then holds NULL) while it is used, so that kmem_reap and check on another CPU can take
// it as well. Who finds NULL goes to the slabs under the cache's lock instead.
#pragma once

#include "slab_cache.h"

// The ways when a magazine is empty, full, missing or in other hands (NULL). All end the pin.
void *cache_take_slowly(struct kmem_cache *cache, struct magazine *magazine, struct pin pin);
void cache_give_slowly(struct kmem_cache *cache, struct magazine *magazine, struct pin pin, void *object);

static inline struct magazine *magazine_own(struct kmem_cache *cache, uintptr_t cpu)
{
	return __atomic_exchange_n(&cache->magazine[cpu], NULL, __ATOMIC_ACQUIRE);
}

static inline void magazine_disown(struct kmem_cache *cache, uintptr_t cpu, struct magazine *magazine)
{
	__atomic_store_n(&cache->magazine[cpu], magazine, __ATOMIC_RELEASE);
}

static inline void *cache_take(struct kmem_cache *cache)
{
	struct pin pin = port_pin();
	struct magazine *magazine = magazine_own(cache, pin.cpu);
	void *object = magazine ? magazine->top[-1] : NULL;

	if (__builtin_expect(!object, 0))
		return cache_take_slowly(cache, magazine, pin);
	magazine->top--;
	magazine_disown(cache, pin.cpu, magazine);
	port_unpin(pin);
	return object;
}

// object: one of the cache's, as slab_has_object_at says.
static inline void cache_give(struct kmem_cache *cache, void *object)
{
	struct pin pin = port_pin();
	struct magazine *magazine = magazine_own(cache, pin.cpu);

	if (__builtin_expect(!magazine || magazine->top == magazine->end || magazine->top[-1] == object, 0)) {
		cache_give_slowly(cache, magazine, pin, object);
		return;
	}
	*magazine->top++ = object;
	magazine_disown(cache, pin.cpu, magazine);
	port_unpin(pin);
}
