/*
 * What the mail of one account takes: asked of the disk, or of a file that
 * tells when it cannot be trusted.
 *
 *	Maildir: maildirsize (maildirsize.h)
 *	mbox: the sizes of INBOX and of the files below the folder directory, as
 *	      the file system has them now; messages from mbox_count.h
 */
#ifndef STORE_QUOTA_USAGE_H
#define STORE_QUOTA_USAGE_H

#include <sys/stat.h>

#include "store/mailbox.h"
#include "store/maildirsize.h"
#include "store/mbox_count.h"

/* Levels of directories with mbox folders. */
#define QUOTA_LEVELS 16

struct quota_usage {
	uint64_t bytes, messages;
};

/* Where an account keeps its mail. Borrowed strings. */
struct quota_place {
	enum mailbox_format format;
	const char *root, *path;	/* the mbox, or the Maildir */
	int dir;			/* the Maildir, when it is open already
					 * (borrowed); 0: it is not */
	const struct stat *inbox;	/* the mbox, when it is open and locked
					 * by us; NULL: it is not */
	const char *folder_root;	/* of mbox folders; NULL: none */
	const char *folder_path;
	/* Names on disk of folders that do not count: ".Trash", "Trash". */
	const char *const *exempt;
	size_t exempt_count;
	struct maildirsize_limits limits;	/* as maildirsize tells them */
	mode_t file_mode;
	const char *state_root, *counts_path;	/* of mbox_count.h */
};

/* What was found, and what is needed to add to it. */
struct quota_found {
	struct quota_usage usage;
	/* Of the file that says so (maildirsize, the mbox), as it was then, and
	 * the messages in that mbox; 0: not to be remembered. Filled by
	 * quota_found_remember, they are what was known before. */
	uint64_t stamp, inbox;
	struct maildirsize maildirsize;
	struct mbox_counts counts;	/* mbox with a limit on messages */
	bool counts_read;
	int dir;			/* the Maildir, or -1 */
	bool borrowed;			/* it is the place's */
};

enum quota_effort {
	QUOTA_PEEK,	/* as QUOTA_LOOK, to be asked and forgotten */
	QUOTA_LOOK,	/* what is known; -1 never stands for "count" */
	QUOTA_COUNT,	/* from the disk, maildirsize made anew */
	QUOTA_SCAN,	/* from the disk, nothing written */
};

void quota_found_init(struct quota_found *f);
void quota_found_release(struct quota_found *f);
/* What was found at an earlier time, to be believed if it is still so. */
void quota_found_remember(struct quota_found *f, const struct quota_usage *u,
    uint64_t stamp, uint64_t inbox);
/* A message was appended to the mbox that quota_usage has looked at; it is
 * *st now, and still locked. */
void quota_found_appended(struct quota_found *f, const struct stat *st);
/* 1, 0 when it has to be counted first (QUOTA_LOOK and _PEEK), -1 with the verdict.
 * An account without a mailbox uses nothing. */
int quota_usage(const struct quota_place *p, enum quota_effort effort,
    struct quota_found *f, struct verdict *v);
/* For an account that seems to be full: is a count worth while? */
bool quota_usage_doubtful(const struct quota_place *p,
    const struct quota_found *f);

#endif
