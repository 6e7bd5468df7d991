// fault.c: does one forbidden thing, by name; without a name it lists what there is.
#include "kernel/types.h"
#include "kernel/fcntl.h"
#include "kernel/memlayout.h"
#include "user/user.h"

static const int constant = 1;
static int data;

static void read_null(void)
{
	data = *(volatile int *)8;
}

static void write_null(void)
{
	*(volatile int *)8 = 1;
}

static void jump_null(void)
{
	((void (*)(void))8)();
}

static void write_text(void)
{
	*(volatile int *)(uint64)write_text = 1;
}

static void write_constant(void)
{
	*(volatile int *)(uint64)&constant = 1;
}

static void execute_data(void)
{
	data = 0x00008067; // ret
	((void (*)(void))(uint64)&data)();
}

static void read_kernel(void)
{
	data = *(volatile int *)0xffffffc080200000;
}

static void write_kernel(void)
{
	*(volatile int *)0xffffffc080200000 = 1;
}

static void non_canonical(void)
{
	data = *(volatile int *)0x4000000000;
}

static void past_heap(void)
{
	*(volatile char *)(sbrk(0) + 0x100000) = 1;
}

static uint64 recurse(volatile uint64 depth)
{
	volatile char room[4096];

	room[0] = (char)depth;
	return depth ? recurse(depth - 1) + (uint64)room[0] : 0;
}

static void stack_overflow(void)
{
	data = (int)recurse(1 << 20);
}

static void illegal_instruction(void)
{
	__asm__ volatile(".4byte 0");
}

static void privileged_instruction(void)
{
	__asm__ volatile("csrr t0, sstatus" ::: "t0");
}

static void breakpoint(void)
{
	__asm__ volatile("ebreak");
}

static const struct kind {
	const char *name;
	void (*act)(void);
} kinds[] = {
	{ "read-null", read_null },
	{ "write-null", write_null },
	{ "jump-null", jump_null },
	{ "write-text", write_text },
	{ "write-constant", write_constant },
	{ "execute-data", execute_data },
	{ "read-kernel", read_kernel },
	{ "write-kernel", write_kernel },
	{ "non-canonical", non_canonical },
	{ "past-heap", past_heap },
	{ "stack-overflow", stack_overflow },
	{ "illegal-instruction", illegal_instruction },
	{ "privileged-instruction", privileged_instruction },
	{ "breakpoint", breakpoint },
};

int main(int argc, char *argv[])
{
	for (uint i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (argc < 2)
			printf("%s\n", kinds[i].name);
		else if (strcmp(argv[1], kinds[i].name) == 0)
			kinds[i].act();
	}
	if (argc > 1)
		printf("fault: survived %s\n", argv[1]);
	return 0;
}
