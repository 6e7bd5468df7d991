// ln.c: gives a file one more name.

#include "user/quire.h"

int main(int argc, char *argv[])
{
	if (argc != 3)
		die("usage: ln OLD NEW");
	if (link(argv[1], argv[2]) < 0)
		die("ln: cannot make %s another name of %s", argv[2], argv[1]);
	return 0;
}
