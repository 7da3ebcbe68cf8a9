/*
 * One copy of a message on its way into one mailbox, in steps, so that a
 * delivery into several mailboxes can take them side by side and undo all of
 * them when one fails:
 *
 *	mailbox_open(&spec, &content, &mb, &v)	check, lock (mbox) or write
 *						below tmp (Maildir)
 *	mailbox_settle(mb, &v)			the bytes are on disk, unseen
 *	mailbox_publish(mb, &v)			the message is in the mailbox
 *	mailbox_sync(mb, &v)			and stays there: now say 250
 *	mailbox_retract(mb)			another copy failed: after all,
 *						close shall undo this one
 *	mailbox_close(&mb)			unlock; before a successful sync
 *						it undoes what was done
 *
 * mailbox_deliver() does all of them. Every function returns 0, or -1 with
 * the verdict set. mailbox_sync is the one place where a message becomes
 * durable: what was synced before it, file data and names, is the format's.
 *
 * Paths: `root` is a directory of the administrator's, opened by path;
 * `path` below it comes from names that senders choose, and no symbolic link
 * is followed there (MISSION M9, M10).
 */
#ifndef STORE_MAILBOX_H
#define STORE_MAILBOX_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "store/base/verdict.h"
#include "store/content.h"
#include "store/mbox_lock.h"
#include "store/mbox_undo.h"

enum mailbox_format { MAILBOX_MBOX, MAILBOX_MAILDIR };
enum mailbox_make { MAILBOX_MUST_EXIST, MAILBOX_MAY_MAKE };
enum mailbox_sync_mode { MAILBOX_SYNC, MAILBOX_NO_SYNC };
/* Is a directory that its group may write acceptable as parent? */
enum mailbox_trust { MAILBOX_TRUST_OWNER, MAILBOX_TRUST_GROUP };

#define MAILBOX_KEYWORDS 64

/* State that a message arrives with (Sieve imap4flags). */
enum mailbox_flag {
	MAILBOX_SEEN = 1, MAILBOX_ANSWERED = 2, MAILBOX_FLAGGED = 4,
	MAILBOX_DELETED = 8, MAILBOX_DRAFT = 16,
};

struct mailbox_spec {
	enum mailbox_format format;
	enum content_format variant;	/* of an mbox */
	const char *root;	/* absolute path of a trusted directory */
	const char *path;	/* below root: the mbox file, the Maildir */
	const char *folder;	/* Maildir++ directory name such as ".Sent"
				 * below path; NULL or "" for INBOX */
	enum mailbox_make make;
	mode_t dir_mode, file_mode;
	enum mailbox_sync_mode sync;
	enum mailbox_trust trust;
	struct mbox_lock_how lock;
	enum undo_place undo;
	const char *hostname;	/* for Maildir names */
	unsigned flags;		/* enum mailbox_flag */
	const struct str *keywords;
	size_t keyword_count;
	bool keep_dir;		/* mailbox_descriptor will be asked */
	bool keep_bytes;	/* mailbox_redo will be asked */
};

struct mailbox;
struct redo_copy;

int mailbox_open(const struct mailbox_spec *spec, const struct content *content,
    struct mailbox **mb_r, struct verdict *v);
int mailbox_settle(struct mailbox *mb, struct verdict *v);
/* What is published already stays so. */
int mailbox_publish(struct mailbox *mb, struct verdict *v);
int mailbox_sync(struct mailbox *mb, struct verdict *v);
void mailbox_retract(struct mailbox *mb);
void mailbox_close(struct mailbox **mb);

/* Bytes that the copy takes in the mailbox; known after mailbox_open. */
uint64_t mailbox_size(const struct mailbox *mb);
/* Borrowed: the mbox, open and locked; of a Maildir the directory, when the
 * spec keeps it and the copy is for its inbox. -1 otherwise. */
int mailbox_descriptor(const struct mailbox *mb);
/* Bytes of a torn tail that were cut, stale locks broken: for the log. */
uint64_t mailbox_repaired(const struct mailbox *mb);
unsigned mailbox_locks_broken(const struct mailbox *mb);
/* Keywords that could not be given (store/keywords.h): mail is not held up
 * for a label. */
size_t mailbox_keywords_lost(const struct mailbox *mb);

/*
 * What was done, for the redo log (store/redo.h): complete once it is
 * published, borrowed until mailbox_close. Before, whether it will be known:
 * false for a copy whose bytes are not in memory.
 */
bool mailbox_redo(const struct mailbox *mb, struct redo_copy *c_r);
/* Is it complete before? Then the log has the message first: a Maildir's new
 * name may reach the disk before the bytes of its file do, and if the log did
 * not have them nobody could tell. */
bool mailbox_redo_first(const struct mailbox *mb);

int mailbox_deliver(const struct mailbox_spec *spec,
    const struct content *content, struct verdict *v);

/*
 * Is the mailbox there? For the directory "fs", where a mailbox exists when
 * its file or directory does. 1 yes, 0 no, -1 could not look (verdict set).
 */
int mailbox_exists(const struct mailbox_spec *spec, struct verdict *v);
/* Is a file where a directory should be, or the other way round? Trying again
 * will not help then ("Work" and "Work/2026", both mbox). */
bool mailbox_obstructed(const struct mailbox_spec *spec);

#endif
