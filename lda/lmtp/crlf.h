/*
 * CRLF becomes LF on the way into the spool; every other byte stays as it is,
 * a bare CR among them.
 */
#ifndef LDA_LMTP_CRLF_H
#define LDA_LMTP_CRLF_H

#include <stdbool.h>
#include <stddef.h>

#include "store/base/str.h"

struct crlf {
	bool held;	/* a CR whose next byte is not known yet */
};

/* Room in which n bytes are taken at once: a CR may have been held, and
 * crlf_feed wants two bytes free. */
#define CRLF_ROOM(n) ((n) + 3)

/*
 * Takes bytes off *in and writes them to out, whose size must be at least 2.
 * Returns how many were written; call until in->n is 0.
 */
size_t crlf_feed(struct crlf *c, struct str *in, char *out, size_t size);
/* What was held at the end of the message: 0 or 1 byte. */
size_t crlf_end(struct crlf *c, char *out);

#endif
