// pin.S: port_pin and port_unpin of mm/port.h: the fast paths of the memory manager open a pin for each page and object, so these are
// as short as can be. lock.c tells how they nest with locks.

#include "kernel/machine/csr.h"

	.text
	.globl port_pin
port_pin: // a0: number of this CPU, a1: sstatus as it was
	csrrci a1, sstatus, SSTATUS_SIE
	ld a0, 0(tp)
	ret

	.globl port_unpin
port_unpin:
	andi a1, a1, SSTATUS_SIE
	csrs sstatus, a1
	ret
