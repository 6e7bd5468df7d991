// crash.h: kernel bugs on purpose, for the boot argument crash=.
#pragma once

// Starts a kernel thread with the bug of that name; an unknown one is reported.
void crash_start(const char *name);
