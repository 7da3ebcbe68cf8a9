/* Keys for "was that there before?": text as long as it is short. */
#ifndef FILTERS_SIEVE_EXT_HASH_H
#define FILTERS_SIEVE_EXT_HASH_H

#include "filters/sieve/eval.h"

/* 128 bits of a number of strings as 32 hex digits, for what the user wrote
 * himself: not for telling strangers' texts apart. */
void hash_hex(const struct str *list, unsigned n, struct buf *out);

#endif
