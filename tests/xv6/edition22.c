// edition22.c: what programs of the 2022 edition rely on: sleep, gets from a pipe, sbrk that gives memory at once usable, main without a result.
#include "kernel/param.h"
#include "kernel/types.h"
#include "kernel/stat.h"
#include "user/user.h"

#define N 3

int zeroes[1000];

void
check(int good, char *what)
{
  if(!good){
    printf("edition22: %s\n", what);
    exit(1);
  }
}

void
lines(void)
{
  char buf[20];
  int p[2];

  check(pipe(p) == 0, "pipe");
  write(p[1], "one\ntwo\nthree", 13);
  close(p[1]);
  close(0);
  check(dup(p[0]) == 0, "dup");
  close(p[0]);
  check(gets(buf, sizeof(buf)) == buf && strcmp(buf, "one\n") == 0, "first line");
  check(strcmp(gets(buf, 3), "tw") == 0, "line cut short");
  check(strcmp(gets(buf, sizeof(buf)), "o\n") == 0, "its rest");
  check(strcmp(gets(buf, sizeof(buf)), "three") == 0, "last line");
  check(gets(buf, sizeof(buf))[0] == 0, "end of input");
}

void
main(int argc, char *argv[])
{
  int i, start, status, sum = 0;
  char *m, *args[MAXARG];

  for(i = 0; i < 1000; i++)
    sum += zeroes[i];
  check(sum == 0, "bss");

  start = uptime();
  sleep(2);
  check(uptime() - start >= 2, "sleep");

  m = sbrk(10000);
  check(m != (char*)-1, "sbrk");
  memset(m, 5, 10000);
  check(m[0] == 5 && m[9999] == 5, "memset");
  check(sbrk(-10000) == m + 10000, "sbrk back");

  for(i = 0; i < N; i++)
    if(fork() == 0)
      exit(i);
  for(i = 0; i < N; i++){
    check(wait(&status) > 0, "wait");
    sum += status;
  }
  check(sum == 0 + 1 + 2, "statuses");
  check(wait(0) == -1, "wait for nobody");

  args[0] = "nothing";
  args[1] = 0;
  check(exec("nothing", args) == -1, "exec");
  lines();
  printf("edition22: ok %d %x %s %c%c %%\n", -22, 0x22, "two", 't', 'w');
  exit(0);
}
