/* encoded-character (RFC 5228 section 2.4.2.4). */
#ifndef FILTERS_SIEVE_EXT_ENCODED_H
#define FILTERS_SIEVE_EXT_ENCODED_H

#include "store/base/arena.h"
#include "store/base/str.h"

/* Replaces ${hex:..} and ${unicode:..} in *s by a copy without them. -1
 * with a sentence when a code is out of range. */
int encoded_character_decode(struct arena *a, struct str *s,
    const char **why_r);

#endif
