/*
 * One process that serves one connection after another, or, in one of the
 * first slots of the board, questions of many. It is confined before it
 * accepts the first; what a client sends is read here and nowhere else.
 */
#ifndef LDA_SERVER_WORKER_H
#define LDA_SERVER_WORKER_H

#include "lda/server/service.h"

/*
 * Loads the libraries that workers of this configuration use, so that each
 * one forked afterwards has them already: 4 ms and 1 MB less of its own. Opens
 * no connection that lasts; what cannot be loaded is left to the workers.
 */
void worker_preload(const struct config *c);
/* The life of a worker in its slot of the board; returns its exit status. */
int worker_run(struct service *s, unsigned slot);
/* Tells the master to look after idle workers. */
void worker_poke(const struct service *s);
/* One connection on standard input, for inetd; returns the exit status. */
int worker_inetd(struct service *s);

#endif
