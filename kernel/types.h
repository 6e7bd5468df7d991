// types.h: short names for integer types, as xv6's programs know them.
//
// The kernel itself says uint64_t and size_t; these are the same types under other names.
#pragma once

typedef unsigned char uchar;
typedef unsigned short ushort;
typedef unsigned int uint;

typedef unsigned char uint8;
typedef unsigned short uint16;
typedef unsigned int uint32;
typedef unsigned long uint64;

typedef uint64 pde_t;
