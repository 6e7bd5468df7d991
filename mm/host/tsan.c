// tsan.c: what gcc's ThreadSanitizer leaves out, for the program mm-tests-tsan: volatile accesses and fences. Nothing in other programs.
//
// mm writes `fence; *(volatile uint64_t *)slot = page` where one atomic store would do, because gcc 12 makes an exchange of that on RISC-V
// (mm/page_record.h). So a volatile access of an aligned word is to count as a relaxed atomic one, as in the kernel's own race detector
// (kernel/sanitize/), and one that follows a release fence as a release. Here each becomes an atomic operation that changes nothing,
// followed by the access itself.
//
// Weakness: a fence orders the next volatile store of its thread only; that is the one way in which mm uses one.
#ifdef __SANITIZE_THREAD__
#include <stdbool.h>
#include <stdint.h>

const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
	return "halt_on_error=1";
}

static _Thread_local bool fenced; // a release fence was the last thing of this kind

void __tsan_atomic_thread_fence(int order); // in the place of the library's
void __tsan_atomic_thread_fence(int order)
{
	static _Thread_local int any;
	__atomic_fetch_add(&any, 0, __ATOMIC_SEQ_CST); // a fence on any host; the built-in one would come back here
	fenced = order == __ATOMIC_RELEASE || order == __ATOMIC_ACQ_REL || order == __ATOMIC_SEQ_CST;
}

#define VOLATILE(bytes, type)                                                                 \
	void __tsan_volatile_read##bytes(void *at);                                           \
	void __tsan_volatile_write##bytes(void *at);                                          \
	void __tsan_volatile_read##bytes(void *at)                                            \
	{                                                                                     \
		(void)__atomic_load_n((type *)at, __ATOMIC_RELAXED);                          \
	}                                                                                     \
	void __tsan_volatile_write##bytes(void *at)                                           \
	{                                                                                     \
		__atomic_fetch_or((type *)at, 0, fenced ? __ATOMIC_RELEASE : __ATOMIC_RELAXED); \
		fenced = false;                                                               \
	}
VOLATILE(1, uint8_t)
VOLATILE(2, uint16_t)
VOLATILE(4, uint32_t)
VOLATILE(8, uint64_t)
#endif
