/*
 * Trace fields: what delivery adds on top of a message, and what it reads in
 * the ones that are there.
 */
#ifndef LDA_TRACE_H
#define LDA_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "lda/envelope.h"
#include "lda/spool.h"
#include "store/base/buf.h"
#include "store/base/verdict.h"

/* What of a Message-ID the log shows. */
#define TRACE_MSGID 250

/* What a header says, found in one walk over it. */
struct trace {
	unsigned received;		/* number of Received fields */
	bool marked;			/* it has a field that is ours to write */
	bool passed;			/* it has a Delivered-To field */
	char msgid[TRACE_MSGID + 1];	/* first Message-ID, cut, printable */
};

/*
 * Walks over the header of a finished spool. Each Delivered-To value is given
 * to `delivered_to` as it was found; NULL to skip. 0, or -1 on a read error.
 */
int trace_scan(const struct spool *sp, struct trace *t,
    void (*delivered_to)(void *arg, struct str address), void *arg,
    struct verdict *v);

/* Was the message delivered to `address` before? By its Delivered-To. */
struct trace_loop {
	struct str address;
	bool found;
};
void trace_loop_look(void *arg, struct str address);

/* What goes on top of the copy of one recipient. */
struct trace_fields {
	const struct envelope *envelope;
	struct str delivered_to;	/* the mailbox's address */
	struct str original_to;		/* ORCPT or the address before aliases;
					 * empty or the same: left out */
	const char *hostname;
	const char *id;			/* of this delivery */
	time_t when;
	struct str content;		/* fields of the policy and of a scanner */
};
/*
 * Return-Path (RFC 5321 section 4.4), Delivered-To, X-Original-To and, when a
 * protocol is known, Received.
 */
void trace_add(const struct trace_fields *f, struct buf *out);

/* Fields of the message that only we may set: trace_add's, and the mark of the
 * content policy, which says nothing when a stranger wrote it. */
extern const struct str trace_dropped[];
extern const size_t trace_dropped_count;

#endif
