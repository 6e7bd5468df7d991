// offsets.h: places in struct cpu and struct trapframe, for assembly; trap.c asserts each of them.
#pragma once

#define CPU_HARTID       8
#define CPU_KERNEL_SP    16
#define CPU_SCRATCH      24
#define CPU_IDLE_SP      40
#define CPU_EMERGENCY_SP 48
#define CPU_SATP         56
#define CPU_BYTES        256
#define PORT_MAX_CPUS    16 // as in mm/port.h

#define FRAME_PC     256
#define FRAME_STATUS 264
#define FRAME_CAUSE  272
#define FRAME_VALUE  280
#define FRAME_BYTES  288

#define STACK_BYTES  16384
#define LINEAR_OFFSET 0xffffffc000000000
