// sync.c: returns when everything that was written is on the disk.

#include "user/quire.h"

int main(void)
{
	if (sync() < 0)
		die("sync: failed");
	return 0;
}
