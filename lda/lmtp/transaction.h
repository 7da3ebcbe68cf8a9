/*
 * One message on its way through LMTP: sender, recipients, spool, and the
 * deliveries, side by side, so that a locked mailbox holds up nobody else.
 *
 *	transaction_init(&t, site);
 *	transaction_mail(&t, &lmtp, &v)
 *	transaction_rcpt(&t, &lmtp, &v)		for each
 *	transaction_bytes(&t, bytes)		for each piece
 *	transaction_kept(&t, &v)		are they?
 *	transaction_deliver(&t, answer, arg)	calls `answer` once for each
 *						accepted recipient, in order
 *	transaction_reset(&t)
 *	transaction_release(&t)
 */
#ifndef LDA_LMTP_TRANSACTION_H
#define LDA_LMTP_TRANSACTION_H

#include "lda/delivery.h"
#include "lda/lmtp/crlf.h"
#include "lda/lmtp/protocol.h"
#include "lda/lmtp/session.h"

struct transaction_rcpt;

struct transaction {
	const struct session_site *site;
	struct str client;		/* of the connection, for Received */
	struct arena arena;		/* envelope and recipients */
	struct envelope envelope;
	struct transaction_rcpt **rcpts;
	size_t count, room;
	struct spool spool;
	struct crlf crlf;
	struct verdict spool_verdict;	/* V_OK while all is kept */
	struct parcel parcel;
	struct retry_key digest;	/* of the message, with a journal */
	bool digested;
	int64_t began_ms;
};

void transaction_init(struct transaction *t, const struct session_site *site);
void transaction_release(struct transaction *t);
/* Forgets the message; waits for nothing and keeps nothing locked. */
void transaction_reset(struct transaction *t);

int transaction_mail(struct transaction *t, const struct lmtp *p,
    struct verdict *v);
int transaction_rcpt(struct transaction *t, const struct lmtp *p,
    struct verdict *v);
void transaction_bytes(struct transaction *t, struct str bytes);
int transaction_kept(const struct transaction *t, struct verdict *v);
/* One more answer, in the order of the recipients, given without waiting for
 * the client; v NULL: now it may be waited for. */
typedef void transaction_answer(void *arg, const struct verdict *v);
void transaction_deliver(struct transaction *t, transaction_answer *answer,
    void *arg);

#endif
