/*
 * After a power cut: makes the mailboxes what the redo log says they were
 * when their senders were told "stored".
 */
#ifndef STORE_REDO_REPLAY_H
#define STORE_REDO_REPLAY_H

#include "store/redo.h"

/* Below REDO_DIR: messages that could not be put where they belong. */
#define REDO_ASIDE "aside"

enum redo_outcome {
	REDO_THERE,	/* nothing was missing */
	REDO_MENDED,	/* written where it had been */
	REDO_ADDED,	/* the mailbox has changed since: behind what it holds */
	REDO_SET_ASIDE,	/* a file below REDO_ASIDE */
};

struct redo_how {
	int64_t lock_timeout_ms, stale_ms;
	const char *slot_dir;		/* as mbox_lock_how has it */
	const char *hostname;
	/* What became of each copy; `aside` is the file's name, else "",
	 * `why` the reason for it. May be NULL. */
	void (*told)(void *arg, const struct redo_copy *c,
	    enum redo_outcome outcome, const char *aside,
	    const struct verdict *why);
	void *arg;
};

/*
 * All records of all segments that are not clean, in the order of their
 * deliveries; then syncs the mailboxes and marks the log clean. It may be
 * interrupted and begun again: what is there is found. 0, or -1 with the
 * verdict set: nothing was marked, and nothing is lost.
 */
int redo_replay(struct redo *r, const struct redo_how *how, struct verdict *v);

#endif
