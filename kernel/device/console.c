// console.c: the person's terminal: line editing over the serial port, and the keys that act at once.
//
//	        read            end of finished input      end of the line being typed
//	          v                      v                        v
//	text: ....[ a finished line \n ][ what may still be erased ]......     a ring; the three count bytes and only grow
//	           `-- readers take --'
//
// Line mode: ^H and DEL erase a character, ^U the line; ^D ends the input, or the line as it stands; ^C kills the foreground process.
// Raw mode: each byte goes to the reader as it is, without echo; the shell edits by itself.
// In both modes ^P lists the processes and ^T reports memory: at once, from the interrupt handler, whatever else the machine does.
//
// C1  read <= end <= typed <= read + INPUT_BYTES.
//
// Locks: input.lock and output_lock, either before sched's (wakeup) and the serial port's.
#include "kernel/device/console.h"

#include "kernel/device/uart.h"
#include "kernel/fs/file.h"
#include "kernel/machine/print.h"
#include "kernel/machine/sbi.h"
#include "kernel/process/process.h"

#define CONTROL(letter) ((letter) - '@')
#define DELETE      0x7f
#define INPUT_BYTES 1024u
#define CHUNK_BYTES 128
#define MAJOR       1

static struct {
	struct lock lock; // guards all of it
	uint32_t read, end, typed;
	bool raw;
	bool broken; // a report stands behind the line that a program edits
	struct wait_queue readers;
	char text[INPUT_BYTES];
} input = { .lock = { .name = "console input" } };

static struct lock output_lock = { .name = "console output" };
static struct wait_queue writers; // wait for room in the serial port's ring

void console_put(char c)
{
	if (uart_is_ready())
		uart_put_now(c);
	else
		sbi_putchar(c);
}

static void echo(const char *text, size_t bytes)
{
	if (uart_write(text, bytes) < bytes)
		return; // the line is stuck: what is typed counts, even unseen
}

static void finish_line(void)
{
	input.end = input.typed;
	sched_wakeup(&input.readers);
}

static void erase(uint32_t downto)
{
	while (input.typed != downto) {
		input.typed--;
		echo("\b \b", 3);
	}
}

static void type(char c)
{
	if (input.typed - input.read == INPUT_BYTES)
		return;
	input.text[input.typed++ % INPUT_BYTES] = c;
	if (input.raw) {
		finish_line();
		return;
	}
	if (c != CONTROL('D'))
		echo(&c, 1);
	if (c == '\n' || c == CONTROL('D') || input.typed - input.read == INPUT_BYTES)
		finish_line();
}

// A key in line mode; the caller holds input.lock.
static void edit(char c)
{
	switch (c) {
	case CONTROL('U'):
		erase(input.end);
		break;
	case CONTROL('H'):
	case DELETE:
		if (input.typed != input.end)
			erase(input.typed - 1);
		break;
	case CONTROL('C'):
		erase(input.end);
		echo("^C\n", 3);
		break;
	case '\0':
		break;
	default:
		type(c == '\r' ? '\n' : c);
	}
}

// A report has broken the line being typed: shows it again, or has the program that edits it do so: ^R is its key for that, which it gets
// when it next waits for one. No other program ever reads that ^R.
static void reprint(void)
{
	lock_acquire(&input.lock);
	input.broken = input.raw;
	if (input.raw)
		sched_wakeup(&input.readers);
	for (uint32_t at = input.end; at != input.typed; at++)
		echo(&input.text[at % INPUT_BYTES], 1);
	lock_release(&input.lock);
}

static void received(char c)
{
	if (c == CONTROL('P') || c == CONTROL('T')) {
		if (c == CONTROL('P'))
			process_list();
		else
			memory_report();
		reprint();
		return;
	}
	lock_acquire(&input.lock);
	bool raw = input.raw;
	if (raw)
		type(c);
	else
		edit(c);
	lock_release(&input.lock);
	if (!raw && c == CONTROL('C'))
		process_kill_foreground();
}

static void space(void)
{
	lock_acquire(&output_lock);
	sched_wakeup(&writers);
	lock_release(&output_lock);
}

static void reprint_by_reader(void) // input.lock is held
{
	input.broken = false;
	type(CONTROL('R'));
}

// Takes up to `bytes` bytes of finished input, of a line at most, into chunk; sleeps while there are none. 0 at the end of input,
// -1 when killed.
static int take(char *chunk, int bytes, bool *more)
{
	int count = 0;
	lock_acquire(&input.lock);
	while (input.read == input.end)
		if (input.broken)
			reprint_by_reader();
		else if (!sched_sleep(&input.readers, &input.lock)) {
			lock_release(&input.lock);
			return -1;
		}
	*more = true;
	while (*more && count < bytes && input.read != input.end) {
		char c = input.text[input.read % INPUT_BYTES];
		bool end = c == CONTROL('D') && !input.raw;
		input.read++;
		if (!end)
			chunk[count++] = c;
		*more = !end && c != '\n';
	}
	*more = *more && input.read != input.end;
	lock_release(&input.lock);
	return count;
}

static int console_read(struct memory to, int bytes)
{
	char chunk[CHUNK_BYTES];
	int total = 0;
	for (bool more = true; more && total < bytes;) {
		int part = bytes - total < CHUNK_BYTES ? bytes - total : CHUNK_BYTES;
		int count = take(chunk, part, &more);
		if (count < 0 || !memory_put((struct memory){ to.user, to.address + (uint64_t)total }, chunk, (size_t)count))
			return -1;
		total += count;
	}
	return total;
}

// All of the chunk into the serial port's ring; false when killed.
static bool put_all(const char *chunk, size_t bytes)
{
	size_t done = 0;
	bool alive = true;
	lock_acquire(&output_lock);
	while (alive && (done += uart_write(chunk + done, bytes - done)) < bytes)
		alive = sched_sleep(&writers, &output_lock);
	lock_release(&output_lock);
	return alive;
}

static int console_write(struct memory from, int bytes)
{
	char chunk[CHUNK_BYTES];
	int total = 0;
	while (total < bytes) {
		int part = bytes - total < CHUNK_BYTES ? bytes - total : CHUNK_BYTES;
		if (!memory_get(chunk, (struct memory){ from.user, from.address + (uint64_t)total }, (size_t)part))
			return -1;
		if (!put_all(chunk, (size_t)part))
			return -1;
		total += part;
	}
	return total;
}

int console_mode(int raw)
{
	lock_acquire(&input.lock);
	int before = input.raw;
	input.raw = raw;
	input.broken = false;
	if (raw)
		finish_line(); // what was typed ahead
	lock_release(&input.lock);
	return before;
}

void console_init(void)
{
	devices[MAJOR] = (struct device){ console_read, console_write };
	if (!uart_init(received, space))
		kprintf("no serial port: output goes through the firmware, and there is no input\n");
}
