// uart.c: the 16550 serial port.
//
//	uart_write -> [transmit FIFO of the chip, 16 bytes] -> line        while the chip takes them
//	           -> [ring] -> interrupt "FIFO empty" -> the same         when it does not
//	line -> interrupt "data" -> received(c)
//
// Cost: about 4 microseconds a character under QEMU, most of it the emulator's.
// Source: National Semiconductor PC16550D data sheet, section 8.
#include "kernel/device/uart.h"

#include "kernel/boot/machine.h"
#include "kernel/device/plic.h"
#include "kernel/machine/panic.h"
#include "kernel/machine/print.h"

#define DATA            0 // receive and transmit
#define INTERRUPTS      1
#define FIFO_CONTROL    2
#define LINE_CONTROL    3
#define MODEM_CONTROL   4
#define LINE_STATUS     5
#define ON_DATA         1u
#define ON_EMPTY        2u
#define FIFO_CLEAR      7u   // enables and empties both
#define EIGHT_BITS      3u
#define INTERRUPT_DRIVE 0xbu // OUT2 lets interrupts out on PC-like boards; DTR and RTS on
#define STATUS_DATA     1u
#define STATUS_EMPTY    0x20u // the transmit FIFO takes 16 bytes
#define FIFO_BYTES      16
#define RING_BYTES      2048u

static struct {
	struct lock lock; // guards all but the pointers
	volatile uint8_t *registers;
	void (*received)(char c);
	void (*space)(void);
	uint32_t head, tail; // of the ring: bytes put in and taken out so far
	bool waiting;        // the "empty" interrupt is on
	char ring[RING_BYTES];
} uart = { .lock = { .name = "uart" } };

static uint8_t read_register(unsigned number)
{
	return uart.registers[number << machine.uart_shift];
}

static void write_register(unsigned number, uint8_t value)
{
	uart.registers[number << machine.uart_shift] = value;
}

// Moves characters from the ring to the chip while it takes them.
static void push_out(void)
{
	while (uart.head != uart.tail && (read_register(LINE_STATUS) & STATUS_EMPTY))
		for (unsigned i = 0; i < FIFO_BYTES && uart.head != uart.tail; i++)
			write_register(DATA, (uint8_t)uart.ring[uart.tail++ % RING_BYTES]);
	bool wait = uart.head != uart.tail;
	if (wait != uart.waiting)
		write_register(INTERRUPTS, wait ? ON_DATA | ON_EMPTY : ON_DATA);
	uart.waiting = wait;
}

size_t uart_write(const char *text, size_t bytes)
{
	size_t done = 0;
	lock_acquire(&uart.lock);
	while (done < bytes && uart.head - uart.tail < RING_BYTES)
		uart.ring[uart.head++ % RING_BYTES] = text[done++];
	push_out();
	lock_release(&uart.lock);
	return done;
}

void uart_put_now(char c)
{
	bool locked = !panic_begun; // in a panic its holder may be the one that broke
	if (locked)
		lock_acquire(&uart.lock);
	while (uart.head != uart.tail)
		push_out();
	while (!(read_register(LINE_STATUS) & STATUS_EMPTY))
		;
	write_register(DATA, (uint8_t)c);
	if (locked)
		lock_release(&uart.lock);
}

static void interrupt(void *context)
{
	(void)context;
	for (;;) {
		lock_acquire(&uart.lock);
		bool any = read_register(LINE_STATUS) & STATUS_DATA;
		char c = any ? (char)read_register(DATA) : 0;
		bool was_waiting = uart.waiting;
		push_out();
		lock_release(&uart.lock);
		if (was_waiting)
			uart.space();
		if (!any)
			break;
		uart.received(c);
	}
}

bool uart_init(void (*received)(char c), void (*space)(void))
{
	if (machine.uart.bytes == 0)
		return false;
	uart.received = received;
	uart.space = space;
	uart.registers = device_pointer(machine.uart.start);
	write_register(INTERRUPTS, 0);
	write_register(LINE_CONTROL, EIGHT_BITS);
	write_register(FIFO_CONTROL, FIFO_CLEAR);
	write_register(MODEM_CONTROL, INTERRUPT_DRIVE);
	if (!plic_connect(machine.uart.irq, interrupt, NULL))
		return false;
	write_register(INTERRUPTS, ON_DATA);
	return true;
}

bool uart_is_ready(void)
{
	return uart.registers != NULL;
}
