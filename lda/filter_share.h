/*
 * Memory that a process and its warm filter share. A message and its script
 * through a socket are copied twice, with memory taken and given back for
 * each piece, and whoever reads it wakes the writer for nothing; here they
 * are copied once, and each side is woken once. What does not fit, questions
 * and all else go through the socket as ever.
 *
 *	master: post  ->  filter: next ... say, or talk  ->  master: wait
 *
 * Neither side reads what the other can still write: the filter cannot write
 * where jobs lie, and the master copies a plan before it looks at it. The
 * filter may do with the rest what it likes: whatever stands there, the
 * master goes on by its own clock. There is no file behind the memory, so
 * nobody can cut it short.
 *
 * Private to filter*.c.
 */
#ifndef LDA_FILTER_SHARE_H
#define LDA_FILTER_SHARE_H

#include <stdint.h>
#include <sys/types.h>

#include "store/base/buf.h"
#include "store/base/str.h"

/* Jobs up to here: nine of ten messages, with their scripts. Memory is taken
 * as it is used. */
#define FILTER_SHARE_JOB (256u * 1024)
/* Plans up to here: a few actions and errors. */
#define FILTER_SHARE_PLAN (32u * 1024)

struct filter_share;

/* What was heard of a filter. */
enum filter_heard {
	FILTER_HEARD_PLAN,	/* filter_share_plan has it */
	FILTER_HEARD_TALK,	/* the rest comes through the socket */
	FILTER_HEARD_NONSENSE,
	FILTER_HEARD_DEATH,	/* it died at the job */
	FILTER_HEARD_NOTHING,	/* it died before it began */
	FILTER_HEARD_LATE,	/* nothing until the deadline */
};

/* Before the filter is forked. 0, or -1 with errno. */
int filter_share_open(struct filter_share **s_r);
/* Behind the fork, in the parent: no other child is to have it. 0, or -1 with
 * errno. */
int filter_share_ours(struct filter_share *s);
/* By who opened it, and by a child of his, where it is no longer mapped. */
void filter_share_close(struct filter_share **s);
void filter_share_forget(struct filter_share **s);

/* Where a job goes; `out` is full when it does not fit. Not released. */
void filter_share_job(struct filter_share *s, struct buf *out);
/* Wakes the filter, on the processor that we are about to leave: the message is
 * in its cache, and to start a sleeping one costs more than the filter.
 * n bytes of job lie there; 0: it comes through the socket. */
void filter_share_post(struct filter_share *s, pid_t filter, size_t n);
/* Until it says something, or `deadline_ms` of clock_mono_ms. */
enum filter_heard filter_share_wait(struct filter_share *s, pid_t filter,
    int64_t deadline_ms);
/* A copy of the plan. 0, or -1 when it makes no sense. */
int filter_share_plan(struct filter_share *s, struct buf *out);

/* In the filter, before it is confined. 0 or -1. */
int filter_share_enter(struct filter_share *s);
/* The next job, borrowed until the plan is said; p is NULL when it comes through
 * the socket. */
struct str filter_share_next(struct filter_share *s);
/* The plan, as the only thing that is said of a job. 0, or -1 when it does
 * not fit. */
int filter_share_say(struct filter_share *s, struct str plan);
/* Tells the master to listen to the socket for the rest of this job. */
void filter_share_talk(struct filter_share *s);

#endif
