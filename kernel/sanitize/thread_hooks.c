// thread_hooks.c: what the compiler calls (gcc -fsanitize=thread): before each access to memory, and in place of each atomic operation.
//
// Plain accesses are only noted. An atomic operation is done here, in the strongest order, whatever the program asked for; clocks learn
// what it asked for. What it hands on is handed on before another hart can see its store, and what it takes over is taken after its load.
// A volatile access counts as a relaxed atomic one, as it does for whoever wrote it: the kernel uses aligned words only.
//
// Source: the names and arguments are those of gcc's libsanitizer/tsan (tsan_interface.h, tsan_interface_atomic.h).
#include "kernel/sanitize/thread_clock.h"
#include "kernel/sanitize/thread_shadow.h"

#define CALLER ((uint64_t)__builtin_return_address(0))

static bool releases(int order)
{
	return order == __ATOMIC_RELEASE || order == __ATOMIC_ACQ_REL || order == __ATOMIC_SEQ_CST;
}

static bool acquires(int order)
{
	return order == __ATOMIC_ACQUIRE || order == __ATOMIC_CONSUME || order == __ATOMIC_ACQ_REL || order == __ATOMIC_SEQ_CST;
}

static void before_store(uint64_t address, int order)
{
	if (releases(order))
		clock_release(address);
	else
		clock_relaxed_store(address);
}

static void after_load(uint64_t address, int order)
{
	if (acquires(order))
		clock_acquire(address);
	else
		clock_relaxed_load(address);
}

// An exchange takes over first what earlier ones handed on, since they come before it whatever it finds: its own access is then known to
// be later than what they did. And once more behind it, for those that came in between.
static void before_exchange(uint64_t address, size_t bytes, int order, uint64_t pc)
{
	after_load(address, order);
	shadow_touch(address, bytes, ACCESS_WRITE, pc);
	before_store(address, order);
}

void __tsan_init(void);
void __tsan_init(void)
{
}

// --- plain and volatile

#define ACCESSES(n)                                                                                                               \
	void __tsan_read##n(const void *at);                                                                                      \
	void __tsan_write##n(const void *at);                                                                                     \
	void __tsan_volatile_read##n(const void *at);                                                                             \
	void __tsan_volatile_write##n(const void *at);                                                                            \
	void __tsan_read##n(const void *at)                                                                                       \
	{                                                                                                                         \
		shadow_touch((uint64_t)at, n, ACCESS_PLAIN, CALLER);                                                              \
	}                                                                                                                         \
	void __tsan_write##n(const void *at)                                                                                      \
	{                                                                                                                         \
		shadow_touch((uint64_t)at, n, ACCESS_PLAIN | ACCESS_WRITE, CALLER);                                               \
	}                                                                                                                         \
	void __tsan_volatile_read##n(const void *at)                                                                              \
	{                                                                                                                         \
		clock_relaxed_load((uint64_t)at);                                                                                 \
		shadow_touch((uint64_t)at, n, 0, CALLER);                                                                         \
	}                                                                                                                         \
	void __tsan_volatile_write##n(const void *at)                                                                             \
	{                                                                                                                         \
		shadow_touch((uint64_t)at, n, ACCESS_WRITE, CALLER);                                                              \
		clock_relaxed_store((uint64_t)at);                                                                                \
	}
ACCESSES(1)
ACCESSES(2)
ACCESSES(4)
ACCESSES(8)
ACCESSES(16)

void __tsan_read_range(const void *start, size_t bytes);
void __tsan_write_range(const void *start, size_t bytes);

void __tsan_read_range(const void *start, size_t bytes)
{
	shadow_touch((uint64_t)start, bytes, ACCESS_PLAIN, CALLER);
}

void __tsan_write_range(const void *start, size_t bytes)
{
	shadow_touch((uint64_t)start, bytes, ACCESS_PLAIN | ACCESS_WRITE, CALLER);
}

// --- atomic

#define LOADS(bits)                                                                                                               \
	uint##bits##_t __tsan_atomic##bits##_load(const uint##bits##_t *at, int order);                                           \
	void __tsan_atomic##bits##_store(uint##bits##_t *at, uint##bits##_t value, int order);                                    \
	uint##bits##_t __tsan_atomic##bits##_load(const uint##bits##_t *at, int order)                                            \
	{                                                                                                                         \
		uint##bits##_t value = __atomic_load_n(at, __ATOMIC_SEQ_CST);                                                     \
		after_load((uint64_t)at, order);                                                                                  \
		shadow_touch((uint64_t)at, sizeof value, 0, CALLER);                                                              \
		return value;                                                                                                     \
	}                                                                                                                         \
	void __tsan_atomic##bits##_store(uint##bits##_t *at, uint##bits##_t value, int order)                                     \
	{                                                                                                                         \
		shadow_touch((uint64_t)at, sizeof value, ACCESS_WRITE, CALLER);                                                   \
		before_store((uint64_t)at, order);                                                                                \
		__atomic_store_n(at, value, __ATOMIC_SEQ_CST);                                                                    \
	}
LOADS(8)
LOADS(16)
LOADS(32)
LOADS(64)

#define EXCHANGE(bits, name, builtin)                                                                                             \
	uint##bits##_t __tsan_atomic##bits##_##name(uint##bits##_t *at, uint##bits##_t value, int order);                         \
	uint##bits##_t __tsan_atomic##bits##_##name(uint##bits##_t *at, uint##bits##_t value, int order)                          \
	{                                                                                                                         \
		before_exchange((uint64_t)at, sizeof value, order, CALLER);                                                       \
		value = builtin(at, value, __ATOMIC_SEQ_CST);                                                                     \
		after_load((uint64_t)at, order);                                                                                  \
		return value;                                                                                                     \
	}

#define COMPARE(bits, name)                                                                                                       \
	bool __tsan_atomic##bits##_compare_exchange_##name(uint##bits##_t *at, uint##bits##_t *expected, uint##bits##_t value,    \
							   int order, int failure);                                               \
	bool __tsan_atomic##bits##_compare_exchange_##name(uint##bits##_t *at, uint##bits##_t *expected, uint##bits##_t value,    \
							   int order, int failure)                                                \
	{                                                                                                                         \
		before_exchange((uint64_t)at, sizeof value, order, CALLER);                                                       \
		bool done = __atomic_compare_exchange_n(at, expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);          \
		after_load((uint64_t)at, done ? order : failure);                                                                 \
		return done;                                                                                                      \
	}

// Words only: rv64imac has no atomic instructions on less, and the kernel does not ask for them.
#define EXCHANGES(bits)                                                                                                           \
	EXCHANGE(bits, exchange, __atomic_exchange_n)                                                                             \
	EXCHANGE(bits, fetch_add, __atomic_fetch_add)                                                                             \
	EXCHANGE(bits, fetch_sub, __atomic_fetch_sub)                                                                             \
	EXCHANGE(bits, fetch_and, __atomic_fetch_and)                                                                             \
	EXCHANGE(bits, fetch_or, __atomic_fetch_or)                                                                               \
	EXCHANGE(bits, fetch_xor, __atomic_fetch_xor)                                                                             \
	COMPARE(bits, strong)                                                                                                     \
	COMPARE(bits, weak)
EXCHANGES(32)
EXCHANGES(64)

void __tsan_atomic_thread_fence(int order);
void __tsan_atomic_signal_fence(int order);

void __tsan_atomic_thread_fence(int order)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	clock_fence(releases(order), acquires(order));
}

void __tsan_atomic_signal_fence(int order) // for the compiler only
{
	(void)order;
}
