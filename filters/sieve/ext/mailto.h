/* mailto URIs (RFC 6068) as notify takes them (RFC 5436 section 2). */
#ifndef FILTERS_SIEVE_EXT_MAILTO_H
#define FILTERS_SIEVE_EXT_MAILTO_H

#include "filters/sieve/limits.h"
#include "store/base/arena.h"
#include "store/base/str.h"

struct mailto {
	struct str to[LIMIT_NOTIFY_TO];	/* addr-specs, none twice: those of
					 * "to", then those of "cc"; may be
					 * none at all */
	size_t n_to;
	size_t n_cc;		/* so many of them are of "cc" */
	struct str subject;	/* p NULL: none */
	struct str body;
	struct str headers;	/* the others that are harmless */
};

/* 0, or -1 with a sentence. */
int mailto_parse(struct arena *a, struct str uri, struct mailto *m_r,
    const char **why_r);

#endif
