/*
 * One LMTP connection from greeting to goodbye, blocking, with deadlines.
 * The service, standard input (vbox-deliver -l) and inetd call the same.
 */
#ifndef LDA_LMTP_SESSION_H
#define LDA_LMTP_SESSION_H

#include "lda/delivery.h"
#include "lda/lmtp/wire.h"
#include "lda/report.h"
#include "lda/server/board.h"
#include "store/retry.h"

enum session_order {
	SESSION_GO_ON,
	SESSION_RETIRE,		/* end when the client has been quiet a while */
	SESSION_STOP,		/* end behind this message, or now if there is none */
	SESSION_STOP_NOW,	/* end at the next wait for the client */
};

enum session_trust { SESSION_STRANGER, SESSION_TRUSTED };

/* What is the same for all connections of a process. */
struct session_site {
	const struct agent *agent;
	struct retry *retry;	/* NULL: no retry journal */
	struct board *board;	/* NULL: alone */
	unsigned slot;
	enum session_order (*order)(void);	/* NULL: always go on */
	/* Shakes hands on the wire; NULL: no STARTTLS. */
	int (*secure)(struct wire *w, int64_t deadline);
	/* One recipient is done; for log and metrics. May be NULL. */
	void (*done)(const struct report *r);
};

/* Serves until the peer or we have had enough. `client` names the peer for
 * Received and the log: an address, or "local". */
void session_serve(const struct session_site *site, struct wire *w,
    const char *client, enum session_trust trust);

#endif
