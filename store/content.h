/*
 * What is to be stored, and how it looks in a mailbox.
 *
 * The header fields that delivery adds, then the message as it was spooled,
 * less fields of given names. content_write() gives the bytes of one copy
 * in one of the formats; it runs over the message in pieces, so a message
 * of any size costs one piece of memory.
 *
 * mbox variants (RFC 4155 leaves quoting open):
 *   mboxrd  "From ", ">From ", ">>From " ... at a line's start get one '>'
 *           more: reversible
 *   mboxo   only "From " gets one: not reversible, for old readers
 *   mboxcl2 nothing is quoted; Content-Length says where the body ends
 */
#ifndef STORE_CONTENT_H
#define STORE_CONTENT_H

#include <stdint.h>
#include <time.h>

#include "store/base/buf.h"
#include "store/base/source.h"
#include "store/base/str.h"

enum content_format {
	CONTENT_PLAIN,		/* Maildir */
	CONTENT_MBOXRD,
	CONTENT_MBOXO,
	CONTENT_MBOXCL2,
};

struct content {
	struct str sender;	/* envelope sender; empty: MAILER-DAEMON */
	time_t when;		/* of the From_ line */
	struct str head;	/* whole header lines, each ending in LF */
	const struct source *message;
	uint64_t body;		/* where its body begins (behind the blank
				 * line), or its length when it has none */
	struct str header;	/* p not NULL: stands for the message's own
				 * header, its blank line included */
	const struct str *drop;	/* names of fields left out, without colon */
	size_t drops;
	struct str mbox_head;	/* lines that only an mbox copy gets, such as
				 * Status and X-Keywords of a Sieve flag */
};

/* Gets the bytes in order; a return other than 0 ends the writing. */
typedef int content_sink(void *arg, const char *p, size_t n);

/*
 * Writes the whole copy to `sink`: for an mbox from the From_ line to the
 * blank line behind the message. Fields that describe a mailbox (Status,
 * X-UID, ...) never pass into an mbox. 0, or -1 with errno set by a failed
 * read or by the sink.
 */
int content_write(const struct content *c, enum content_format format,
    content_sink *sink, void *arg);

#endif
