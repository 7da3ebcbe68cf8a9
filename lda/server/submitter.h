/*
 * The helper that hands mail to the MTA for confined workers: sendmail is a
 * set-user-ID or set-group-ID program, which no_new_privs disarms, so whoever
 * runs it must not be confined. It never reads a byte of a message: that goes
 * as a descriptor from the worker's spool to the program.
 */
#ifndef LDA_SERVER_SUBMITTER_H
#define LDA_SERVER_SUBMITTER_H

#include "lda/config.h"
#include "lda/submit.h"

/* Forks the helper; *socket_r is what workers ask through. The pid, or -1. */
pid_t submitter_start(const struct config *c, int *socket_r,
    struct verdict *v);
/* In a worker: every submit_run() goes through the helper from now on. */
void submitter_use(int socket);

#endif
