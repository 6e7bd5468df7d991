// undefined.c: run time of the compiler's checks for undefined behaviour (gcc -fsanitize=undefined) in a kernel built with SAN=undefined.
//
// The compiler calls one handler for each kind of fault, with a record of the source line and the types, and the operands. Each
// handler says in one line what happened and where, then panics: undefined behaviour in a kernel is a bug, not a warning.
// Source: the records' layout is gcc's libsanitizer/ubsan/ubsan_handlers.h (an interface that gcc and clang share).
#include "kernel/machine/panic.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct location {
	const char *file;
	uint32_t line, column;
};

struct type {
	uint16_t kind; // 0: integer
	uint16_t info; // integers: bit 0 signed, the rest log2 of the width in bits
	char name[];
};

typedef uintptr_t operand; // the value itself when it fits a register, else its address

static bool is_signed(const struct type *type)
{
	return type->kind == 0 && (type->info & 1);
}

static int64_t value(const struct type *type, operand raw) // as wide as the type, for printing
{
	unsigned bits = type->kind == 0 ? 1u << (type->info >> 1) : 64;
	if (bits >= 64)
		return (int64_t)raw;
	uint64_t shifted = (uint64_t)raw << (64 - bits);
	return is_signed(type) ? (int64_t)shifted >> (64 - bits) : (int64_t)(shifted >> (64 - bits));
}

_Noreturn static void fail(const struct location *at, const char *what)
{
	panic("undefined behaviour: %s at %s:%u:%u", what, at->file, at->line, at->column);
}

struct one_type {
	struct location at;
	const struct type *type;
};
struct two_types {
	struct location at;
	const struct type *first, *second;
};
struct mismatch {
	struct location at;
	const struct type *type;
	uint8_t log_align, access;
};
struct nonnull {
	struct location at, declared;
	int argument;
};

#define ARITHMETIC(kind, sign)                                                                              \
	void __ubsan_handle_##kind##_overflow(const struct one_type *data, operand a, operand b);           \
	void __ubsan_handle_##kind##_overflow(const struct one_type *data, operand a, operand b)            \
	{                                                                                                   \
		panic("undefined behaviour: %ld " sign " %ld overflows %s at %s:%u:%u", value(data->type, a), \
		      value(data->type, b), data->type->name, data->at.file, data->at.line, data->at.column);    \
	}
ARITHMETIC(add, "+")
ARITHMETIC(sub, "-")
ARITHMETIC(mul, "*")
ARITHMETIC(divrem, "/")

void __ubsan_handle_negate_overflow(const struct one_type *data, operand a);
void __ubsan_handle_shift_out_of_bounds(const struct two_types *data, operand a, operand b);
void __ubsan_handle_out_of_bounds(const struct two_types *data, operand index);
void __ubsan_handle_type_mismatch_v1(const struct mismatch *data, operand pointer);
void __ubsan_handle_load_invalid_value(const struct one_type *data, operand a);
void __ubsan_handle_pointer_overflow(const struct location *at, operand base, operand result);
void __ubsan_handle_builtin_unreachable(const struct location *at);
void __ubsan_handle_missing_return(const struct location *at);
void __ubsan_handle_vla_bound_not_positive(const struct one_type *data, operand bound);
void __ubsan_handle_nonnull_arg(const struct nonnull *data);
void __ubsan_handle_nonnull_return_v1(const struct location *declared, const struct location *at);
void __ubsan_handle_invalid_builtin(const struct location *at);

void __ubsan_handle_negate_overflow(const struct one_type *data, operand a)
{
	panic("undefined behaviour: -(%ld) overflows %s at %s:%u:%u", value(data->type, a), data->type->name, data->at.file, data->at.line,
	      data->at.column);
}

void __ubsan_handle_shift_out_of_bounds(const struct two_types *data, operand a, operand b)
{
	panic("undefined behaviour: shift of %ld by %ld in %s at %s:%u:%u", value(data->first, a), value(data->second, b),
	      data->first->name, data->at.file, data->at.line, data->at.column);
}

void __ubsan_handle_out_of_bounds(const struct two_types *data, operand index)
{
	panic("undefined behaviour: index %ld out of the bounds of %s at %s:%u:%u", value(data->second, index), data->first->name,
	      data->at.file, data->at.line, data->at.column);
}

void __ubsan_handle_type_mismatch_v1(const struct mismatch *data, operand pointer)
{
	const char *what = pointer == 0 ? "null" : pointer & ((1ul << data->log_align) - 1) ? "misaligned" : "too small";
	panic("undefined behaviour: %s pointer %p used for %s at %s:%u:%u", what, (void *)pointer, data->type->name, data->at.file,
	      data->at.line, data->at.column);
}

void __ubsan_handle_load_invalid_value(const struct one_type *data, operand a)
{
	panic("undefined behaviour: %ld is no value of %s at %s:%u:%u", (int64_t)a, data->type->name, data->at.file, data->at.line,
	      data->at.column);
}

void __ubsan_handle_pointer_overflow(const struct location *at, operand base, operand result)
{
	panic("undefined behaviour: pointer %p moved to %p at %s:%u:%u", (void *)base, (void *)result, at->file, at->line, at->column);
}

void __ubsan_handle_builtin_unreachable(const struct location *at)
{
	fail(at, "an unreachable place is reached");
}

void __ubsan_handle_missing_return(const struct location *at)
{
	fail(at, "a function ends without its return value");
}

void __ubsan_handle_vla_bound_not_positive(const struct one_type *data, operand bound)
{
	(void)bound;
	fail(&data->at, "an array's length is not positive");
}

void __ubsan_handle_nonnull_arg(const struct nonnull *data)
{
	fail(&data->at, "a null argument where null is not allowed");
}

void __ubsan_handle_nonnull_return_v1(const struct location *declared, const struct location *at)
{
	(void)declared;
	fail(at, "null returned where null is not allowed");
}

void __ubsan_handle_invalid_builtin(const struct location *at)
{
	fail(at, "a bit count of zero");
}
