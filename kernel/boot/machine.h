// machine.h: what the device tree says of this machine.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "mm/memblock.h"

#define MACHINE_VIRTIO   32 // the most virtio,mmio slots that are remembered
#define MACHINE_HARTS    64
#define MACHINE_CONTEXTS 256

struct device_registers {
	uint64_t start, bytes; // physical; 0, 0 when there is none
	uint32_t irq;          // at the PLIC
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
	struct device_registers plic;
	uint32_t plic_sources;
	uint32_t plic_phandle;
	unsigned contexts;
	struct {
		uint32_t intc, cause; // whose interrupt input a PLIC context drives
	} context[MACHINE_CONTEXTS];
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
