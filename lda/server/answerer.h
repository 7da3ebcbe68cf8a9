/*
 * The worker of the doors that are asked (maps, policy server): many
 * connections in one process. An MTA keeps one open for each of its own
 * processes, most of them quiet; a process of ours for each would be a hundred
 * that wait. Questions are answered one after another, so one that waits for
 * a directory makes the others of this process wait; there are a few of them
 * (map_workers), and who has least connections takes the next one.
 */
#ifndef LDA_SERVER_ANSWERER_H
#define LDA_SERVER_ANSWERER_H

#include <signal.h>

#include "lda/server/service.h"

struct answerer {
	const struct service *service;
	unsigned slot;
	const struct agent *agent;
	const sigset_t *waiting;	/* signals while we wait */
	enum session_order (*order)(void);
};

/* Answers until the order of the day ends it. 0, or -1 when it cannot watch
 * its sockets. */
int answerer_run(const struct answerer *a);

#endif
