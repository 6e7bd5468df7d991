// map.c: the kernel half of every address space, built once at boot: see map.h for the picture.
//
// RAM is mapped with the largest leaves that fit, and in three kinds of pieces: what the firmware keeps for itself (not at all: the
// hardware would refuse it anyway), the kernel image (by section), all the rest (RW-).
//
// Cost: three to six table pages for RAM up to 256 GiB, one for each 2 MiB of which a part has other rights.
#include "kernel/boot/map.h"

#include "kernel/boot/machine.h"
#include "kernel/machine/cpu.h"
#include "kernel/machine/translation.h"

extern const char boot_stack_guard[];

static uint64_t physical(const char *symbol)
{
	return (uint64_t)symbol - port_linear;
}

static bool map(uint64_t start, uint64_t end, uint64_t bits)
{
	if (start >= end)
		return true;
	return table_map_range(&kernel_table, VA(start + port_linear), PA(start), end - start, bits | PTE_G) == TABLE_OK;
}

// Maps RAM in [start, end) without the firmware's ranges, which are sorted.
static bool map_ram(uint64_t start, uint64_t end)
{
	const struct memblock_list *holes = &machine.firmware;
	for (unsigned i = 0; i < holes->count; i++) {
		uint64_t hole = round_down(holes->range[i].start, PAGE_BYTES), after = round_up(holes->range[i].end, PAGE_BYTES);
		if (after <= start || hole >= end)
			continue;
		if (!map(start, hole, PTE_R | PTE_W))
			return false;
		start = after;
	}
	return map(start, end, PTE_R | PTE_W);
}

static bool map_kernel(void)
{
	uint64_t guard = physical(boot_stack_guard);
	return map(physical(kernel_start), physical(kernel_text_end), PTE_R | PTE_X) &&
	       map(physical(kernel_text_end), physical(kernel_rodata_end), PTE_R) &&
	       map(physical(kernel_rodata_end), guard, PTE_R | PTE_W) &&
	       map(guard + PAGE_BYTES, physical(kernel_end), PTE_R | PTE_W);
}

// Registers of several devices may share a page: it is mapped once.
static bool map_device(const struct device_registers *device)
{
	uint64_t end = round_up(device->start + device->bytes, PAGE_BYTES);
	for (uint64_t at = round_down(device->start, PAGE_BYTES); at < end;) {
		bool large = is_aligned(at, level_bytes(1)) && end - at >= level_bytes(1);
		enum table_result result = table_map(&kernel_table, VA(at + port_linear), PA(at), large, PTE_R | PTE_W | PTE_G);
		if (result == TABLE_NO_MEMORY)
			return false;
		at += level_bytes(large);
	}
	return true;
}

static bool map_all(const struct memblock_list *ram)
{
	uint64_t image = physical(kernel_start), image_end = physical(kernel_end);
	for (unsigned i = 0; i < ram->count; i++) {
		uint64_t start = round_up(ram->range[i].start, PAGE_BYTES), end = round_down(ram->range[i].end, PAGE_BYTES);
		if (end > MAP_LINEAR_BYTES)
			end = MAP_LINEAR_BYTES;
		if (start >= end)
			continue;
		bool around = start <= image && image_end <= end;
		if (!map_ram(start, around ? image : end) || (around && !map_ram(image_end, end)))
			return false;
	}
	bool devices = map_device(&machine.uart);
	for (unsigned i = 0; i < machine.plics; i++)
		devices = devices && map_device(&machine.plic[i].registers);
	for (unsigned i = 0; i < machine.virtios; i++)
		devices = devices && map_device(&machine.virtio[i]);
	return devices && map_kernel();
}

const char *kernel_map_init(const struct memblock_list *ram)
{
	if (!table_create(&kernel_table, NULL) || !map_all(ram))
		return "no memory for the kernel's page table";
	kernel_table.asid = PORT_KERNEL_ASID;
	kernel_table.cpus = UINT32_MAX;
	return NULL;
}
