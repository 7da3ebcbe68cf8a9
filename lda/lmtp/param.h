/*
 * What follows a path or stands in XCLIENT: KEYWORD[=VALUE] words, xtext.
 */
#ifndef LDA_LMTP_PARAM_H
#define LDA_LMTP_PARAM_H

#include <stdbool.h>

#include "store/base/buf.h"
#include "store/base/str.h"

struct lmtp_param {
	struct str key;
	struct str value;	/* "" without = */
	bool has_value;
};

enum lmtp_param_next {
	LMTP_PARAM_END,		/* no more */
	LMTP_PARAM_FOUND,
	LMTP_PARAM_BAD,		/* not KEYWORD[=VALUE] */
};

/* Takes the next word off *in, which begins with a blank or is empty. */
enum lmtp_param_next lmtp_param_next(struct str *in,
    struct lmtp_param *param_r);

/* Decodes xtext (RFC 3461 section 4) behind what is in out. -1: a bad
 * escape, a control character, or more than out takes. */
int lmtp_xtext_decode(struct str s, struct buf *out);
/* The same for utf-8-addr-xtext and utf-8-addr-unitext (RFC 6533 section 3),
 * which write a character as \x{HEX} or as it is. */
int lmtp_unitext_decode(struct str s, struct buf *out);

#endif
