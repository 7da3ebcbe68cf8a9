/*
 * The process that holds the sockets and keeps the workers: forks them, counts
 * them, replaces them. It never reads a byte from a client.
 */
#ifndef LDA_SERVER_MASTER_H
#define LDA_SERVER_MASTER_H

#include "lda/server/service.h"

/*
 * Runs until SIGTERM or SIGINT and returns the exit status. `s` has its
 * configuration and sockets, and root is gone. `ready` is called once the
 * first workers are there.
 */
int master_run(struct service *s, void (*ready)(void));

#endif
