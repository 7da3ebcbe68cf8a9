/*
 * One message to one recipient: every local copy and every forward, all or
 * nothing, and one verdict. Every door (argv, LMTP) comes through here.
 *
 *	struct delivery *d = NULL;
 *	delivery_open(&agent, &parcel, &addressee, &d, &v)	plan
 *	delivery_prepare(d, wait_ms, &v)	local copies: locked or in tmp
 *	delivery_commit(d, &v)			forwards, then the mailboxes
 *	delivery_follow(d)			answers and notices
 *	delivery_close(&d)
 *
 * delivery_prepare answers V_BOX_BUSY when a lock is not free within wait_ms;
 * it may be called again until the caller's patience (settings.lock_timeout)
 * ends, so that one locked mailbox holds up nobody else. delivery_run does
 * all of it with the configured patience.
 *
 * The safe order: prepare every local copy; hand forwards to the MTA; commit
 * the local copies. A failure before the last step undoes everything and
 * answers "later".
 */
#ifndef LDA_DELIVERY_H
#define LDA_DELIVERY_H

#include <time.h>

#include "lda/config.h"
#include "lda/envelope.h"
#include "lda/filter.h"
#include "lda/resolve.h"
#include "lda/spool.h"
#include "lda/trace.h"
#include "store/base/arena.h"
#include "store/base/verdict.h"

enum delivery_mode {
	DELIVERY_REAL,
	DELIVERY_REHEARSAL,	/* -n: looks at everything, writes nothing */
};

/* What lives longer than a message. */
struct agent {
	const struct config *config;
	const struct resolver *resolver;
	const char *hostname;
	enum filter_life filter_life;	/* FILTER_WARM for many messages */
	enum delivery_mode mode;
	/* The delivery log (store/redo.h), and which of its processes we are;
	 * NULL: each mailbox is synced before success is said. */
	struct redo *redo;
	unsigned redo_slot;
	/* Are we told to end? Asked while a lock is waited for. May be NULL. */
	bool (*stop)(void);
};

/* One message, however many recipients it has. */
struct parcel {
	const struct spool *spool;	/* finished */
	const struct envelope *envelope;
	struct trace trace;		/* by parcel_init */
	time_t when;
	char id[32];			/* for Received and the log */
};

/* One recipient, resolved (RCPT time) before the message came. */
struct addressee {
	const struct resolution *resolution;	/* verdict V_OK */
	struct str original;		/* ORCPT or as it was addressed */
	struct str folder;		/* -m; empty: INBOX */
	/* RFC 3461, as in RCPT; p NULL: not given. */
	struct str notify, orcpt;
};

struct delivery;
struct plan_content;
struct plan_scan;

/* Reads the trace fields of a spooled message and gives it an id. */
int parcel_init(struct parcel *p, const struct spool *spool,
    const struct envelope *envelope, struct verdict *v);

/* The agent's resolver with the recipient delimiters of this domain. */
struct resolver agent_resolver(const struct agent *agent, struct str domain);

int delivery_open(const struct agent *agent, const struct parcel *parcel,
    const struct addressee *addressee, struct delivery **d_r,
    struct verdict *v);
int delivery_prepare(struct delivery *d, int64_t wait_ms, struct verdict *v);
int delivery_commit(struct delivery *d, struct verdict *v);
/*
 * Several prepared deliveries at once: each step for all of them before the
 * next, the syncs at the same time, so that the recipients of one message
 * wait for the disk together. Each has its own outcome.
 */
#define DELIVERY_TOGETHER 16
struct delivery_job {
	struct delivery *delivery;
	struct verdict *verdict;
	int result;		/* 0 or -1, as delivery_commit */
};
void delivery_commit_all(struct delivery_job *jobs, size_t n);
/*
 * Behind delivery_commit_all: takes the marks of the append away and gives the
 * locks back. Apart from it because the client may learn
 * first that its message is stored; should the process die in between, the
 * next delivery finds what is left and knows it for what it is.
 */
void delivery_finish(struct delivery *d);
/*
 * What comes when the message is stored: answers, notices, warnings. Each may
 * take submit_timeout, so the MTA is told first: one that has waited too long
 * sends everything again. Nothing for a delivery that failed, or NULL.
 */
void delivery_follow(struct delivery *d);
void delivery_close(struct delivery **d);
int delivery_run(const struct agent *agent, const struct parcel *parcel,
    const struct addressee *addressee, struct delivery **d_r,
    struct verdict *v);

/*
 * Did another process, before it died, put every copy of this message where
 * this one would go? `id` is that of its delivery. 1 yes, 0 no or not all, -1
 * could not look. For the retry journal.
 */
int delivery_find(const struct delivery *d, pid_t pid, time_t since,
    const char *id, struct verdict *v);

/* For the log: where it went ("mbox:/path", "maildir:/path", "forward:a@b",
 * divided by commas), what the copies take, what was repaired on the way. */
struct str delivery_boxes(const struct delivery *d);
/* What the scripts did, line by line; only in a rehearsal. */
struct str delivery_trace(const struct delivery *d);
/* What the content policy said. */
const struct plan_content *delivery_content(const struct delivery *d);
/* What the external content filter said (lda/plan.h). */
const struct plan_scan *delivery_scan(const struct delivery *d);
uint64_t delivery_size(const struct delivery *d);
uint64_t delivery_repaired(const struct delivery *d);
unsigned delivery_locks_broken(const struct delivery *d);
/* How long the caller may go on calling delivery_prepare, in ms. */
int64_t delivery_patience(const struct delivery *d);

#endif
