/*
 * Netstrings, LENGTH:BYTES, as sendmail's and Postfix's socket maps use them.
 * Bytes in, bytes out; nobody waits here.
 */
#ifndef LDA_MAPS_NETSTRING_H
#define LDA_MAPS_NETSTRING_H

#include <stddef.h>

#include "store/base/buf.h"
#include "store/base/str.h"

/* Digits of the longest length that is read. */
#define NETSTRING_DIGITS 9

enum netstring_result {
	NETSTRING_BAD = 0,	/* none will come of it; hang up */
	NETSTRING_MORE,		/* more bytes are wanted */
	NETSTRING_ONE,		/* *content_r is one, *in stands behind it */
};

/*
 * Takes one netstring of at most `max` bytes off the front of *in; its
 * content borrows from there. What can only become too long or wrong is BAD
 * at the first byte that shows it.
 */
enum netstring_result netstring_take(struct str *in, size_t max,
    struct str *content_r);
/* Adds "HEAD TEXT" as one netstring. 0, or -1 with nothing added. */
int netstring_add(struct buf *out, struct str head, struct str text);

#endif
