// model_file.h: files for the space model: one lends its pages, one can only be read, one is shared by pinning.
#pragma once

#include "../space.h"

#define FILES      3
#define FILE_PAGES 12
#define FILE_BYTES (FILE_PAGES * PAGE_BYTES - 1234)

enum { FILE_LENDS, FILE_READS, FILE_PINS };

struct file {
	struct source source;
	unsigned users;                 // areas that hold it
	uint8_t bytes[FILE_PAGES * 4096]; // on the disk
	pa_t page[FILE_PAGES];          // in the cache
	unsigned pins[FILE_PAGES];
	bool dirty[FILE_PAGES];
};
extern struct file files[FILES];
extern bool file_io_fails; // every read from now on

void files_start(void);                       // fresh contents
void file_drop(struct file *file, size_t i);  // the cache lets go of a page that is not pinned
