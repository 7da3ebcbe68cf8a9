/*
 * Comparators (RFC 4790, 5051): how two strings are equal or ordered.
 */
#ifndef FILTERS_SIEVE_COMPARATOR_H
#define FILTERS_SIEVE_COMPARATOR_H

#include <stdbool.h>
#include <stdint.h>

#include "store/base/buf.h"
#include "store/base/str.h"

enum comparator {
	COMPARATOR_OCTET,
	COMPARATOR_CASEMAP,
	COMPARATOR_NUMERIC,
	COMPARATOR_UNICODE,
	COMPARATOR_COUNT
};

/* By name; COMPARATOR_COUNT when there is none. */
enum comparator comparator_named(struct str name);
/* The capability that a script must require for it; NULL: always there. */
const char *comparator_capability(enum comparator c);
/* Has it substrings: :contains, :matches? */
bool comparator_substrings(enum comparator c);

/* <0, 0, >0. For COMPARATOR_UNICODE both are folded already. */
int comparator_compare(enum comparator c, struct str a, struct str b);
/* Position of needle in hay, or -1. Likewise. */
ptrdiff_t comparator_find(enum comparator c, struct str hay,
    struct str needle);
/* Equal bytes under the comparator, the same length. */
bool comparator_equal(enum comparator c, struct str a, struct str b);

/* Upper case for ASCII; cut (out->full) when it does not fit. */
void comparator_fold_ascii(struct str s, struct buf *out);
/* RFC 5051: titlecase, then decomposed. `from` (may be NULL) gets for every
 * byte of the result the offset of the character it came from, and one more
 * for the end. */
int comparator_fold_unicode(struct str s, struct buf *out, struct buf *from);

#endif
