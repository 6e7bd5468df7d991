// sleep.c: sleeps for so many ticks (a tenth of a second each): something to put into the background, to list and to kill.
#include "kernel/types.h"
#include "user/user.h"

int main(int argc, char *argv[])
{
	sleep(argc > 1 ? atoi(argv[1]) : 10);
	return 0;
}
