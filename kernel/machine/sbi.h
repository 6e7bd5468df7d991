// sbi.h: calls to the firmware below the kernel.
//
// Source: RISC-V Supervisor Binary Interface Specification 1.0.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct sbi_result {
	int64_t error; // 0, or a negative code
	uint64_t value;
};
struct sbi_result sbi_call(uint64_t extension, uint64_t function, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4);

void sbi_putchar(char c);                    // the legacy console: slow, works from the first instruction
bool sbi_has(uint64_t extension);
void sbi_set_timer(uint64_t when);
int64_t sbi_hart_start(uint64_t hartid, uint64_t physical_entry, uint64_t opaque); // 0, or a negative code
void sbi_send_ipi(uint32_t cpus);            // bit per CPU
void sbi_remote_barrier(uint32_t cpus);      // each CPU in the mask passes fence.i, and with it a full memory barrier
// sfence.vma on each CPU in the mask; bytes UINT64_MAX: everything. asid as in port_flush.
void sbi_remote_fence(uint32_t cpus, uint64_t start, uint64_t bytes, uint32_t asid);

// Ends or restarts the machine.
_Noreturn void machine_shutdown(bool reboot);
_Noreturn void machine_fail(void);           // shuts down, giving the firmware "system failure" as the reason

#define SBI_TIME   0x54494d45
#define SBI_IPI    0x735049
#define SBI_RFENCE 0x52464e43
#define SBI_HSM    0x48534d
#define SBI_SRST   0x53525354
