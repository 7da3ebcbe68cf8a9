/*
 * vbox-lmtpd as a whole: what master and workers share.
 */
#ifndef LDA_SERVER_SERVICE_H
#define LDA_SERVER_SERVICE_H

#include <limits.h>

#include "lda/config.h"
#include "lda/server/board.h"
#include "lda/server/listen.h"
#include "lda/server/tls.h"
#include "store/redo.h"

struct service {
	const char *conf;		/* -c, or NULL */
	struct config config;
	struct listeners listeners;
	struct board *board;
	struct redo *redo;		/* the delivery log, or NULL */
	struct tls_site *tls;		/* NULL: no STARTTLS */
	char hostname[HOST_NAME_MAX + 1];
	int poke;			/* eventfd: a worker got busy */
	int submitter;			/* socket of the submit helper, or -1 */
	unsigned generation;
	pid_t master;
};

#endif
