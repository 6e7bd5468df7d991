// machine.h: what the device tree says of this machine.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "mm/memblock.h"

#define MACHINE_VIRTIO   32 // the most virtio,mmio slots that are remembered
#define MACHINE_HARTS    64
#define MACHINE_PLICS    4  // QEMU has one for each NUMA node
#define MACHINE_CONTEXTS 64 // of one PLIC
#define MACHINE_PLIC_SHIFT 16

struct device_registers {
	uint64_t start, bytes; // physical; 0, 0 when there is none
	uint32_t irq;          // source at its PLIC | the PLIC's index << MACHINE_PLIC_SHIFT
	uint32_t parent;       // the PLIC's phandle
};

struct machine_plic {
	struct device_registers registers;
	uint32_t sources, phandle;
	unsigned contexts;
	struct {
		uint32_t intc, cause; // whose interrupt input a context drives
	} context[MACHINE_CONTEXTS];
};

struct machine {
	uint64_t timebase; // Hz
	bool sstc;         // every hart has stimecmp
	unsigned harts;
	struct {
		uint64_t hartid;
		uint32_t intc; // phandle of its interrupt controller
	} hart[MACHINE_HARTS];
	struct device_registers uart;
	unsigned uart_shift; // registers stand 2^shift bytes apart
	unsigned plics;
	struct machine_plic plic[MACHINE_PLICS];
	unsigned virtios;
	struct device_registers virtio[MACHINE_VIRTIO]; // in rising order of addresses; most are empty slots
	struct memblock_list firmware; // reserved-memory and /memreserve/: not to be touched, nor mapped
	char bootargs[1024];
	uint8_t seed[64]; // rng-seed
	unsigned seed_bytes;
};
extern struct machine machine;

// Kernel's address of a device's registers: they are in the linear map.
static inline volatile void *device_pointer(uint64_t physical)
{
	return (volatile void *)(physical + port_linear);
}

// Reads the tree at `tree` (at most `limit` bytes long) into *machine, RAM and reservations into *mb. NULL when all is well, else
// what is wrong with it, in words. Never reads outside the blob, whatever it contains.
const char *machine_read(struct machine *into, struct memblock *mb, const void *tree, uint64_t limit);
