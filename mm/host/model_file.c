// model_file.c: a disk's bytes, a cache of single pages above them, and the rules that a file system keeps towards mm.
//
//      bytes[] --read--> page[i]: one reference of the cache, one for each borrower; pins keep it in place
//                        last unpin: written back if any unpin said dirty; if none did, it must still be what the disk holds
#include "model_file.h"

#include "../page.h"
#include "test.h"

struct file files[FILES];
bool file_io_fails;

static void file_get(struct source *source)
{
	((struct file *)source)->users++;
}

static void file_put(struct source *source)
{
	EXPECT(((struct file *)source)->users-- > 0);
}

static bool file_read(struct source *source, uint64_t offset, void *to, size_t bytes)
{
	struct file *file = (struct file *)source;
	if (file_io_fails)
		return false;
	memset(to, 0, bytes);
	if (offset < FILE_BYTES)
		memcpy(to, file->bytes + offset, bytes < FILE_BYTES - offset ? bytes : FILE_BYTES - offset);
	return true;
}

static pa_t file_page(struct source *source, uint64_t offset)
{
	struct file *file = (struct file *)source;
	size_t i = offset / PAGE_BYTES;
	EXPECT(offset % PAGE_BYTES == 0);
	if (file_io_fails || i >= FILE_PAGES)
		return PA_NONE;
	if (pa_is_none(file->page[i])) {
		file->page[i] = page_alloc(0, 0);
		if (!pa_is_none(file->page[i]))
			EXPECT(file_read(source, offset, pa_pointer(file->page[i]), PAGE_BYTES));
	}
	return file->page[i];
}

static pa_t file_borrow(struct source *source, uint64_t offset)
{
	pa_t page = file_page(source, offset);
	if (!pa_is_none(page))
		page_share(page);
	return page;
}

static pa_t file_pin(struct source *source, uint64_t offset)
{
	pa_t page = file_page(source, offset);
	if (!pa_is_none(page))
		((struct file *)source)->pins[offset / PAGE_BYTES]++;
	return page;
}

void file_drop(struct file *file, size_t i)
{
	if (!pa_is_none(file->page[i]))
		page_free(file->page[i]);
	file->page[i] = PA_NONE;
}

static void file_unpin(struct source *source, uint64_t offset, pa_t page, bool dirty)
{
	struct file *file = (struct file *)source;
	size_t i = offset / PAGE_BYTES, bytes = FILE_BYTES - i * PAGE_BYTES < PAGE_BYTES ? FILE_BYTES - i * PAGE_BYTES : PAGE_BYTES;
	EXPECT(page.raw == file->page[i].raw && file->pins[i] > 0);
	file->dirty[i] |= dirty;
	if (--file->pins[i])
		return;
	if (file->dirty[i])
		memcpy(file->bytes + i * PAGE_BYTES, pa_pointer(page), bytes);
	EXPECT(memcmp(file->bytes + i * PAGE_BYTES, pa_pointer(page), bytes) == 0); // a write that nobody told of
	file->dirty[i] = false;
	file_drop(file, i);
}

static const struct source_ops file_ops[FILES] = {
	{ .get = file_get, .put = file_put, .read = file_read, .borrow = file_borrow },
	{ .get = file_get, .put = file_put, .read = file_read },
	{ .get = file_get, .put = file_put, .read = file_read, .pin = file_pin, .unpin = file_unpin },
};

void files_start(void)
{
	memset(files, 0, sizeof files);
	for (size_t i = 0; i < FILES; i++) {
		files[i].source.ops = &file_ops[i];
		for (size_t b = 0; b < FILE_BYTES; b++)
			files[i].bytes[b] = (uint8_t)(b * 7 + b / 4096 + i);
	}
}
