// mmapdemo.c: shows files and memory as one: a file mapped shared, mapped private, and memory that two processes share.

#include "kernel/fcntl.h"
#include "user/quire.h"

#define PAGE  4096
#define BYTES (16 * PAGE)

static uint64 resident(void)
{
	static struct meminfo info;

	meminfo(&info, 0);
	return info.process.resident_pages;
}

static char first_byte_of(const char *path)
{
	char c = '?';
	int file = open(path, O_RDONLY);

	read(file, &c, 1);
	close(file);
	return c;
}

static void make_file(const char *path)
{
	static char page[PAGE];
	int file = open(path, O_WRONLY | O_CREATE | O_TRUNC);

	memset(page, 'a', PAGE);
	for (int i = 0; i < BYTES; i += PAGE)
		if (write(file, page, PAGE) != PAGE)
			die("mmapdemo: cannot write %s", path);
	close(file);
}

static char *map(const char *path, int flags)
{
	int file = open(path, O_RDWR);
	char *at = mmap(0, BYTES, PROT_READ | PROT_WRITE, flags, file, 0);

	close(file); // the mapping keeps the file
	if (at == MAP_FAILED)
		die("mmapdemo: cannot map %s", path);
	return at;
}

int main(void)
{
	const char *path = "mmapdemo.tmp";
	volatile char *shared, *private, *common;
	uint64 before;
	char c;

	make_file(path);
	before = resident();
	private = map(path, MAP_PRIVATE);
	printf("16 pages of a file are mapped at %p; %lu of them are in memory\n", private, resident() - before);
	c = private[0];
	printf("a read found '%c'; now %lu page is\n", c, resident() - before);
	private[0] = 'P';
	printf("a write to the private mapping: it has '%c', the file still '%c'\n", private[0], first_byte_of(path));

	shared = map(path, MAP_SHARED);
	shared[0] = 'S';
	printf("a write to a shared mapping: it has '%c', the file", shared[0]);
	munmap((void *)shared, BYTES);
	printf(" '%c', the private mapping '%c'\n", first_byte_of(path), private[0]);

	common = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (common == MAP_FAILED)
		die("mmapdemo: no shared memory");
	if (fork() == 0) {
		common[0] = 'C';
		exit(0);
	}
	wait(0);
	printf("the child wrote to memory without a file that it shares with its parent: the parent finds '%c'\n", common[0]);
	munmap((void *)private, BYTES);
	unlink(path);
	return 0;
}
