// main.c: the shell: sh, sh FILE, or sh -c 'COMMANDS'.
//
//      ;  one after the other      &  in the background      &&  ||  depending on the status      |  joined by a pipe      ( )  a group
//      <  >  >>  files             ' " \  quoting            #  comment      $?  the last status      cd, exit, history

#include "kernel/fcntl.h"
#include "kernel/stat.h"
#include "user/sh/sh.h"

int last_status;

static void execute(const char *line)
{
	bool wrong;
	struct node *node = parse(line, &wrong);

	if (node)
		last_status = run(node);
	else if (wrong)
		last_status = 2;
}

// Makes sure that 0, 1 and 2 are open.
static void open_console(void)
{
	int file;

	while ((file = open("/console", O_RDWR)) >= 0 && file < 3)
		;
	close(file);
}

int main(int argc, char *argv[])
{
	static char line[LINE_BYTES];
	struct stat st;

	open_console();
	if (argc == 3 && strcmp(argv[1], "-c") == 0) {
		execute(argv[2]);
		return last_status;
	}
	if (argc > 1) {
		close(0);
		if (open(argv[1], O_RDONLY) != 0)
			die("sh: cannot open %s", argv[1]);
	}
	while (read_line(line, fstat(0, &st) == 0 && st.type == T_DEVICE))
		execute(line);
	return last_status;
}
