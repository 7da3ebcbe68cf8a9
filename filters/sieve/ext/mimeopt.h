/* The MIME options of header (RFC 5703 section 4): :type and friends. */
#ifndef FILTERS_SIEVE_EXT_MIMEOPT_H
#define FILTERS_SIEVE_EXT_MIMEOPT_H

#include "filters/sieve/eval.h"

enum mime_opt {
	MIME_OPT_TYPE,
	MIME_OPT_SUBTYPE,
	MIME_OPT_CONTENTTYPE,
	MIME_OPT_PARAM,
};

/* Matches what the option means of a field. */
int mimeopt_match(struct run *r, const struct node *n, struct field *f,
    struct match *m);

#endif
