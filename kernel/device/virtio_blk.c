// virtio_blk.c: the driver of a virtio block device behind the MMIO transport, version 2 ("modern").
//
//   request with 3 pages ->  descriptors [ header | page | page | page | status ]  chained by `next`
//                                            |
//   driver: avail ring [ .. head .. ] ----> device ----> used ring [ .. head .. ], interrupt ----> done, wake the waiter
//
// A request takes as many descriptors as it has pages, plus two; who finds too few free ones sleeps until some come back. The device
// may finish requests in any order. Each head has its own header and status byte, so requests share nothing.
//
//  V1  A descriptor is either in the free chain or part of exactly one request that the device has not finished.
//  V2  owner[head] is not NULL exactly while the chain that starts at head is the device's.
//
// Cost: one notification and one interrupt a request, whatever its size. Weakness: one queue for all harts.
// Source: Virtual I/O Device (VIRTIO) Version 1.1, sections 2.6 (split virtqueues), 4.2 (MMIO), 5.2 (block device).
#include "kernel/device/virtio_blk.h"

#include "kernel/boot/machine.h"
#include "kernel/device/plic.h"
#include "kernel/machine/print.h"

enum { // registers, offsets in bytes
	MAGIC = 0x00, VERSION = 0x04, DEVICE_ID = 0x08, DEVICE_FEATURES = 0x10, DEVICE_FEATURES_SELECT = 0x14, DRIVER_FEATURES = 0x20,
	DRIVER_FEATURES_SELECT = 0x24, QUEUE_SELECT = 0x30, QUEUE_MAX = 0x34, QUEUE_NUMBER = 0x38, QUEUE_READY = 0x44, QUEUE_NOTIFY = 0x50,
	INTERRUPT_STATUS = 0x60, INTERRUPT_ACKNOWLEDGE = 0x64, STATUS = 0x70, QUEUE_DESCRIPTORS = 0x80, QUEUE_DRIVER = 0x90,
	QUEUE_DEVICE = 0xa0, CAPACITY = 0x100, SEGMENTS_MAX = 0x10c
};

enum { STATUS_ACKNOWLEDGE = 1, STATUS_DRIVER = 2, STATUS_DRIVER_OK = 4, STATUS_FEATURES_OK = 8, STATUS_FAILED = 128 };
enum { FEATURE_SEGMENTS = 1u << 2, FEATURE_READ_ONLY = 1u << 5, FEATURE_FLUSH = 1u << 9 };
enum { FEATURE_HIGH_VERSION_1 = 1u << 0 }; // in word 1
enum { DESCRIPTOR_NEXT = 1, DESCRIPTOR_WRITE = 2 }; // WRITE: by the device
enum { TYPE_IN = 0, TYPE_OUT = 1, TYPE_FLUSH = 4 };

#define MAGIC_VALUE 0x74726976u
#define ID_BLOCK    2u
#define SECTORS     8u   // of 512 bytes in a block
#define QUEUE       256u // descriptors; also the rings' length

struct descriptor {
	uint64_t address;
	uint32_t bytes;
	uint16_t flags, next;
};
struct header {
	uint32_t type, reserved;
	uint64_t sector;
};

static struct { // what the device reads and writes
	struct descriptor descriptors[QUEUE] __attribute__((aligned(16)));
	struct {
		uint16_t flags, index, ring[QUEUE];
	} avail __attribute__((aligned(2)));
	struct {
		uint16_t flags, index;
		struct {
			uint32_t id, bytes;
		} ring[QUEUE];
	} used __attribute__((aligned(4)));
	struct header headers[QUEUE];
	volatile uint8_t status[QUEUE];
} shared __attribute__((aligned(4096)));

static struct {
	struct lock lock; // guards all below and `shared`, except what is set once by disk_init
	volatile uint8_t *registers;
	uint64_t blocks;
	bool flushes; // the device has a write cache and offers to empty it
	uint16_t free_first;
	unsigned free_count;
	uint16_t seen; // used ring entries handled
	struct disk_request *owner[QUEUE];
	struct wait_queue room;
} disk = { .lock = { .name = "disk" } };

static uint32_t get(unsigned offset)
{
	return *(volatile uint32_t *)(disk.registers + offset);
}

static void put(unsigned offset, uint32_t value)
{
	*(volatile uint32_t *)(disk.registers + offset) = value;
}

static void put_address(unsigned offset, const void *pointer)
{
	uint64_t address = pa_of(pointer).raw;
	put(offset, (uint32_t)address);
	put(offset + 4, (uint32_t)(address >> 32));
}

static void order(void) // memory and registers, before and after
{
	__asm__ volatile("fence iorw, iorw" ::: "memory");
}

// Takes one descriptor from the free chain.
static uint16_t take(uint64_t address, uint32_t bytes, uint16_t flags)
{
	uint16_t i = disk.free_first;
	struct descriptor *d = &shared.descriptors[i];
	disk.free_first = d->next;
	disk.free_count--;
	*d = (struct descriptor){ .address = address, .bytes = bytes, .flags = flags, .next = disk.free_first };
	return i;
}

static void give_back(uint16_t i)
{
	shared.descriptors[i].next = disk.free_first;
	disk.free_first = i;
	disk.free_count++;
}

static unsigned pages_of(const struct disk_request *request)
{
	return request->kind == DISK_FLUSH ? 0 : request->count;
}

void disk_start(struct disk_request *request)
{
	static const uint32_t types[] = { [DISK_READ] = TYPE_IN, [DISK_WRITE] = TYPE_OUT, [DISK_FLUSH] = TYPE_FLUSH };

	request->done = request->failed = false;
	request->waiting = (struct wait_queue){ 0 };
	lock_acquire(&disk.lock);
	while (disk.free_count < pages_of(request) + 2)
		sched_sleep_steadily(&disk.room, &disk.lock);
	uint16_t head = disk.free_first; // the chain's order is the free chain's
	struct header *header = &shared.headers[head];
	*header = (struct header){ .type = types[request->kind], .sector = (uint64_t)request->block * SECTORS };
	if (request->kind == DISK_FLUSH)
		header->sector = 0;
	take(pa_of(header).raw, sizeof *header, DESCRIPTOR_NEXT);
	for (unsigned i = 0; i < pages_of(request); i++)
		take(request->pages[i].raw, PAGE_BYTES, DESCRIPTOR_NEXT | (request->kind == DISK_READ ? DESCRIPTOR_WRITE : 0));
	shared.status[head] = 0xff;
	take(pa_of((const void *)&shared.status[head]).raw, 1, DESCRIPTOR_WRITE);
	disk.owner[head] = request;
	shared.avail.ring[shared.avail.index % QUEUE] = head;
	order();
	shared.avail.index++;
	order();
	put(QUEUE_NOTIFY, 0);
	lock_release(&disk.lock);
}

bool disk_wait(struct disk_request *request)
{
	lock_acquire(&disk.lock);
	while (!request->done)
		sched_sleep_steadily(&request->waiting, &disk.lock);
	lock_release(&disk.lock);
	return !request->failed;
}

// The device is through with the chain at head.
static void finish(uint32_t head)
{
	struct disk_request *request = head < QUEUE ? disk.owner[head] : NULL;

	if (!request) {
		kprintf("disk: the device reports a request that it was never given\n");
		return;
	}
	uint16_t i = (uint16_t)head;
	for (unsigned left = pages_of(request) + 2; left > 0; left--) {
		uint16_t next = shared.descriptors[i].next;
		give_back(i);
		i = next;
	}
	disk.owner[head] = NULL;
	request->failed = shared.status[head] != 0;
	if (request->failed)
		kprintf("disk: block %u: the device reports error %u\n", request->block, shared.status[head]);
	request->done = true;
	sched_wakeup(&request->waiting);
}

static void interrupt(void *context)
{
	(void)context;
	lock_acquire(&disk.lock);
	put(INTERRUPT_ACKNOWLEDGE, get(INTERRUPT_STATUS) & 3);
	order();
	bool some = false;
	while (disk.seen != *(volatile uint16_t *)&shared.used.index) {
		order();
		finish(shared.used.ring[disk.seen % QUEUE].id);
		disk.seen++;
		some = true;
	}
	if (some)
		sched_wakeup(&disk.room);
	lock_release(&disk.lock);
}

bool disk_flush(void)
{
	struct disk_request request = { .kind = DISK_FLUSH };

	if (!disk.flushes)
		return true;
	disk_start(&request);
	return disk_wait(&request);
}

bool disk_transfer(enum disk_kind kind, uint32_t block, pa_t page)
{
	struct disk_request request = { .kind = kind, .block = block, .count = 1, .pages = &page };

	disk_start(&request);
	return disk_wait(&request);
}

uint64_t disk_blocks(void)
{
	return disk.blocks;
}

// Agrees on features. NULL, or what is in the way.
static const char *negotiate(void)
{
	put(STATUS, 0);
	put(STATUS, STATUS_ACKNOWLEDGE);
	put(STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER);
	put(DEVICE_FEATURES_SELECT, 0);
	uint32_t low = get(DEVICE_FEATURES);
	put(DEVICE_FEATURES_SELECT, 1);
	if (!(get(DEVICE_FEATURES) & FEATURE_HIGH_VERSION_1))
		return "it does not offer VIRTIO_F_VERSION_1";
	if (low & FEATURE_READ_ONLY)
		return "it is read-only";
	if ((low & FEATURE_SEGMENTS) && get(SEGMENTS_MAX) < DISK_REQUEST_PAGES)
		return "it takes too few segments in a request";
	put(DRIVER_FEATURES_SELECT, 0);
	put(DRIVER_FEATURES, low & (FEATURE_SEGMENTS | FEATURE_FLUSH));
	put(DRIVER_FEATURES_SELECT, 1);
	put(DRIVER_FEATURES, FEATURE_HIGH_VERSION_1);
	put(STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK);
	if (!(get(STATUS) & STATUS_FEATURES_OK))
		return "it refuses the features";
	disk.flushes = low & FEATURE_FLUSH;
	return NULL;
}

static const char *set_up_queue(void)
{
	put(QUEUE_SELECT, 0);
	if (get(QUEUE_READY))
		return "its queue is in use";
	if (get(QUEUE_MAX) < QUEUE)
		return "its queue is too short";
	for (unsigned i = 0; i < QUEUE; i++)
		shared.descriptors[i].next = (uint16_t)((i + 1) % QUEUE);
	disk.free_count = QUEUE;
	put(QUEUE_NUMBER, QUEUE);
	put_address(QUEUE_DESCRIPTORS, &shared.descriptors);
	put_address(QUEUE_DRIVER, &shared.avail);
	put_address(QUEUE_DEVICE, &shared.used);
	put(QUEUE_READY, 1);
	return NULL;
}

// The first block device among the machine's slots; false when there is none.
static bool find(uint32_t *irq)
{
	for (unsigned i = 0; i < machine.virtios; i++) {
		disk.registers = device_pointer(machine.virtio[i].start);
		*irq = machine.virtio[i].irq;
		if (get(MAGIC) == MAGIC_VALUE && get(DEVICE_ID) == ID_BLOCK)
			return true;
	}
	return false;
}

bool disk_init(void)
{
	uint32_t irq = 0;

	if (!find(&irq)) {
		kprintf("disk: none found: the machine has no virtio block device\n");
		return false;
	}
	const char *legacy = "it is of the legacy version; start QEMU with -global virtio-mmio.force-legacy=false";
	const char *trouble = get(VERSION) == 2 ? negotiate() : legacy;
	if (!trouble)
		trouble = set_up_queue();
	if (!trouble && !plic_connect(irq, interrupt, NULL))
		trouble = "its interrupt cannot be connected";
	if (trouble) {
		put(STATUS, STATUS_FAILED);
		kprintf("disk: not usable: %s\n", trouble);
		return false;
	}
	put(STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK | STATUS_DRIVER_OK);
	disk.blocks = (get(CAPACITY) | (uint64_t)get(CAPACITY + 4) << 32) / SECTORS;
	return true;
}
