// main.c: from the first instruction in C to the first process, in the order in which one thing needs another.
//
//	device tree -> memblock -> page -> kernel table -> vmalloc -> kmalloc -> devices -> other harts -> first process
//
// Whatever cannot be had here ends in a panic that says so, except a wrong boot argument: then the default is taken.
#include "kernel/boot/bootargs.h"
#include "kernel/boot/crash.h"
#include "kernel/boot/machine.h"
#include "kernel/boot/map.h"
#include "kernel/device/console.h"
#include "kernel/device/plic.h"
#include "kernel/device/random.h"
#include "kernel/machine/csr.h"
#include "kernel/machine/panic.h"
#include "kernel/machine/print.h"
#include "kernel/machine/sbi.h"
#include "kernel/machine/string.h"
#include "kernel/machine/timer.h"
#include "kernel/machine/translation.h"
#include "kernel/process/heapinfo.h"
#include "kernel/process/process.h"
#include "kernel/sanitize/address.h"
#include "kernel/sanitize/thread.h"
#include "mm/heap.h"
#include "mm/page.h"
#include "mm/vmalloc.h"
#include "mm/wrapper.h"

#define TREE_MAX     (16u << 20) // bytes of a device tree that are looked at
#define DMA_LIMIT    (4UL << 30)
#define MIB          (1UL << 20)

static struct memblock memblock; // all of RAM until page_init takes over; what it says of RAM stays true

_Noreturn void boot_main(uint64_t hartid, uint64_t tree);
_Noreturn void hart_run(void);

static void must(const char *error)
{
	if (error)
		panic("boot: %s", error);
}

// RAM that the linear map cannot reach is left out.
static void read_machine(uint64_t tree)
{
	if (tree % 4 || tree >= MAP_LINEAR_BYTES)
		panic("boot: the firmware gave no device tree (address 0x%lx)", tree);
	must(machine_read(&machine, &memblock, pa_pointer(PA(tree)), TREE_MAX));
	timer_hz = machine.timebase;
	uint64_t start = pa_of(kernel_start).raw, bytes = (uint64_t)(kernel_end - kernel_start);
	uint64_t beyond = UINT64_MAX - MAP_LINEAR_BYTES;
	if (!memblock_reserve(&memblock, PA(start), bytes) || !memblock_reserve(&memblock, PA(MAP_LINEAR_BYTES), beyond))
		panic("boot: the kernel's own memory cannot be reserved");
}

static void start_pages(void)
{
	struct page_config config = { .dma_limit = PA(DMA_LIMIT), .cpus = cpu_count() };
	config.engine = bootargs.pages[0] ? bootargs.pages : NULL;
	config.reserve = memblock_free_bytes(&memblock) / PAGE_BYTES / 256;
	if (page_init(&memblock, &config))
		return;
	if (config.engine) {
		kprintf("pages=%s: there is no such page engine; there are", config.engine);
		for (unsigned i = 0; page_engine_choice(i); i++)
			kprintf(" %s", page_engine_choice(i));
		kprintf("; taking %s\n", page_engine_choice(0));
		config.engine = NULL;
		if (page_init(&memblock, &config))
			return;
	}
	panic("boot: no room for the page records");
}

static void start_heap(void)
{
	if (bootargs.heap[0]) {
		if (heap_named(bootargs.heap) && kmalloc_init(bootargs.heap))
			return;
		kprintf("heap=%s: there is no such kernel heap; there are", bootargs.heap);
		for (const struct heap_ops *const *ops = HEAPS; *ops; ops++)
			kprintf(" %s", (*ops)->name);
		kprintf("; taking slab\n");
	}
	if (!kmalloc_init(NULL))
		panic("boot: no memory for the kernel's heap");
}

static void report(void)
{
	size_t pages = page_total_count(), bytes = page_metadata_bytes();
	uint64_t ram = memblock_memory_bytes(&memblock) / MIB;
	boot_print("memory: %lu MiB of RAM, %lu pages managed, %lu free\n", ram, pages, page_free_count());
	boot_print("harts: %u, this is hart %lu; clock %lu Hz, timer by %s; %u ASIDs\n", cpu_count(), cpus[0].hartid, timer_hz,
		   machine.sstc ? "Sstc" : "SBI", translation_asids());
	boot_print("pages: %s engine, %lu.%02lu bytes of metadata a page\n", page_engine_name(), bytes / pages,
		   bytes % pages * 100 / pages);
	boot_print("heap: %s\n", wrapper_core(kmalloc_heap())->ops->name);
}

static void run_constructors(void) // compiler-made ones only: the address sanitizer registers its globals so
{
	extern void (*const __init_array_start[])(void), (*const __init_array_end[])(void);
	for (void (*const *constructor)(void) = __init_array_start; constructor < __init_array_end; constructor++)
		(*constructor)();
}

static void start_memory(uint64_t tree)
{
	read_machine(tree);
	bootargs_read(machine.bootargs);
	boot_print("\nQuire: a teaching kernel around its memory manager\n");
	cpu_number_others();
	if (!address_sanitizer_init(&memblock) || !thread_sanitizer_init(&memblock))
		panic("boot: no room for the sanitizer's shadow");
	start_pages();
	must(kernel_map_init(&memblock.memory));
	translation_init(bootargs.asids);
	if (!vmalloc_init(&kernel_table, VA(MAP_VMALLOC_START), MAP_VMALLOC_BYTES))
		panic("boot: no memory for vmalloc's tables");
	start_heap();
	heapinfo_start(bootargs.quota, bootargs.trace);
	run_constructors();
}

void boot_main(uint64_t hartid, uint64_t tree)
{
	cpu_number_first(hartid);
	trap_init();
	start_memory(tree);
	plic_init();
	console_init();
	random_init();
	report();
	cpu_start_others();
	process_start_init(bootargs.init);
	if (bootargs.crash[0])
		crash_start(bootargs.crash);
	sched_run();
}

void hart_run(void)
{
	thread_sanitizer_acquire(this_cpu());
	trap_init();
	plic_start();
	cpu_set_online((unsigned)this_cpu()->number);
	sched_run();
}
