// find.c: prints every path below a directory whose last part is a name, written as courses write it for xv6.
#include "kernel/types.h"
#include "kernel/stat.h"
#include "kernel/fs.h"
#include "kernel/fcntl.h"
#include "user/user.h"

char path[512];

void
find(char *name)
{
  int fd;
  char *end = path + strlen(path);
  struct dirent de;
  struct stat st;

  if((fd = open(path, 0)) < 0 || fstat(fd, &st) < 0){
    fprintf(2, "find: cannot open %s\n", path);
    return;
  }
  if(st.type == T_DIR && strlen(path) + 1 + DIRSIZ + 1 <= sizeof path){
    *end = '/';
    while(read(fd, &de, sizeof(de)) == sizeof(de)){
      if(de.inum == 0 || strcmp(de.name, ".") == 0 || strcmp(de.name, "..") == 0)
        continue;
      memmove(end + 1, de.name, DIRSIZ);
      end[1 + DIRSIZ] = 0;
      if(strcmp(end + 1, name) == 0)
        printf("%s\n", path);
      if(stat(path, &st) >= 0 && st.type == T_DIR)
        find(name);
    }
    *end = 0;
  }
  close(fd);
}

int
main(int argc, char *argv[])
{
  if(argc != 3){
    fprintf(2, "usage: find directory name\n");
    exit(1);
  }
  strcpy(path, argv[1]);
  find(argv[2]);
  exit(0);
}
