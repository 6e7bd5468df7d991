// reboot.c: writes everything to the disk and starts the machine again.

#include "user/quire.h"

int main(void)
{
	shutdown(SHUTDOWN_REBOOT);
	die("reboot: the machine does not start again");
}
