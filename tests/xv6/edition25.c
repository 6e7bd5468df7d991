// edition25.c: what is new in the 2025 edition: pause, sbrklazy, sys_sbrk, SBRK_ERROR, longer printf formats; and functions of the program's
// own whose names a library might also have.
#include "kernel/types.h"
#include "kernel/stat.h"
#include "kernel/vm.h"
#include "kernel/riscv.h"
#include "kernel/memlayout.h"
#include "user/user.h"

struct list {
  struct list *next;
  uint64 value;
};

int
sync(int a)
{
  return a + 1;
}

char*
strrchr(int a, int b)
{
  return a > b ? "greater" : "not greater";
}

int
snprintf(void)
{
  return 25;
}

static int
ps(void)
{
  return 7;
}

static void
shutdown(const char *why)
{
  printf("edition25: %s\n", why);
  exit(1);
}

static void
sigma(struct list *l, uint64 want)
{
  uint64 sum = 0;

  for(; l; l = l->next)
    sum += l->value;
  if(sum != want)
    shutdown("list");
}

int
main(int argc, char *argv[])
{
  char *a, *b;
  struct list *l = 0, *n;
  int i, start = uptime();

  if(pause(1) != 0 || uptime() == start)
    shutdown("pause");

  a = sbrklazy(4 * PGSIZE);
  b = sbrk(0);
  if(a == SBRK_ERROR || b != a + 4 * PGSIZE)
    shutdown("sbrklazy");
  a[3 * PGSIZE] = 1;
  if(a[0] != 0 || sys_sbrk(PGSIZE, SBRK_EAGER) != b || sys_sbrk(PGSIZE, SBRK_LAZY) != b + PGSIZE)
    shutdown("sys_sbrk");
  b[0] = b[PGSIZE] = 1;
  if(sbrk(-6 * PGSIZE) != b + 2 * PGSIZE || sbrk(0) != a)
    shutdown("sbrk back");
  if(sbrk(-0x7fffffff) != a || sbrk(0) != a)
    shutdown("sbrk too far back");

  for(i = 1; i <= 100; i++){
    if((n = malloc(sizeof(*n))) == 0)
      shutdown("malloc");
    n->next = l;
    n->value = i;
    l = n;
  }
  sigma(l, 5050);
  while(l){
    n = l->next;
    free(l);
    l = n;
  }

  if(sync(1) != 2 || strrchr(2, 1)[0] != 'g' || snprintf() != 25 || ps() != 7)
    shutdown("own functions");
  if(r_sp() >= MAXVA || PGROUNDDOWN(4097) != 4096 || TRAPFRAME >= TRAMPOLINE)
    shutdown("addresses");
  printf("edition25: ok %ld %lld %lx %llx %lu %p %c\n", -1L, -2LL, 0x100000000L, 0x200000000LL, 3UL, (void*)0x25, 'c');
  return 0;
}
