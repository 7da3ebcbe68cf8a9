/*
 * One process that serves one connection after another. It is confined before
 * it accepts the first; what a client sends is read here and nowhere else.
 */
#ifndef LDA_SERVER_WORKER_H
#define LDA_SERVER_WORKER_H

#include "lda/server/service.h"

/* The life of a worker in its slot of the board; returns its exit status. */
int worker_run(struct service *s, unsigned slot);
/* One connection on standard input, for inetd; returns the exit status. */
int worker_inetd(struct service *s);

#endif
