// names.c: every header that xv6's programs include and every function of its user.h that can be called without harm.
#include "kernel/param.h"
#include "kernel/types.h"
#include "kernel/stat.h"
#include "kernel/fs.h"
#include "kernel/fcntl.h"
#include "kernel/syscall.h"
#include "kernel/memlayout.h"
#include "kernel/riscv.h"
#include "user/user.h"

#ifdef MAP_FAILED
#error "programs of the mmap lab define it themselves"
#endif

char buf[BSIZE];
uint counters[NPROC];

void
fail(char *what)
{
  fprintf(2, "names: %s failed\n", what);
  exit(1);
}

int
main(int argc, char **argv)
{
  struct stat st;
  struct dirent de;
  char path[MAXPATH], *p, *q;
  int fd, i, n, status;
  uint64 top;

  strcpy(path, "names.dir");
  if(mkdir(path) < 0 || chdir(path) < 0)
    fail("mkdir, chdir");
  if((fd = open("file", O_CREATE | O_RDWR | O_TRUNC)) < 0)
    fail("open");
  memset(buf, 'x', sizeof(buf));
  for(i = 0; i < NDIRECT + 2; i++)
    if(write(fd, buf, BSIZE) != BSIZE)
      fail("write");
  if(fstat(fd, &st) < 0 || st.type != T_FILE || st.size != (NDIRECT + 2) * BSIZE || st.nlink != 1)
    fail("fstat");
  close(fd);
  if(link("file", "other") < 0 || stat("other", &st) < 0 || st.nlink != 2 || unlink("other") < 0)
    fail("link");
  if((fd = open(".", O_RDONLY)) < 0)
    fail("open .");
  for(n = 0; read(fd, &de, sizeof(de)) == sizeof(de); )
    if(de.inum != 0 && strlen(de.name) <= DIRSIZ)
      n++;
  close(fd);
  if(n != 3)
    fail("directory entries");
  if(unlink("file") < 0 || chdir("..") < 0 || unlink("names.dir") < 0)
    fail("unlink");

  p = malloc(100);
  q = malloc(3 * PGSIZE);
  if(p == 0 || q == 0)
    fail("malloc");
  memmove(p, "abc", 4);
  memcpy(q, p, 4);
  if(memcmp(p, q, 4) != 0 || strcmp(p, q) != 0 || strlen(p) != 3 || strchr(p, 'c') != p + 2 || atoi("42") != 42)
    fail("string functions");
  free(p);
  free(q);

  top = (uint64) sbrk(0);
  if((uint64) sbrk(PGSIZE) != top || (uint64) sbrk(-PGSIZE) != top + PGSIZE)
    fail("sbrk");
  if(sbrk(0) != (char *) top || PGROUNDUP(top) < top || top >= MAXVA)
    fail("sbrk back");

  if((n = fork()) < 0)
    fail("fork");
  if(n == 0){
    char *arguments[] = { "echo", "from", "exec", 0 };
    fd = dup(1);
    close(fd);
    exec("echo", arguments);
    exit(1);
  }
  if(wait(&status) != n || status != 0)
    fail("wait");
  if((n = fork()) == 0)
    for(;;)
      ;
  if(kill(n) < 0 || wait(&status) != n || status != -1)
    fail("kill");
  if(uptime() < 0 || getpid() <= 0 || mknod("names.node", 1, 0) < 0 || unlink("names.node") < 0)
    fail("the rest");
  printf("%d %x %p %s %c %ld %lu %%\n", -1, 255, (void *) 16, "text", 'c', 1234567890123L, 1234567890123UL);
  printf("names: all there in %s, call %d\n", argv[0], SYS_getpid);
  exit(0);
}
