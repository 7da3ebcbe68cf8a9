/*
 * The delivery log as the service has it: what was left is mended before
 * anybody is served, and a process of its own syncs mailboxes behind it
 * (store/redo.h). Without the log mail is delivered as if it were off; whatever
 * goes wrong with it is said, and stops no mail.
 */
#ifndef LDA_SERVER_KEEPER_H
#define LDA_SERVER_KEEPER_H

#include "lda/server/service.h"

/* Before the first worker: mends, and sets s->redo when the log is to be
 * used. */
void keeper_open(struct service *s);
/* Forks the process. Its pid, or -1 (logged). */
pid_t keeper_start(struct service *s);
/* When all workers have ended: everything is synced, the log is clean. */
void keeper_close(struct service *s, pid_t keeper);

#endif
