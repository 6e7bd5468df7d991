// printf.c: formatted output.
//
//      format + arguments -> format_text -> struct sink -> write(), or the caller's buffer
//
// Text for a file gathers in a small buffer and goes out when that is full and when the call ends, so that a line is usually one system
// call and lines of several processes do not mix letter by letter.

#include <stdbool.h>

#include "user/quire.h"

#define WEAK __attribute__((weak))

struct sink {
	int file;     // where a full buffer goes; -1: nowhere, what does not fit is dropped
	char *buffer;
	uint size;    // of the buffer
	uint used;    // characters in it
	uint total;   // characters so far
};

static void flush(struct sink *sink)
{
	if (sink->used > 0)
		write(sink->file, sink->buffer, (int)sink->used);
	sink->used = 0;
}

static void put(struct sink *sink, char c)
{
	if (sink->used == sink->size && sink->file >= 0)
		flush(sink);
	if (sink->used < sink->size)
		sink->buffer[sink->used++] = c;
	sink->total++;
}

struct conversion { // what stands between % and the letter
	bool left, zero;
	uint width;
	int longs;
};

static const char *parse(const char *format, struct conversion *c)
{
	*c = (struct conversion){ 0 };
	for (; *format == '-' || *format == '0'; format++)
		*(*format == '-' ? &c->left : &c->zero) = true;
	for (; *format >= '0' && *format <= '9'; format++)
		c->width = 10 * c->width + (uint)(*format - '0');
	for (; *format == 'l'; format++)
		c->longs++;
	return format;
}

static void put_padded(struct sink *sink, const struct conversion *c, const char *text, uint length)
{
	uint padding = c->width > length ? c->width - length : 0;

	if (c->zero && !c->left && length > 0 && *text == '-') {
		put(sink, *text++);
		length--;
	}
	for (; !c->left && padding > 0; padding--)
		put(sink, c->zero ? '0' : ' ');
	for (; length > 0; length--)
		put(sink, *text++);
	for (; padding > 0; padding--)
		put(sink, ' ');
}

static void put_number(struct sink *sink, const struct conversion *c, uint64 value, uint base, bool negative)
{
	char digits[24];
	uint at = sizeof(digits);

	do
		digits[--at] = "0123456789abcdef"[value % base];
	while ((value /= base) != 0);
	if (negative)
		digits[--at] = '-';
	put_padded(sink, c, digits + at, sizeof(digits) - at);
}

static void put_signed(struct sink *sink, const struct conversion *c, long value)
{
	put_number(sink, c, value < 0 ? -(uint64)value : (uint64)value, 10, value < 0);
}

static void put_string(struct sink *sink, const struct conversion *c, const char *text)
{
	if (text == 0)
		text = "(null)";
	put_padded(sink, c, text, strlen(text));
}

static void put_pointer(struct sink *sink, uint64 address)
{
	static const struct conversion sixteen = { .zero = true, .width = 16 };

	put(sink, '0');
	put(sink, 'x');
	put_number(sink, &sixteen, address, 16, false);
}

static void format_text(struct sink *sink, const char *format, va_list arguments)
{
	struct conversion c;

	for (; *format; format++) {
		if (*format != '%') {
			put(sink, *format);
			continue;
		}
		format = parse(format + 1, &c);
		switch (*format) {
		case 'd':
		case 'i':
			put_signed(sink, &c, c.longs ? va_arg(arguments, long) : va_arg(arguments, int));
			break;
		case 'u':
		case 'x':
			put_number(sink, &c, c.longs ? va_arg(arguments, uint64) : va_arg(arguments, uint),
				   *format == 'u' ? 10 : 16, false);
			break;
		case 'p':
			put_pointer(sink, va_arg(arguments, uint64));
			break;
		case 's':
			put_string(sink, &c, va_arg(arguments, const char *));
			break;
		case 'c':
			put_padded(sink, &c, (char[]){ (char)va_arg(arguments, int) }, 1);
			break;
		case '%':
			put(sink, '%');
			break;
		case '\0':
			return;
		default: // unknown: shown as it stands
			put(sink, '%');
			put(sink, *format);
		}
	}
}

WEAK void vfprintf(int file, const char *format, va_list arguments)
{
	char buffer[256];
	struct sink sink = { .file = file, .buffer = buffer, .size = sizeof(buffer) };

	format_text(&sink, format, arguments);
	flush(&sink);
}

WEAK int vsnprintf(char *to, uint size, const char *format, va_list arguments)
{
	struct sink sink = { .file = -1, .buffer = to, .size = size > 0 ? size - 1 : 0 };

	format_text(&sink, format, arguments);
	if (size > 0)
		to[sink.used] = '\0';
	return (int)sink.total;
}

void fprintf(int file, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vfprintf(file, format, arguments);
	va_end(arguments);
}

void printf(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vfprintf(1, format, arguments);
	va_end(arguments);
}

WEAK int snprintf(char *to, uint size, const char *format, ...)
{
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(to, size, format, arguments);
	va_end(arguments);
	return length;
}
