// vm.h: the second argument of the sbrk system call. Quire hands out memory at first touch whatever it is; an eager call touches it at
// once, so that its failure tells that there is not enough.
#pragma once

#define SBRK_EAGER   1
#define SBRK_LAZY    2 // addresses up to the stack's, however much memory there is: sbrklazy
#define SBRK_BOUNDED 3 // no more than the machine has: sbrk
