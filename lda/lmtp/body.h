/*
 * The message that follows DATA: takes dots away and finds the end.
 *
 *	struct lmtp_body b;
 *	lmtp_body_init(&b);
 *	while (in.n && !done)
 *		done = lmtp_body_feed(&b, &in, &piece);   store piece
 *
 * Only CRLF.CRLF ends a message, and only a dot behind CRLF is taken away
 * (RFC 5321 section 4.5.2). A bare CR or LF is a byte like any other: a
 * server that takes LF.LF or CRLF.LF for the end lets a sender smuggle a
 * second message past the MTA (CVE-2023-51764).
 */
#ifndef LDA_LMTP_BODY_H
#define LDA_LMTP_BODY_H

#include <stdbool.h>

#include "store/base/str.h"

enum lmtp_body_at {
	BODY_TEXT,	/* inside a line */
	BODY_CR,	/* behind CR */
	BODY_START,	/* behind CRLF, or nothing read yet */
	BODY_DOT,	/* behind CRLF. */
	BODY_DOT_CR,	/* behind CRLF.CR */
};

struct lmtp_body {
	enum lmtp_body_at at;
};

void lmtp_body_init(struct lmtp_body *b);
/*
 * Moves *in forward and sets *piece_r to bytes of the message, maybe none;
 * they lie in *in or are constant. True when the end was read: what is left
 * of *in is the next command.
 */
bool lmtp_body_feed(struct lmtp_body *b, struct str *in, struct str *piece_r);

#endif
