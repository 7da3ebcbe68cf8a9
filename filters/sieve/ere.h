/*
 * POSIX extended regular expressions, which draft-ietf-sieve-regex means,
 * written as PCRE2 takes them.
 */
#ifndef FILTERS_SIEVE_ERE_H
#define FILTERS_SIEVE_ERE_H

#include <stdbool.h>

#include "store/base/buf.h"
#include "store/base/str.h"

/* Groups inside of each other. */
#define ERE_NESTING 64

/*
 * What is the same in both goes as it is; whether it is right, PCRE2 says.
 * Translated is what differs: a backslash in brackets stands for itself, a
 * closing parenthesis alone, too; repetitions of repetitions ("a*?") are
 * just that, not lazy or possessive; equivalence classes; \< and \> of GNU.
 * "(?" and "(*" are none of POSIX and refused, so that nobody can switch
 * anything in PCRE2. *choice_r: has it a "|"? 0, or -1 with why.
 */
int ere_translate(struct str pattern, struct buf *out, bool *choice_r,
    const char **why_r);

#endif
