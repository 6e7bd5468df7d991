// slab_depot.c: between the magazines and the slabs of slab.c: objects that CPUs left for each other, by half a magazine at a time.
//
//    a full magazine ──► depot ──(no room)──► slabs          an empty magazine ◄── depot ◄──(nothing there)── slabs
//
// So that a CPU which frees what another one allocates moves pointers and touches no slab. The room follows the load: objects wanted that
// are not there make it larger, objects brought that find none make it smaller, and what is then too much goes to the slabs. Making it
// larger counts double, so that a load which swings within PORT_DEPOT_… soon has room for its swings, whereas one that only gives back
// ends with an empty depot: objects that lie here keep their slabs from becoming empty.
//
// The invariants S6 and S7 are stated in slab.c. The cache's lock is held in each call.
// Sources: Bonwick and Adams, as slab.c, for the depot; the rule for its room is ours.
#include "slab_magazine.h"

void *slab_depots[SLAB_CACHES][PORT_DEPOT_OBJECTS];

static void give_to_slabs(struct kmem_cache *cache, size_t keep)
{
	while (cache->stored > keep)
		slabs_give(cache, slab_depots[cache->number][--cache->stored]);
}

static size_t most(const struct kmem_cache *cache)
{
	size_t objects = PORT_DEPOT_BYTES / cache->stride;

	return objects < PORT_DEPOT_OBJECTS ? objects : PORT_DEPOT_OBJECTS;
}

size_t depot_take(struct kmem_cache *cache, void **objects, size_t count)
{
	size_t taken = count < cache->stored ? count : cache->stored;

	cache->stored -= taken;
	__builtin_memcpy(objects, &slab_depots[cache->number][cache->stored], taken * sizeof *objects);
	if (taken == count)
		return taken;
	cache->room += 2 * count;
	if (cache->room > most(cache))
		cache->room = most(cache);
	return taken + slabs_take(cache, objects + taken, count - taken);
}

void depot_give(struct kmem_cache *cache, void *const *objects, size_t count)
{
	if (cache->stored + count <= cache->room) {
		__builtin_memcpy(&slab_depots[cache->number][cache->stored], objects, count * sizeof *objects);
		cache->stored += count;
		return;
	}
	cache->room -= count < cache->room ? count : cache->room;
	give_to_slabs(cache, cache->room);
	for (size_t i = 0; i < count; i++)
		slabs_give(cache, objects[i]);
}

void depot_empty(struct kmem_cache *cache)
{
	give_to_slabs(cache, 0);
}
