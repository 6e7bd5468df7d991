// open.h: between the files of this folder: what file.c offers to the one that starts the file system.
#pragma once

#include <stdbool.h>

bool file_init(void) __attribute__((warn_unused_result)); // false: no memory
