// primes.c: a sieve of processes joined by pipes, written as courses write it for xv6.
#include "kernel/types.h"
#include "kernel/stat.h"
#include "user/user.h"

static void
sieve(int in)
{
  int prime, n, p[2];

  if(read(in, &prime, sizeof(prime)) != sizeof(prime))
    exit(0);
  printf("prime %d\n", prime);
  if(pipe(p) < 0 || fork() == 0){
    close(p[1]);
    close(in);
    sieve(p[0]);
  }
  close(p[0]);
  while(read(in, &n, sizeof(n)) == sizeof(n))
    if(n % prime)
      write(p[1], &n, sizeof(n));
  close(p[1]);
  close(in);
  wait(0);
  exit(0);
}

int
main(int argc, char *argv[])
{
  int i, p[2];

  pipe(p);
  if(fork() == 0){
    close(p[1]);
    sieve(p[0]);
  }
  close(p[0]);
  for(i = 2; i <= 35; i++)
    write(p[1], &i, sizeof(i));
  close(p[1]);
  wait((int *) 0);
  exit(0);
}
