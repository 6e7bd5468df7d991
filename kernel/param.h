// param.h: limits of the system, under xv6's names and with xv6's values.
//
// Programs see the first group as behaviour. The second group is there for programs that mention it: Quire sizes its buffers, journal and
// disk at boot or when the disk is made, from the machine and the image it finds.
#pragma once

#define NPROC   64  // processes
#define NCPU    8   // harts that are promised to work; mm's PORT_MAX_CPUS is the size of the arrays
#define NOFILE  16  // open files of a process
#define NFILE   100 // open files of all processes together, at least
#define NINODE  50  // inodes in use at a time, at least
#define NDEV    10  // device majors, 0 is unused
#define ROOTDEV 1   // the disk with the root directory
#define MAXARG  32  // arguments of exec, the program's name included
#define MAXPATH 128 // bytes of a path, its NUL included

#define MAXOPBLOCKS 10
#define LOGSIZE     (MAXOPBLOCKS * 3)
#define NBUF        (MAXOPBLOCKS * 3)
#define FSSIZE      2000
#define USERSTACK   2048 // pages that the stack may grow to
