// slab_magazine.h: the two fast paths that kmalloc and kmem_cache_* share: an object from, or to, this CPU's magazine.
//
//    its CPU, pinned:       busy = 1;                         open? ──yes──► top, slots;    busy = 0
//    any other (reap,       open ──► seized;  port_barrier;   busy? ──no───► top, slots;    seized ──► open
//    check):
//
// Each says what it wants and then looks at the other's word, so at least one of them sees the other, if a full barrier stands between. The
// rare one pays for both: port_barrier makes every CPU pass one. An owner whose stock is not open goes to the slabs under the cache's
// lock instead, and opens it when it is new; others leave a busy stock alone.
// Source: the idea of the asymmetric barrier is that of Dice, Huang and Yang, "Asymmetric Dekker synchronization", Sun Microsystems, 2001.
#pragma once

#include "slab_record.h"

// The ways when a magazine is empty, full or missing, or the stock is not open. All end the pin, which comes in two parts since gcc passes
// a struct through memory.
void *cache_take_slowly(size_t number, uintptr_t cpu, uintptr_t saved) __attribute__((noinline, cold));
void cache_give_slowly(size_t number, void *object, uintptr_t cpu, uintptr_t saved) __attribute__((noinline, cold));

// True: the stock is its CPU's until stock_leave, which must follow in either case.
static inline bool stock_enter(struct stock *stock)
{
	*(volatile uint32_t *)&stock->busy = 1; // (gcc 12 makes an atomic exchange of an atomic store on RISC-V)
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	return __atomic_load_n(&stock->state, __ATOMIC_ACQUIRE) == STOCK_OPEN;
}

static inline void stock_leave(struct stock *stock)
{
	__atomic_thread_fence(__ATOMIC_RELEASE);
	*(volatile uint32_t *)&stock->busy = 0;
}

// The empty statement keeps gcc from computing the address anew for each member.
static inline struct stock *stock_here(uintptr_t cpu, size_t number)
{
	struct stock *stock = &slab_stocks[cpu][number];

	__asm__("" : "+r"(stock));
	return stock;
}

static inline void *cache_take(size_t number)
{
	struct pin pin = port_pin();
	struct stock *stock = stock_here(pin.cpu, number);
	void *object = stock_enter(stock) ? stock->top[-1] : NULL;

	if (__builtin_expect(!object, 0))
		return cache_take_slowly(number, pin.cpu, pin.saved);
	stock->top--;
	stock_leave(stock);
	port_unpin(pin);
	return object;
}

// Who has looked that the object is one, calls this pinned.
static inline void stock_give(struct stock *stock, struct pin pin, size_t number, void *object)
{
	if (__builtin_expect(!stock_enter(stock) || stock->top == stock->end || stock->top[-1] == object, 0)) {
		cache_give_slowly(number, object, pin.cpu, pin.saved);
		return;
	}
	*stock->top++ = object;
	stock_leave(stock);
	port_unpin(pin);
}

// object: one of the cache's, as slab_has_object_at says.
static inline void cache_give(size_t number, void *object)
{
	struct pin pin = port_pin();

	stock_give(stock_here(pin.cpu, number), pin, number, object);
}

// The stocks of all CPUs that were open and not busy: seized until stocks_release.
void stocks_seize(const struct kmem_cache *cache, bool seized[PORT_MAX_CPUS]);
void stocks_release(const struct kmem_cache *cache, const bool seized[PORT_MAX_CPUS]);

// Puts the objects of a stock, which is the caller's, into the slabs, and gives its magazine back.
void stock_empty(struct kmem_cache *cache, struct stock *stock);

// Puts the depot's objects into the slabs, and gives back empty slabs beyond `keep`.
void cache_shrink(struct kmem_cache *cache, size_t keep);

static inline struct stock *stock_of(const struct kmem_cache *cache, uintptr_t cpu)
{
	return &slab_stocks[cpu][cache->number];
}

static inline size_t stock_count(const struct stock *stock) // objects in it; seized, or the CPU's own
{
	return stock->magazine ? (size_t)(stock->top - &stock->magazine->slot[1]) : 0;
}
