/*
 * The messages of an mbox, one after the other, with what other programs
 * noted in them.
 */
#ifndef STORE_MBOX_READ_H
#define STORE_MBOX_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "store/base/str.h"
#include "store/content.h"

struct mbox_message {
	struct str sender;	/* of the From_ line */
	time_t when;		/* likewise, UTC */
	struct str header;	/* fields, without the blank line */
	struct str body;	/* as it stands in the mbox, quoted */
	bool blank;		/* a blank line divides header and body */
	unsigned flags;		/* enum mailbox_flag */
	bool old;		/* seen by a program before, if not read */
	struct str keywords;	/* of X-Keywords, divided by blanks */
	bool internal;		/* holds data of the mailbox, no mail */
};

/*
 * The message at *at; moves *at behind it. 1, 0 at the end, -1 when no
 * From_ line stands there. A From_ line ends with a date and has a blank line
 * in front; with mboxcl2 Content-Length is believed when it leads to one.
 */
int mbox_read(struct str file, size_t *at, enum content_format variant,
    struct mbox_message *m_r);
/* Does a mailbox program, not the sender, own this header field? */
bool mbox_read_own_field(struct str line);

#endif
