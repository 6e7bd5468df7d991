// memory.c: the heap's end, pages at first touch, the stack's growth, malloc, and every kind of fault.

#include "user/usertests/test.h"

int main(int argc, char *argv[]);

TEST(sbrk_basics)
{
	char *start = sbrk(0), *old;

	for (int i = 0; i < 5000; i++) {
		old = sbrk(1);
		CHECK(old == start + i);
		*old = 1;
		CHECK(sbrk(0) == old + 1);
	}
	CHECK(sbrk(-5000) == start + 5000);
	CHECK(sbrk(0) == start);
	old = sbrk(3 * PAGE);
	CHECK(old == start);
	for (int i = 0; i < 3 * PAGE; i++)
		if ((uint64)(old + i) % PAGE == 0)
			EXPECT(old[i], 0); // pages that were given back come as zeroes
	sbrk(-3 * PAGE);
}

TEST(sbrk_limits)
{
	char *end = sbrk(0);

	CHECK(sbrk(-0x7fffffff) == end); // to below address 0: not an error, but nothing changes
	CHECK(sbrk(-0x7fffffff - 1) == end);
	CHECK(sbrk(-(int)(uint64)end - 1) == end);
	CHECK(sbrk(-(int)(uint64)end) == SBRK_ERROR);
	CHECK(sbrk(-(int)((uint64)end - 0x10000)) == SBRK_ERROR); // into the program itself
	CHECK(sbrk(0) == end);
	CHECK(sbrk(10) == end);
	CHECK(sbrk(-10) == end + 10);
}

// Addresses up to everything that the machine has can be had one after the other, until there is an end; then all goes back.
TEST(sbrk_until_refused)
{
	char *start = sbrk(0);
	int steps = 0;

	while (sbrk(256 * MB) != SBRK_ERROR)
		if (++steps > 1200)
			FAIL("more addresses than Sv39 has");
	while (steps-- > 0)
		CHECK(sbrk(-256 * MB) != SBRK_ERROR);
	CHECK(sbrk(0) == start);
}

// sbrklazy gives addresses without regard to how much memory there is, up to the guard below the stack.
TEST(sbrk_lazily)
{
	char *start = sbrk(0);
	int steps = 0, rest;

	for (; TRAPFRAME - (uint64)sbrk(0) >= 1 << 30; steps++)
		CHECK(sbrklazy(1 << 30) != SBRK_ERROR);
	rest = (int)(TRAPFRAME - (uint64)sbrk(0));
	CHECK(sbrklazy(rest + 1) == SBRK_ERROR);
	CHECK(sbrklazy(rest - PAGE) == (char *)TRAPFRAME - rest);
	CHECK(sbrk(PAGE) == (char *)TRAPFRAME - PAGE);
	CHECK(sbrklazy(1) == SBRK_ERROR);
	CHECK(sbrk(1) == SBRK_ERROR);
	*((char *)TRAPFRAME - 1) = 1;
	start[1 << 30] = 1;
	CHECK(*((char *)TRAPFRAME - 2) == 0);
	EXPECT_KILLED(look, (char *)TRAPFRAME);
	EXPECT_KILLED(look, (void *)((uint64)&rest - USERSTACK * PAGE));
	CHECK(sbrk(-rest) == (char *)TRAPFRAME);
	while (steps-- > 0)
		CHECK(sbrk(-(1 << 30)) != SBRK_ERROR);
	CHECK(sbrk(0) == start);
}

static void jump(void *address)
{
	((void (*)(void))address)();
}

TEST(heap_ends_there)
{
	char *page = sbrk(PAGE + (int)(-(uint64)sbrk(0) % PAGE)), *end = sbrk(0);

	(void)page;
	end[-1] = 1;
	EXPECT(status_of(touch, end - 1), 0);
	EXPECT_KILLED(touch, end);
	EXPECT_KILLED(look, end + PAGE);
	sbrk(-PAGE);
	EXPECT_KILLED(look, end - 1); // what was given back is gone
	EXPECT_KILLED(touch, end - PAGE);
}

// Memory that was given back is no buffer any more, for the kernel neither.
TEST(given_back_in_calls)
{
	char *heap = sbrk(4 * PAGE);
	int ends[2];

	memset(heap, 1, 4 * PAGE);
	EXPECT(pipe(ends), 0);
	EXPECT(write(ends[1], heap + 2 * PAGE, 10), 10);
	sbrk(-4 * PAGE);
	EXPECT(write(ends[1], heap + 2 * PAGE, 10), -1);
	EXPECT(read(ends[0], heap + 2 * PAGE, 10), -1);
	sbrk(4 * PAGE);
	EXPECT(heap[2 * PAGE], 0);
	sbrk(-4 * PAGE);
}

TEST(bss_is_zero)
{
	static char zeroes[20000];

	for (uint i = 0; i < sizeof(zeroes); i++)
		EXPECT(zeroes[i], 0);
}

TEST(fault_read)
{
	FOR_EACH_BAD (pointer)
		EXPECT_KILLED(look, pointer);
}

TEST(fault_write)
{
	FOR_EACH_BAD (pointer)
		EXPECT_KILLED(touch, pointer);
	EXPECT_KILLED(touch, (void *)main);
	EXPECT_KILLED(touch, (void *)bad_addresses);
}

TEST(fault_execute)
{
	static int data = 0x00008067; // ret
	int on_stack = data, *in_heap = malloc(sizeof(int));

	*in_heap = data;
	FOR_EACH_BAD (pointer)
		EXPECT_KILLED(jump, pointer);
	EXPECT_KILLED(jump, &data);
	EXPECT_KILLED(jump, &on_stack);
	EXPECT_KILLED(jump, in_heap);
	free(in_heap);
}

static void illegal(void *unused)
{
	(void)unused;
	__asm__ volatile(".4byte 0xffffffff");
}

static void breakpoint(void *unused)
{
	(void)unused;
	__asm__ volatile("ebreak");
}

static void read_supervisor(void *unused)
{
	(void)unused;
	__asm__ volatile("csrr t0, sstatus" ::: "t0");
}

static void write_supervisor(void *unused)
{
	(void)unused;
	__asm__ volatile("csrw satp, zero");
}

static void return_supervisor(void *unused)
{
	(void)unused;
	__asm__ volatile("sret");
}

static void flush_translations(void *unused)
{
	(void)unused;
	__asm__ volatile("sfence.vma");
}

static void write_counter(void *unused)
{
	(void)unused;
	__asm__ volatile("csrw cycle, zero");
}

TEST(fault_instructions)
{
	EXPECT_KILLED(illegal, 0);
	EXPECT_KILLED(breakpoint, 0);
	EXPECT_KILLED(read_supervisor, 0);
	EXPECT_KILLED(write_supervisor, 0);
	EXPECT_KILLED(return_supervisor, 0);
	EXPECT_KILLED(flush_translations, 0);
	EXPECT_KILLED(write_counter, 0);
}

TEST(counters_are_readable)
{
	uint64 time = r_time(), cycle = r_cycle(), instret = r_instret();

	for (volatile int i = 0; i < 1000; i++)
		;
	CHECK(r_time() >= time && r_cycle() > cycle && r_instret() > instret);
}

// The kernel's heap: each block has a place, and an area of ours is one more. Others may come and go: a few tries.
TEST(heap_is_told)
{
	static struct heapinfo info, more;
	static struct heapplace places[HEAP_PLACES];
	bool seen = false;

	for (int tries = 0; tries < 20 && !seen; tries++) {
		uint64 blocks = 0, bytes = 0;
		int count = heapinfo(&info, places, HEAP_PLACES);
		char *area = mmap(0, PAGE, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

		CHECK(count > 0 && count <= HEAP_PLACES && area != MAP_FAILED);
		EXPECT(heapinfo(&more, 0, 0), 0);
		EXPECT(munmap(area, PAGE), 0);
		for (int i = 0; i < count; i++) {
			CHECK(i == 0 || places[i].bytes <= places[i - 1].bytes);
			blocks += places[i].blocks;
			bytes += places[i].bytes;
		}
		seen = blocks == info.blocks && bytes == info.asked && more.blocks == info.blocks + 2; // the area, and what shares it
	}
	CHECK(seen);
	CHECK(info.used >= info.asked && info.largest_free <= info.free && info.name[0]);
}

// Only in a kernel with trace=.
TEST(heap_trace_goes_on)
{
	static struct heapinfo info;
	static struct heapevent events[8];
	int count = heaptrace(events, 8, 1);

	EXPECT(heapinfo(&info, 0, 0), 0);
	CHECK((count < 0) == (info.events == 0));
	for (uint64 next = 1; count > 0 && next <= info.events; count = heaptrace(events, 8, next))
		for (int i = 0; i < count; i++) {
			CHECK(events[i].sequence >= next && events[i].op >= 1 && events[i].op <= 3 && events[i].place[0]);
			next = events[i].sequence + 1;
		}
	CHECK(count < 0 || heaptrace(events, 8, 1UL << 60) == 0);
}

static int __attribute__((noinline)) recurse(int bytes)
{
	volatile char frame[1024];
	int result;

	frame[0] = 1;
	result = bytes > 0 ? recurse(bytes - (int)sizeof(frame)) : 0;
	return result + frame[0]; // used after the call: each level keeps its frame
}

static void deep(void *bytes)
{
	recurse((int)(uint64)bytes);
}

TEST(stack_grows)
{
	EXPECT(status_of(deep, (void *)(100UL << 10)), 0);
	EXPECT(status_of(deep, (void *)(6UL * MB)), 0);
	EXPECT_KILLED(deep, (void *)(16UL * MB)); // the guard below the largest stack
}

// The kernel's own accesses make the stack grow, too.
TEST(stack_grows_in_calls)
{
	char large[600 << 10];
	int ends[2];

	EXPECT(pipe(ends), 0);
	EXPECT(write(ends[1], "deep", 4), 4);
	EXPECT(read(ends[0], large, 4), 4);
	CHECK(memcmp(large, "deep", 4) == 0);
}

static void touch_below_stack(void *distance)
{
	char here;

	*(volatile char *)(&here - (uint64)distance) = 1;
}

TEST(stack_guard)
{
	EXPECT_KILLED(touch_below_stack, (void *)(9UL * MB));
	EXPECT_KILLED(touch_below_stack, (void *)(100UL * MB));
}

// Addresses cost nothing; pages come one by one, as zeroes, also when the kernel is the first to touch them.
TEST(lazy_pages)
{
	uint64 before = free_pages();
	char *heap = sbrk(32 * MB);
	int ends[2];

	CHECK(heap != SBRK_ERROR);
	CHECK(before - free_pages() < 4);
	EXPECT(heap[16 * MB], 0);
	heap[25 * MB] = 1;
	CHECK(before - free_pages() < 12);
	EXPECT(pipe(ends), 0);
	EXPECT(write(ends[1], heap + 8 * MB - 100, 200), 200); // never touched: zeroes
	EXPECT(read(ends[0], heap + 20 * MB - 100, 200), 200);
	for (int i = -100; i < 100; i++)
		EXPECT(heap[20 * MB + i], 0);
	EXPECT(pipe((int *)(heap + 10 * MB)), 0);
	CHECK(before - free_pages() < 40);
	sbrk(-32 * MB);
}

TEST(eager_pages)
{
	uint64 before = free_pages();
	char *heap = sys_sbrk(100 * PAGE, 1);

	CHECK(heap != SBRK_ERROR);
	CHECK(before - free_pages() >= 100);
	sbrk(-100 * PAGE);
}

// The program's constants and text are the file's pages; a child and a copy of the program share them.
TEST(text_is_shared)
{
	static struct meminfo info;

	EXPECT(meminfo(&info, 0), 0);
	CHECK(info.process.shared_pages >= 5);
	CHECK(info.process.resident_pages < 400);
}

TEST(malloc_patterns)
{
	char *blocks[40] = { 0 };
	uint sizes[40] = { 0 };

	for (int round = 0; round < 2000; round++) {
		uint i = random_number() % 40;

		for (uint k = 0; k < sizes[i]; k++)
			EXPECT(blocks[i][k], (char)i);
		free(blocks[i]);
		sizes[i] = random_number() % (round % 50 == 0 ? 60000 : 600);
		if (!(blocks[i] = malloc(sizes[i])))
			FAIL("malloc of %u", sizes[i]);
		CHECK((uint64)blocks[i] % 16 == 0);
		memset(blocks[i], (int)i, sizes[i]);
	}
	for (int i = 0; i < 40; i++)
		free(blocks[i]);
}

TEST(realloc_keeps)
{
	char *block = 0;
	uint known = 0;

	for (uint size = 1; size < 100000; size = size * 3 / 2 + 1) {
		block = realloc(block, size);
		CHECK(block != 0);
		for (uint i = 0; i < known; i++)
			EXPECT(block[i], pattern(6, i));
		for (uint i = 0; i < size; i++)
			block[i] = pattern(6, i);
		known = size;
	}
	free(block);
	block = calloc(100, 100);
	for (int i = 0; i < 10000; i++)
		EXPECT(block[i], 0);
	free(block);
	CHECK(calloc(0xffffffff, 0xffffffff) == 0);
}
