// shutdown.c: writes everything to the disk and switches the machine off.

#include "user/quire.h"

int main(void)
{
	shutdown(SHUTDOWN_OFF);
	die("shutdown: the machine does not switch off");
}
