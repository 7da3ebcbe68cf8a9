/* Decoded text of parts, made once per run: body and extracttext. */
#ifndef FILTERS_SIEVE_EXT_BODY_H
#define FILTERS_SIEVE_EXT_BODY_H

#include "filters/sieve/eval.h"

enum body_text {
	BODY_DECODED,	/* transfer encoding undone, text made UTF-8 */
	BODY_PLAIN,	/* and HTML made plain text */
};

/* 0, or -1 when a ceiling of the run is met. */
int body_text_of(struct run *r, const struct node *n, struct mime_part *p,
    enum body_text how, struct str *s_r);

#endif
