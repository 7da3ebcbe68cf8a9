/*
 * A path of MAIL and RCPT (RFC 5321 section 4.1.2, RFC 6531 section 3.3),
 * taken apart. Source routes are read and ignored.
 */
#ifndef LDA_LMTP_PATH_H
#define LDA_LMTP_PATH_H

#include <stdbool.h>

#include "lda/lmtp/limits.h"
#include "store/base/str.h"

struct lmtp_path {
	struct str text;	/* as sent, without brackets and route; "" for <> */
	struct str domain;	/* "" for <> and <postmaster> */
	/* The local part without its quotes. */
	size_t local_n;
	char local[LMTP_LOCAL_MAX + 1];
	bool utf8;		/* holds bytes above 127 */
};

enum lmtp_path_error {
	LMTP_PATH_OK,
	LMTP_PATH_SYNTAX,	/* no brackets, or not closed */
	LMTP_PATH_BAD,		/* not an address */
	LMTP_PATH_UTF8,		/* needs SMTPUTF8 */
};

enum lmtp_path_for {
	LMTP_PATH_SENDER,	/* <> is allowed */
	LMTP_PATH_RECIPIENT,	/* <postmaster> is allowed */
};

enum lmtp_utf8 {
	LMTP_ASCII,
	LMTP_UTF8,
};

/*
 * Reads a path at the start of *in and moves *in behind it. *path_r borrows
 * from *in. Nothing is promised about either on failure.
 */
enum lmtp_path_error lmtp_path_parse(struct str *in, enum lmtp_path_for what,
    enum lmtp_utf8 utf8, struct lmtp_path *path_r);

/* Well-formed UTF-8 (RFC 3629): no surrogate, nothing over-long. */
bool lmtp_utf8_valid(struct str s);

#endif
