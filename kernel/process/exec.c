// exec.c: replaces a process's program: checks the file, lays out a new address space, puts the arguments on its stack.
//
//    0    4096                                          PROGRAM_TOP                      SPACE_STACK_TOP
//    | none |  text  |  data, bss  | heap ->      <- mappings | guard | ...  <- stack |argv[] | strings |
//
// No segment is read here: each becomes an area with the file behind it, and its pages come at first touch. The new space is built beside
// the old one; only when all has succeeded does it take the old one's place, so a failed exec leaves the caller as it was.
//
// The file may be anyone's. Invariants that hold for a segment before it becomes an area:
//  E1  It lies in the file: offset + file_bytes <= size of the file, without wrapping.
//  E2  It lies in user space above page 0: address + memory_bytes does not wrap and ends below the stack's reach.
//      space_add refuses what overlaps.
//  E3  file_bytes <= memory_bytes, and offset and address agree modulo the page size, so that file pages can be mapped as they are.
//  E4  The entry point lies in an executable segment.
//
// Cost: one read for the header, one for each segment header. Weakness: two segments must not share a page, as linkers with
// -z noseparate-code or -N might make them do; such a program is refused.
#include "kernel/process/process.h"

#include "kernel/fs/file.h"
#include "kernel/machine/csr.h"
#include "kernel/machine/string.h"
#include "kernel/machine/translation.h"
#include "kernel/process/elf.h"

#define SEGMENTS_MAX    64   // segment headers that we are willing to look at
#define ARGUMENTS_BYTES 4096 // strings and pointers together, as in xv6, where they fill one page of stack

struct loading {
	struct space space;
	struct source *source;
	uint64_t file_bytes;
	uint64_t entry;
	bool entry_found;
	uint64_t end; // of the highest segment
};

static bool lies_within(uint64_t start, uint64_t bytes, uint64_t limit)
{
	return bytes <= limit && start <= limit - bytes;
}

static bool header_is_good(const struct elf_header *header, uint64_t file_bytes)
{
	static const uint8_t magic[4] = { 0x7f, 'E', 'L', 'F' };

	return memcmp(header->magic, magic, sizeof(magic)) == 0 && header->class == ELF_CLASS_64 && header->data == ELF_DATA_LITTLE &&
	       header->version == 1 && header->type == ELF_TYPE_PROGRAM && header->machine == ELF_MACHINE_RISCV &&
	       header->segment_bytes == sizeof(struct elf_segment) && header->segments > 0 && header->segments <= SEGMENTS_MAX &&
	       lies_within(header->segments_at, header->segments * sizeof(struct elf_segment), file_bytes) &&
	       is_aligned(header->entry, 2);
}

static bool segment_is_good(const struct elf_segment *segment, uint64_t file_bytes)
{
	return lies_within(segment->offset, segment->file_bytes, file_bytes) && segment->file_bytes <= segment->memory_bytes &&
	       segment->address >= PAGE_BYTES && lies_within(segment->address, segment->memory_bytes, PROGRAM_TOP) &&
	       is_aligned(segment->address - segment->offset, PAGE_BYTES);
}

static unsigned rights_of(const struct elf_segment *segment)
{
	unsigned rights = 0;

	if (segment->rights & ELF_READ)
		rights |= ACCESS_READ;
	if (segment->rights & ELF_WRITE)
		rights |= ACCESS_READ | ACCESS_WRITE; // the machine has no pages for writing only
	if (segment->rights & ELF_EXECUTE)
		rights |= ACCESS_EXECUTE;
	return rights;
}

static bool add_segment(struct loading *load, const struct elf_segment *segment)
{
	unsigned rights = rights_of(segment);
	uint64_t start = round_down(segment->address, PAGE_BYTES), lead = segment->address - start;
	uint64_t end = segment->address + segment->memory_bytes;

	if (!segment_is_good(segment, load->file_bytes))
		return false;
	struct source *source = segment->file_bytes ? load->source : NULL;
	uint64_t source_bytes = source ? lead + segment->file_bytes : 0;
	enum area_kind kind = rights & ACCESS_EXECUTE ? AREA_TEXT : AREA_DATA;
	if (space_add(&load->space, start, round_up(end, PAGE_BYTES) - start, kind, rights, false, source,
		      source ? segment->offset - lead : 0, source_bytes) != SPACE_OK)
		return false;
	if ((rights & ACCESS_EXECUTE) && load->entry >= segment->address && load->entry < end)
		load->entry_found = true;
	if (end > load->end)
		load->end = end;
	return true;
}

static bool add_segments(struct loading *load)
{
	struct elf_header header;
	struct elf_segment segment;

	if (load->file_bytes < sizeof(header) || !load->source->ops->read(load->source, 0, &header, sizeof(header)) ||
	    !header_is_good(&header, load->file_bytes))
		return false;
	load->entry = header.entry;
	for (unsigned i = 0; i < header.segments; i++) {
		if (!load->source->ops->read(load->source, header.segments_at + i * sizeof(segment), &segment, sizeof(segment)))
			return false;
		if (segment.type == ELF_SEGMENT_LOAD && segment.memory_bytes > 0 && !add_segment(load, &segment))
			return false;
	}
	load->space.heap_start = load->space.heap_end = round_up(load->end, PAGE_BYTES);
	return load->entry_found;
}

// Puts strings and the array of pointers to them on the stack, 16-byte aligned each; *sp gets the array's address. Returns argc, or -1.
static int push_arguments(struct space *space, char *const argv[], uint64_t *sp)
{
	uint64_t pointers[MAXARG], top = SPACE_STACK_TOP;
	int argc = 0;

	for (; argv[argc]; argc++) {
		size_t bytes = strlen(argv[argc]) + 1;
		if (argc == MAXARG - 1 || bytes > ARGUMENTS_BYTES)
			return -1;
		top = round_down(top - bytes, 16);
		if (top < SPACE_STACK_TOP - ARGUMENTS_BYTES || space_copy_out(space, top, argv[argc], bytes) != SPACE_OK)
			return -1;
		pointers[argc] = top;
	}
	pointers[argc] = 0;
	size_t bytes = ((size_t)argc + 1) * sizeof(pointers[0]);
	top = round_down(top - bytes, 16);
	if (top < SPACE_STACK_TOP - ARGUMENTS_BYTES || space_copy_out(space, top, pointers, bytes) != SPACE_OK)
		return -1;
	*sp = top;
	return argc;
}

// Makes the new space the process's own and frees the old one.
static void take_over(struct process *self, const struct space *space)
{
	struct space old = self->space;

	interrupts_off();
	translation_leave();
	self->space = *space;
	translation_enter(&self->space.table);
	interrupts_on();
	space_destroy(&old);
}

static void set_name(struct process *self, const char *path)
{
	const char *last = path;

	for (const char *c = path; *c; c++)
		if (*c == '/' && c[1])
			last = c + 1;
	strlcpy(self->name, last, sizeof(self->name));
}

int process_exec(const char *path, char *const argv[])
{
	struct process *self = process_current();
	struct loading load = { 0 };
	uint64_t sp;
	int argc = -1;

	load.source = fs_program(path, &load.file_bytes);
	if (!load.source)
		return -1;
	if (space_create(&load.space, &kernel_table)) {
		if (space_add(&load.space, SPACE_STACK_TOP - PAGE_BYTES, PAGE_BYTES, AREA_STACK, ACCESS_READ | ACCESS_WRITE, false, NULL,
			      0, 0) == SPACE_OK && add_segments(&load))
			argc = push_arguments(&load.space, argv, &sp);
		if (argc < 0)
			space_destroy(&load.space);
	}
	load.source->ops->put(load.source);
	if (argc < 0)
		return -1;
	take_over(self, &load.space);
	set_name(self, path);
	*self->frame = (struct trapframe){ .pc = load.entry, .status = SSTATUS_SPIE };
	self->frame->x[2] = sp;
	self->frame->x[11] = sp;
	return argc;
}
