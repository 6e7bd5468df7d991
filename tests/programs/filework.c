// filework.c: file work for the power-loss test: work that never ends, and the check of what it had synced.
//
//	filework run SEED RUN           removes what earlier runs left, then two processes work until the machine stops
//	filework check SEED RUN W GEN   is generation GEN of worker W whole?  prints `whole` or what is wrong
//
//	/r<RUN>w<W>/g<GEN>/f0..f5       a generation: files whose sizes and bytes follow from the numbers
//	/r<RUN>w<W>/c0..c3              churn: made, cut, overwritten, linked, unlinked; its contents prove nothing
//
// A worker writes generation after generation; after each it calls sync and then prints `synced W GEN`. It removes generation GEN - 2 only
// after that line, so that the last line that got out before the power went is always about files that are still meant to be there.

#include "kernel/fcntl.h"
#include "kernel/fs.h"
#include "kernel/stat.h"
#include "user/quire.h"

#define FILES 6
#define CHURN 4

static uint64 state;
static uchar bytes[40 * 1024], found[sizeof(bytes)];

static uint random_below(uint limit)
{
	state = state * 6364136223846793005ul + 1442695040888963407ul;
	return (uint)(state >> 33) % limit;
}

// Fills `bytes` with what file `number` of a generation holds; returns how much that is.
static int content(int seed, int run, int worker, int generation, int number)
{
	uint64 kept = state;
	state = ((((uint64)seed * 1000 + (uint)run) * 10 + (uint)worker) * 100000 + (uint)generation) * 10 + (uint)number;
	random_below(2);
	int size = (int)random_below(random_below(3) ? 3000 : sizeof(bytes));
	for (int i = 0; i < size; i++)
		bytes[i] = (uchar)random_below(256);
	state = kept;
	return size;
}

static void write_file(const char *path, int flags, int size)
{
	int file = open(path, O_WRONLY | O_CREATE | flags);
	if (file < 0 || write(file, bytes, size) != size)
		die("filework: cannot write %s", path);
	close(file);
}

// The path of an entry in a directory; its name has no NUL when it is 14 bytes long.
static void entry_path(char *to, uint size, const char *directory, const struct dirent *entry)
{
	char name[DIRSIZ + 1] = { 0 };

	memmove(name, entry->name, DIRSIZ);
	snprintf(to, size, "%s/%s", directory, name);
}

static void remove_all(const char *path)
{
	char inner[64];
	struct dirent entry;
	int directory = open(path, O_RDONLY);
	struct stat info;

	if (directory < 0)
		return;
	fstat(directory, &info);
	while (info.type == T_DIR && read(directory, &entry, sizeof(entry)) == sizeof(entry)) {
		if (entry.inum == 0 || entry.name[0] == '.')
			continue;
		entry_path(inner, sizeof(inner), path, &entry);
		remove_all(inner);
	}
	close(directory);
	if (unlink(path) < 0)
		die("filework: cannot remove %s", path);
}

static void remove_old_runs(void)
{
	struct dirent entry;
	char path[20];
	int root = open("/", O_RDONLY);

	while (read(root, &entry, sizeof(entry)) == sizeof(entry)) {
		if (entry.inum == 0 || entry.name[0] != 'r' || entry.name[1] < '0' || entry.name[1] > '9')
			continue;
		entry_path(path, sizeof(path), "", &entry);
		remove_all(path);
	}
	close(root);
}

static void churn(const char *top)
{
	char path[40], other[40];
	int file;

	snprintf(path, sizeof(path), "%s/c%d", top, random_below(CHURN));
	snprintf(other, sizeof(other), "%s/c%d", top, random_below(CHURN));
	switch (random_below(6)) {
	case 0:
		unlink(path);
		mkdir(path);
		break;
	case 1:
		link(path, other);
		break;
	case 2:
		unlink(path);
		break;
	case 3: // a file that nobody can name any more, for a mount to find
		if ((file = open(path, O_RDWR | O_CREATE)) >= 0) {
			unlink(path);
			write(file, bytes, (int)random_below(9000));
			close(file);
		}
		break;
	default:
		if ((file = open(path, O_RDWR | O_CREATE | (random_below(2) ? O_TRUNC : 0))) >= 0) {
			write(file, bytes, (int)random_below(sizeof(bytes)));
			close(file);
		}
	}
}

static void work(int seed, int run, int worker)
{
	char top[16], path[40];

	state = (uint64)seed * 31 + (uint)run * 7 + (uint)worker;
	snprintf(top, sizeof(top), "/r%dw%d", run, worker);
	mkdir(top);
	for (int generation = 0;; generation++) {
		snprintf(path, sizeof(path), "%s/g%d", top, generation);
		mkdir(path);
		for (int i = 0; i < FILES; i++) {
			int size = content(seed, run, worker, generation, i);
			snprintf(path, sizeof(path), "%s/g%d/f%d", top, generation, i);
			write_file(path, 0, size);
			for (uint n = random_below(4); n > 0; n--)
				churn(top);
		}
		sync();
		printf("synced %d %d\n", worker, generation);
		snprintf(path, sizeof(path), "%s/g%d", top, generation - 2);
		if (generation >= 2)
			remove_all(path);
	}
}

static void check(int seed, int run, int worker, int generation)
{
	char path[40];

	for (int i = 0; i < FILES; i++) {
		int size = content(seed, run, worker, generation, i);
		snprintf(path, sizeof(path), "/r%dw%d/g%d/f%d", run, worker, generation, i);
		int file = open(path, O_RDONLY);
		int got = file < 0 ? -1 : read(file, found, sizeof(found));
		if (got != size || memcmp(found, bytes, (uint)size) != 0) {
			printf("%s: %d bytes, expected %d%s\n", path, got, size, got == size ? ": not the same ones" : "");
			exit(1);
		}
		close(file);
	}
	printf("whole\n");
}

int main(int argc, char **argv)
{
	if (argc == 6 && strcmp(argv[1], "check") == 0) {
		check(atoi(argv[2]), atoi(argv[3]), atoi(argv[4]), atoi(argv[5]));
		return 0;
	}
	if (argc != 4 || strcmp(argv[1], "run") != 0)
		die("usage: filework run SEED RUN | filework check SEED RUN WORKER GENERATION");
	remove_old_runs();
	printf("working\n");
	if (fork() == 0)
		work(atoi(argv[2]), atoi(argv[3]), 1);
	work(atoi(argv[2]), atoi(argv[3]), 0);
	return 0;
}
