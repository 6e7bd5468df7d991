// helpers.c: what the tests have in common.

#include "user/usertests/test.h"

const uint64 bad_addresses[] = {
	0,                    // null
	8,                    // a member of a null struct
	0x1000,               // below the program
	0x8000,
	KERNBASE,             // where xv6's kernel is
	PHYSTOP,
	UART0,
	0x3000000000,         // between heap and stack
	MAXVA - PAGE,         // the guard above the stack
	MAXVA - 8,
	MAXVA,                // not canonical
	MAXVA + PAGE,
	0x7fffffffffffffff,
	0x8000000000000000,
	0xffffffc000000000,   // the kernel's linear map
	0xffffffc080200000,   // the kernel's text
	0xffffffe000000000,   // the kernel's stacks
	0xfffffffffffff000,
	0xfffffffffffffff8,
	1,                    // end
};

_Noreturn void fail_at(const char *file, int line, const char *format, ...)
{
	va_list arguments;
	char message[200];

	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	printf("\n  %s:%d: %s\n", file, line, message);
	exit(1);
}

int fork_or_fail(void)
{
	int pid = fork();

	if (pid < 0)
		FAIL("fork failed");
	return pid;
}

int start(void (*run)(void *), void *argument)
{
	int pid = fork_or_fail();

	if (pid == 0) {
		run(argument);
		exit(0);
	}
	return pid;
}

int status_of(void (*run)(void *), void *argument)
{
	int status = 12345, pid = start(run, argument);

	EXPECT(wait(&status), pid);
	return status;
}

void reap(int count)
{
	int status;

	while (count-- > 0) {
		if (wait(&status) < 0)
			FAIL("%d children are missing", count + 1);
		EXPECT(status, 0);
	}
}

char *map_memory(uint64 bytes, int flags)
{
	char *at = mmap(0, bytes, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		FAIL("cannot map %lu bytes", bytes);
	return at;
}

void look(void *address)
{
	(void)*(volatile char *)address;
}

void touch(void *address)
{
	*(volatile char *)address = 'T';
}

char *page_before_nothing(void)
{
	char *pages = mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (pages == MAP_FAILED)
		FAIL("no two pages");
	EXPECT(munmap(pages + PAGE, PAGE), 0);
	return pages;
}

void give_back(char *start)
{
	while (sbrk(0) > start) {
		uint64 bytes = (uint64)(sbrk(0) - start);

		CHECK(sbrk(bytes > 1 << 30 ? -(1 << 30) : -(int)bytes) != SBRK_ERROR);
	}
}

uint64 free_pages(void)
{
	static struct meminfo info;

	EXPECT(meminfo(&info, MEMINFO_EXACT), 0);
	return info.free_pages;
}

uint test_seed;

uint random_number(void)
{
	static uint state;

	if (state == 0)
		state = test_seed | 1; // a xorshift's state is never 0
	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state;
}

void write_file(const char *name, const void *bytes, int count)
{
	int file = open(name, O_WRONLY | O_CREATE | O_TRUNC);

	if (file < 0)
		FAIL("cannot make %s", name);
	EXPECT(write(file, bytes, count), count);
	close(file);
}

int read_whole(const char *name, char *to, int max)
{
	int file = open(name, O_RDONLY), used = 0, count;

	if (file < 0)
		FAIL("cannot open %s", name);
	while (used < max && (count = read(file, to + used, max - used)) > 0)
		used += count;
	close(file);
	return used;
}

bool exists(const char *name)
{
	struct stat st;

	return stat(name, &st) == 0;
}

char pattern(uint seed, uint place)
{
	return (char)((place * 7 + seed * 131 + place / 251) % 253);
}

int lowest_descriptor(void)
{
	int file = dup(0);

	close(file);
	return file;
}
