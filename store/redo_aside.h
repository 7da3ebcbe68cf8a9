/*
 * Messages of the redo log that replay could not put where they belong, since
 * a directory stood there, say. Each is two files below STATE_DIR/log/aside:
 * NAME, the bytes as they would stand in the mailbox, for people to read, and
 * NAME.place, where they belong. They are put there when nothing stands in the
 * way any more, also while the service is running: mailboxes are locked.
 */
#ifndef STORE_REDO_ASIDE_H
#define STORE_REDO_ASIDE_H

#include "store/redo_replay.h"

/* A name with its NUL. */
#define REDO_ASIDE_NAME 96

struct redo_kept {
	const char *name;
	int64_t when;		/* set aside, seconds since 1970 */
	uint64_t bytes;
	/* Where it belongs, borrowed; NULL: its .place is not there or does
	 * not belong to it, and `why` says so. */
	const struct redo_copy *copy;
	const struct verdict *why;
};

/* Calls `each` for every message that was set aside, in the order of their
 * deliveries, until it returns other than 0, and returns that. None is no
 * error. -1 with the verdict. */
int redo_aside_walk(const char *state_dir,
    int (*each)(void *arg, const struct redo_kept *kept), void *arg,
    struct verdict *v);
/*
 * Puts one where it belongs, once, however often it is begun; when that is
 * synced its files are removed and how->told hears what was done. 0, or -1
 * with the verdict: it is as it was.
 */
int redo_aside_restore(const char *state_dir, const char *name,
    const struct redo_how *how, struct verdict *v);

#endif
