// meminfo.h: what the kernel tells programs of its memory and its processes: the answers of meminfo() and ps().
//
// Units are in the names: pages are 4096 bytes. Members that a kernel does not know stay 0.
#pragma once

#include "kernel/types.h"

#define MEMINFO_ORDERS 11 // blocks of 2^0 .. 2^10 pages
#define MEMINFO_ZONES  4
#define MEMINFO_SLABS  32

#define MEMINFO_EXACT 1 // flag: first return what the per-CPU caches and empty slabs hold, so that two counts can be compared

struct meminfo_zone {
	char name[16];                 // "DMA", "normal"
	uint64 start, end;             // physical addresses, bytes
	uint64 total_pages;            // managed
	uint64 free_pages;             // in free blocks
	uint64 cached_pages;           // free, too: in the per-CPU caches
	uint64 reserve_pages;          // kept back for callers that cannot wait
	uint64 blocks[MEMINFO_ORDERS]; // free blocks of each order
};

struct meminfo_slab {
	char name[24];
	uint64 object_bytes;
	uint64 used;     // objects in use
	uint64 cached;   // objects in the per-CPU magazines
	uint64 capacity; // objects that fit in its pages
	uint64 pages;
};

struct meminfo_process { // of the caller in meminfo(), of each process in ps()
	uint64 resident_pages; // mapped now
	uint64 shared_pages;   // of those, with more than one owner
	uint64 table_pages;    // page tables
	uint64 areas;
	uint64 bytes;          // address space it may use
};

struct meminfo {
	char engine[16];        // of the page allocator: "buddy", "bitmap" and so on
	char heap[16];          // of kmalloc: "slab", "best_fit", ...
	uint64 cpus;
	uint64 total_pages;     // managed: RAM without firmware, kernel image and the tables below
	uint64 free_pages;      // in zones and per-CPU caches
	uint64 metadata_bytes;  // tables of the page allocator
	uint64 lock_takings;    // how often a zone's lock was taken since boot
	uint64 vmalloc_pages;   // kernel stacks and other mapped blocks
	uint64 buffers;         // blocks in the disk cache: one page each
	uint64 buffers_dirty;   // of those, waiting to be written
	uint64 zone_count;      // entries below
	uint64 slab_count;
	struct meminfo_zone zones[MEMINFO_ZONES];
	struct meminfo_slab slabs[MEMINFO_SLABS];
	struct meminfo_process process;
};

#define HEAP_PLACES 24 // that heapinfo() tells at most; the last stands for all others
#define HEAP_PLACE  48 // bytes of a place's name

struct heapinfo { // bytes
	char name[16];         // "slab", "best_fit", ...
	uint64 blocks;         // live ones
	uint64 asked, used;    // for them; given to them
	uint64 free;           // in free blocks
	uint64 largest_free;
	uint64 limit;          // of the boot argument quota=; 0: none, and the next three mean nothing
	uint64 charged, peak;  // against it now, and at most
	uint64 refused;        // calls
	uint64 events;         // of the boot argument trace=: calls so far
};

struct heapplace { // live memory that was asked for in one place
	char name[HEAP_PLACE]; // function+0xoffset; empty: not known
	uint64 blocks, bytes;
};

struct heapevent { // a call of the kernel's heap
	uint64 sequence;       // from 1; a gap: calls that were overwritten before they were read
	uint64 block;          // address; 0: an allocation that was refused
	uint64 bytes;          // asked for
	uint align;            // of an allocation
	ushort cpu;
	uchar op;              // 1: allocation, 2: free, 3: resize in place
	uchar done;            // 0: refused
	char place[HEAP_PLACE];
};

enum psinfo_state { PS_NEW, PS_READY, PS_RUNNING, PS_SLEEPING, PS_ZOMBIE };

struct psinfo {
	int pid, parent;  // parent 0: none
	int state;        // enum psinfo_state
	int hart;         // where it runs or last ran, -1: nowhere yet
	uint64 time;      // it ran for, in units of the time register
	char name[16];
	struct meminfo_process memory;
};

// int meminfo(struct meminfo *to, int flags);  0, or -1: bad address or unknown flag
// int ps(struct psinfo *to, int max);          entries filled in, or -1: bad address or max < 0
// int heapinfo(struct heapinfo *to, struct heapplace *places, int max);  places filled in, most bytes first; or -1: likewise
// int heaptrace(struct heapevent *to, int max, uint64 from);  events filled in, oldest first, from number `from` on; or -1: likewise, or
//                                                             nothing is traced
