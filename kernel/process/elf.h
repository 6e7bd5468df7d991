// elf.h: the parts of an executable file that the kernel reads.
//
// Source: Tool Interface Standard, Executable and Linking Format, as extended to 64 bits; RISC-V ELF psABI (machine number).
#pragma once

#include <stdint.h>

struct elf_header {
	uint8_t magic[4]; // 0x7f 'E' 'L' 'F'
	uint8_t class, data, version, abi, padding[8];
	uint16_t type, machine;
	uint32_t version_again;
	uint64_t entry, segments_at, sections_at;
	uint32_t flags;
	uint16_t header_bytes, segment_bytes, segments, section_bytes, sections, names;
};

struct elf_segment {
	uint32_t type, rights;
	uint64_t offset, address, physical, file_bytes, memory_bytes, align;
};

#define ELF_CLASS_64      2
#define ELF_DATA_LITTLE   1
#define ELF_TYPE_PROGRAM  2
#define ELF_MACHINE_RISCV 243
#define ELF_SEGMENT_LOAD  1
#define ELF_EXECUTE       1 // rights
#define ELF_WRITE         2
#define ELF_READ          4
