/*
 * A mailbox from one format into the other: messages, flags, keywords and
 * dates are kept, bytes are what they were.
 *
 * Each call converts one folder: an mbox file, or a directory with cur, new
 * and tmp. The caller locks the mbox, sees to it that nobody delivers, makes
 * the target empty, and syncs it (syncfs) when all is done.
 *
 * Left out: the message of the mailbox's own data that Dovecot, c-client and
 * others keep in an mbox, and the UIDs: a client fetches anew.
 */
#ifndef STORE_CONVERT_H
#define STORE_CONVERT_H

#include <stdint.h>
#include <sys/types.h>

#include "store/base/verdict.h"
#include "store/content.h"

struct convert_count {
	uint64_t messages;
	uint64_t bytes;		/* of the messages, as a Maildir has them */
};

struct convert_how {
	enum content_format variant;	/* of the mbox */
	mode_t file_mode;
	const char *hostname;		/* for Maildir names */
};

/* The mbox open at `mbox` into the Maildir open at `maildir`. 0 or -1. */
int convert_to_maildir(int mbox, int maildir, const struct convert_how *how,
    struct convert_count *count, struct verdict *v);
/* The Maildir open at `maildir`, appended to the mbox open at `mbox`. */
int convert_to_mbox(int maildir, int mbox, const struct convert_how *how,
    struct convert_count *count, struct verdict *v);

#endif
