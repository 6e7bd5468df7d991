// ls.c: lists files: kind, inode, links, size and name.

#include "kernel/stat.h"
#include "kernel/fcntl.h"
#include "kernel/fs.h"
#include "kernel/param.h"
#include "user/quire.h"

static void show(const char *name, const struct stat *st)
{
	printf("%c %5u %3d %9lu %s\n", st->type == T_DIR ? 'd' : st->type == T_DEVICE ? 'c' : '-', st->ino, st->nlink, st->size, name);
}

static void list_directory(int file, const char *path)
{
	struct dirent entry;
	struct stat st;
	char name[MAXPATH + DIRSIZ + 2];

	while (read(file, &entry, sizeof(entry)) == sizeof(entry)) {
		if (entry.inum == 0)
			continue;
		snprintf(name, sizeof(name), "%s/", path);
		memmove(name + strlen(path) + 1, entry.name, DIRSIZ);
		name[strlen(path) + 1 + DIRSIZ] = '\0';
		if (stat(name, &st) < 0)
			fprintf(2, "ls: %s is gone\n", name);
		else
			show(name + strlen(path) + 1, &st);
	}
}

static int list(const char *path)
{
	struct stat st;
	int file = open(path, O_RDONLY);

	if (file < 0 || fstat(file, &st) < 0 || strlen(path) > MAXPATH) {
		fprintf(2, "ls: cannot open %s\n", path);
		return 1;
	}
	if (st.type == T_DIR)
		list_directory(file, path);
	else
		show(path, &st);
	close(file);
	return 0;
}

int main(int argc, char *argv[])
{
	int status = 0;

	if (argc < 2)
		return list(".");
	for (int i = 1; i < argc; i++) {
		if (argc > 2)
			printf("%s:\n", argv[i]);
		status |= list(argv[i]);
	}
	return status;
}
