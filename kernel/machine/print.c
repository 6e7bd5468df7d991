// print.c: formatted text on the console, from anywhere in the kernel.
//
//	kprintf -> print_lock -> format -> console_put -> 16550, or the firmware while that is not up
//
// One text is printed at a time: texts of several harts do not mix. In a panic the lock is left aside, since its holder may be the
// one that broke.
//
// Weakness: output waits for the serial line, about 4 microseconds a character with the driver, 14 through the firmware.
#include "kernel/machine/print.h"

#include <stdint.h>

#include "kernel/device/console.h"
#include "kernel/machine/string.h"
#include "mm/port.h"

struct out { // where characters go: the console, or a buffer
	char *buffer;
	size_t room, length;
};

struct spec { // one conversion, taken apart
	bool left, zero;
	int width, precision;
	unsigned longs;
	char conversion;
};

static struct lock print_lock = { .name = "print" };
static bool unlocked;
bool print_quiet;

static void put(struct out *out, char c)
{
	if (out->buffer == NULL)
		console_put(c);
	else if (out->length + 1 < out->room)
		out->buffer[out->length] = c;
	out->length++;
}

static void put_padded(struct out *out, const struct spec *spec, const char *sign, const char *text, size_t length)
{
	int fill = spec->width - (int)length - (int)strlen(sign);
	if (!spec->left && !spec->zero)
		while (fill-- > 0)
			put(out, ' ');
	while (*sign)
		put(out, *sign++);
	if (!spec->left && spec->zero)
		while (fill-- > 0)
			put(out, '0');
	while (length--)
		put(out, *text++);
	while (spec->left && fill-- > 0)
		put(out, ' ');
}

static void put_number(struct out *out, const struct spec *spec, const char *sign, uint64_t value, unsigned base)
{
	char digits[20];
	size_t start = sizeof digits;
	do
		digits[--start] = "0123456789abcdef"[value % base];
	while (value /= base);
	put_padded(out, spec, sign, digits + start, sizeof digits - start);
}

static int read_number(const char **format, va_list *arguments)
{
	int number = 0;
	if (**format == '*') {
		++*format;
		return va_arg(*arguments, int);
	}
	while (**format >= '0' && **format <= '9')
		number = number * 10 + (*(*format)++ - '0');
	return number;
}

static struct spec read_spec(const char **format, va_list *arguments)
{
	struct spec spec = { .precision = -1 };
	for (;; ++*format) {
		if (**format == '-')
			spec.left = true;
		else if (**format == '0')
			spec.zero = true;
		else
			break;
	}
	spec.width = read_number(format, arguments);
	if (**format == '.') {
		++*format;
		spec.precision = read_number(format, arguments);
	}
	for (; **format == 'l' || **format == 'z'; ++*format)
		spec.longs++;
	spec.conversion = **format;
	if (spec.conversion)
		++*format;
	return spec;
}

static void put_string(struct out *out, struct spec *spec, const char *text)
{
	if (text == NULL)
		text = "(null)";
	spec->zero = false;
	put_padded(out, spec, "", text, spec->precision >= 0 ? strnlen(text, (size_t)spec->precision) : strlen(text));
}

static void convert(struct out *out, struct spec *spec, va_list *arguments)
{
	char c;
	int64_t number;
	switch (spec->conversion) {
	case 'd':
	case 'i':
		number = spec->longs ? va_arg(*arguments, int64_t) : va_arg(*arguments, int);
		put_number(out, spec, number < 0 ? "-" : "", number < 0 ? -(uint64_t)number : (uint64_t)number, 10);
		break;
	case 'u':
	case 'x':
		put_number(out, spec, "", spec->longs ? va_arg(*arguments, uint64_t) : va_arg(*arguments, unsigned),
			   spec->conversion == 'u' ? 10 : 16);
		break;
	case 'p':
		put_number(out, spec, "0x", va_arg(*arguments, uint64_t), 16);
		break;
	case 's':
		put_string(out, spec, va_arg(*arguments, const char *));
		break;
	default: // %c, %%, and anything unknown as it stands
		c = spec->conversion == 'c' ? (char)va_arg(*arguments, int) : spec->conversion;
		spec->zero = false;
		put_padded(out, spec, "", &c, 1);
	}
}

static void format_to(struct out *out, const char *format, va_list *arguments)
{
	while (*format) {
		if (*format != '%') {
			put(out, *format++);
			continue;
		}
		format++;
		struct spec spec = read_spec(&format, arguments);
		if (spec.conversion)
			convert(out, &spec, arguments);
	}
}

void kvprintf(const char *format, va_list arguments)
{
	struct out out = { 0 };
	bool locked = !__atomic_load_n(&unlocked, __ATOMIC_RELAXED);
	va_list copy;
	va_copy(copy, arguments);
	if (locked)
		lock_acquire(&print_lock);
	format_to(&out, format, &copy);
	if (locked)
		lock_release(&print_lock);
	va_end(copy);
}

void kprintf(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	kvprintf(format, arguments);
	va_end(arguments);
}

void boot_print(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	if (!print_quiet)
		kvprintf(format, arguments);
	va_end(arguments);
}

int ksnprintf(char *buffer, size_t bytes, const char *format, ...)
{
	char nothing;
	struct out out = { bytes ? buffer : &nothing, bytes, 0 };
	va_list arguments;
	va_start(arguments, format);
	format_to(&out, format, &arguments);
	va_end(arguments);
	if (bytes)
		buffer[out.length < bytes ? out.length : bytes - 1] = '\0';
	return (int)out.length;
}

void print_without_lock(void)
{
	__atomic_store_n(&unlocked, true, __ATOMIC_RELAXED);
}
