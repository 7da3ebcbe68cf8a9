/* Which start of the machine this is: what lay in memory only is gone when it
 * is another. */
#ifndef STORE_BASE_BOOT_H
#define STORE_BASE_BOOT_H

#include "store/base/str.h"

/* Bytes of it at most: a UUID and a line end. */
#define BOOT_ID_MAX 39

/*
 * A text that each boot has for itself, the kernel's boot_id (random(4)), asked
 * once; static. Empty where the kernel does not tell: then nobody can say that
 * two looks were in one boot.
 */
struct str boot_id(void);

#endif
