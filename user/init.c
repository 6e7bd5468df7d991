// init.c: the first process: opens the console, makes the devices' files, keeps a shell running on it, and adopts every orphan.

#include "kernel/fcntl.h"
#include "user/quire.h"

#define CONSOLE 1 // major numbers of the drivers
#define RANDOM  2

int main(void)
{
	static char *shell[] = { "sh", 0 };
	int pid, ended;

	if (open("/console", O_RDWR) < 0) {
		mknod("/console", CONSOLE, 0);
		open("/console", O_RDWR);
	}
	dup(0);
	dup(0);
	mknod("/random", RANDOM, 0); // or it is there already
	for (;;) {
		if ((pid = fork()) < 0)
			die("init: cannot fork");
		if (pid == 0) {
			exec("/sh", shell);
			die("init: cannot run /sh");
		}
		do
			ended = wait(0);
		while (ended >= 0 && ended != pid);
		printf("init: the shell has ended; here is a new one\n");
	}
}
