// bootargs.c: the boot arguments (QEMU's -append), taken apart: words separated by spaces, each `name` or `name=value`.
#include "kernel/boot/bootargs.h"

#include "kernel/boot/machine.h"
#include "kernel/machine/panic.h"
#include "kernel/machine/print.h"
#include "kernel/machine/string.h"
#include "kernel/machine/timer.h"

struct bootargs bootargs = { .init = "/init", .asids = UINT32_MAX };

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : 99;
}

// A number, decimal or with 0x; false when the text is none.
static bool read_number(const char *text, uint64_t *out)
{
	int base = text[0] == '0' && text[1] == 'x' ? 16 : 10;
	uint64_t value = 0;
	text += base == 16 ? 2 : 0;
	if (*text == '\0')
		return false;
	for (; *text; text++) {
		if (digit(*text) >= base || value > (UINT64_MAX - (uint64_t)digit(*text)) / (uint64_t)base)
			return false;
		value = value * (uint64_t)base + (uint64_t)digit(*text);
	}
	*out = value;
	return true;
}

static bool copy(char *to, size_t bytes, const char *value)
{
	return *value != '\0' && strlcpy(to, value, bytes) < bytes;
}

// The value of `word` when its name is `name`, which ends in '='.
static const char *value_of(const char *word, const char *name)
{
	size_t length = strlen(name);
	return strncmp(word, name, length) == 0 ? word + length : NULL;
}

// False when nobody knows the word, or its value makes no sense.
static bool apply(const char *word)
{
	const char *value;
	uint64_t number;
	if (strcmp(word, "quiet") == 0)
		return print_quiet = true;
	if (strcmp(word, "panic=off") == 0)
		return panic_off = true;
	if ((value = value_of(word, "heap=")))
		return copy(bootargs.heap, sizeof bootargs.heap, value);
	if ((value = value_of(word, "pages=")))
		return copy(bootargs.pages, sizeof bootargs.pages, value);
	if ((value = value_of(word, "init=")))
		return copy(bootargs.init, sizeof bootargs.init, value);
	if ((value = value_of(word, "crash=")))
		return copy(bootargs.crash, sizeof bootargs.crash, value);
	if ((value = value_of(word, "seed=")))
		return read_number(value, &bootargs.seed);
	if ((value = value_of(word, "quota=")))
		return read_number(value, &bootargs.quota);
	if ((value = value_of(word, "trace=")))
		return read_number(value, &bootargs.trace);
	if ((value = value_of(word, "asids=")) && read_number(value, &number)) {
		bootargs.asids = number < UINT32_MAX ? (uint32_t)number : UINT32_MAX;
		return true;
	}
	return false;
}

void bootargs_read(const char *line)
{
	char word[128];
	while (*line) {
		size_t length = 0;
		while (*line == ' ')
			line++;
		while (line[length] && line[length] != ' ')
			length++;
		strlcpy(word, line, length < sizeof word ? length + 1 : sizeof word);
		line += length;
		if (length && (length >= sizeof word || !apply(word)))
			kprintf("boot argument \"%s\" is not understood; known: "
				"heap= quota= trace= pages= init= seed= asids= crash= panic=off quiet\n",
				word);
	}
}

uint64_t random_seed(void)
{
	if (bootargs.seed)
		return bootargs.seed;
	uint64_t mixed = 0xcbf29ce484222325; // FNV-1a over the firmware's random bytes
	for (unsigned i = 0; i < machine.seed_bytes; i++)
		mixed = (mixed ^ machine.seed[i]) * 0x100000001b3;
	return machine.seed_bytes ? mixed : mixed ^ timer_now();
}
