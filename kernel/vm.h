// vm.h: the second argument of the sbrk system call. Quire hands out memory at first touch either way; an eager call touches it at once, so
// that its failure tells that there is not enough.
#pragma once

#define SBRK_EAGER 1
#define SBRK_LAZY  2
