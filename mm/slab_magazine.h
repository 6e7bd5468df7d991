// slab_magazine.h: the two fast paths that kmalloc and kmem_cache_* share: an object from, or to, this CPU's magazine.
//
//    its CPU, pinned:       busy ◄── 1;                          top ──► SLAB_NOTHING? the long way;      slots, top;     busy ◄── 0
//    any other (reap,       top ◄── SLAB_NOTHING;  barrier;      busy?  let go of it
//    check):                                       barrier;      top still SLAB_NOTHING? it is ours;      slots, kept;    top ◄── kept
//
// Each says what it wants and then looks at the other's word, so at least one of them sees the other, if a full barrier stands between. The
// rare one pays for both: port_barrier makes every CPU pass one. After the first barrier the CPU either is seen busy or sees SLAB_NOTHING;
// after the second what it wrote before it was not busy is here, so that its top, if it came later than ours, is not overlooked. An owner
// that finds SLAB_NOTHING takes the long way, on which it claims its stock as others do (slab_stock.c), or else goes to the slabs.
// tests/test_stock_protocol.py goes through every order of these steps.
// Source: the idea of the asymmetric barrier is that of Dice, Huang and Yang, "Asymmetric Dekker synchronization", Sun Microsystems, 2001.
#pragma once

#include "slab_record.h"
#include "slab_stock.h"

// The stock at so many bytes in this CPU's row. The empty statement keeps gcc from computing the address anew for each member.
static inline struct stock *stock_enter(struct pin pin, size_t offset)
{
	struct stock *stock = (struct stock *)((uintptr_t)PORT_STOCKS(pin) + offset);

	__asm__("" : "+r"(stock));
	*(volatile uintptr_t *)&stock->busy = (uintptr_t)stock; // any value but 0 (gcc 12 makes an atomic exchange of an atomic store)
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	return stock;
}

static inline void stock_leave(struct stock *stock, struct pin pin)
{
	if (PORT_WATCHED)
		__atomic_thread_fence(__ATOMIC_RELEASE);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	*(volatile uintptr_t *)&stock->busy = 0;
	port_unpin(pin);
}

static inline void **stock_top(const struct stock *stock)
{
	return __atomic_load_n(&stock->top, PORT_WATCHED ? __ATOMIC_ACQUIRE : __ATOMIC_RELAXED);
}

static inline void stock_set_top(struct stock *stock, void **top)
{
	*(void **volatile *)&stock->top = top;
}

// NULL: the long way. offset: number * sizeof(struct stock), of any number: 0 is nobody's and always empty.
static inline void *stock_take(size_t offset)
{
	struct pin pin = port_pin();
	struct stock *stock = stock_enter(pin, offset);
	void **top = stock_top(stock), *object = top[-1];

	if (__builtin_expect(!object, 0)) {
		stock_leave(stock, pin);
		return NULL;
	}
	stock_set_top(stock, top - 1);
	stock_leave(stock, pin);
	return object;
}

static inline void *cache_take(size_t number)
{
	void *object = stock_take(number * sizeof(struct stock));

	return __builtin_expect(object != NULL, 1) ? object : cache_take_slowly(number);
}

// True: done. False: there is no room, or the block is no object that was taken, or it cannot be told here. The window's pages only;
// number: the cache that it must belong to, or 0.
static inline bool stock_give(const struct window *window, void *block, size_t number)
{
	uint64_t offset = (uintptr_t)block - window->seen;

	if (__builtin_expect(offset >= *(volatile const uint64_t *)&window->bytes, 0))
		return false;
	size_t mark = window->marks[offset >> PAGE_SHIFT];
	if (number && mark != number)
		return false;
	struct pin pin = port_pin();
	struct stock *stock = stock_enter(pin, mark * sizeof *stock);
	void **top = stock_top(stock);
	bool full = (uintptr_t)top % sizeof(struct magazine) == 0;
	if (__builtin_expect(full || ((uintptr_t)block & stock->mask) * stock->inverse >= stock->inverse || top[-1] == block, 0)) {
		stock_leave(stock, pin);
		return false;
	}
	*top = block;
	stock_set_top(stock, top + 1);
	stock_leave(stock, pin);
	return true;
}
