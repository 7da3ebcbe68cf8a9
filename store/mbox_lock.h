/*
 * The locks of an mbox, in the administrator's order.
 *
 *	struct mbox_lock lock;
 *	mbox_lock_init(&lock);
 *	mbox_lock_take(&lock, dirfd, "fred", fd, &how, &v);
 *	... mbox_locks_refresh() every few seconds of whatever takes long
 *	mbox_lock_release(&lock);
 *
 * Debian policy 11.6 asks for fcntl and dotlock. Each is only tried, never
 * waited for while another is held, so two programs with opposite orders
 * cannot block each other; between tries we back off, up to one deadline.
 *
 * fcntl: an open-file-description lock. It excludes classic locks of other
 * programs and, unlike them, survives when some library closes another
 * descriptor of the same file.
 *
 * dotlock: NAME.lock with our pid, linked complete into place, so that it is
 * never seen empty. An existing one is broken when it is certainly stale:
 *   - it names a process of this host that is dead, or a living one that
 *     started after the lock was made (the pid was used again)
 *   - it names nobody and is older than this boot of the machine
 *   - its age is beyond `stale_ms` and no living process of this host is in it
 * The lock is a second name of a small file that stays in a directory of our
 * own (`slot_dir`), held by flock while its name is used: making and removing
 * a file for each delivery makes ext4 look past every inode that was removed
 * in the last seconds, which under load costs more than the delivery
 * (docs/PERFORMANCE.md). Where that directory is missing or on another file
 * system, a file without a name is made and linked.
 *
 * liblockfile breaks stale locks by check and unlink, which let two holders
 * in when measured; so breaking happens under a guard (flock on the
 * directory) and liblockfile is asked only to create, with zero retries,
 * where the file system has no O_TMPFILE (NFS) or the administrator wishes.
 */
#ifndef STORE_MBOX_LOCK_H
#define STORE_MBOX_LOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "store/base/verdict.h"

enum mbox_lock_kind {
	MBOX_LOCK_NONE,		/* ends a list */
	MBOX_LOCK_FCNTL,
	MBOX_LOCK_DOTLOCK,
	MBOX_LOCK_FLOCK,
};
#define MBOX_LOCK_KINDS 3

enum dotlock_method {
	DOTLOCK_AUTO,
	DOTLOCK_LIBLOCKFILE,
};

struct mbox_lock_how {
	enum mbox_lock_kind order[MBOX_LOCK_KINDS + 1];
	enum dotlock_method method;
	int64_t timeout_ms;	/* 0: one try */
	int64_t stale_ms;
	const char *slot_dir;	/* trusted; slots are in "locks" below it;
				 * NULL: none */
	/* Asked between two tries: true ends the wait (V_SHUTDOWN). */
	bool (*stop)(void);
};

struct mbox_lock {
	int dirfd;		/* borrowed */
	int fd;			/* borrowed */
	char name[256];		/* of the dotlock; empty when not held */
	bool fcntl_held;
	bool flock_held;
	uint64_t ino;		/* of the dotlock */
	int file;		/* that inode, open, so that it is given to
				 * no other lock; -1: a slot, which stays */
	int64_t refreshed_ms;
	int64_t seen_ms;	/* when it was certainly there */
	struct mbox_lock *next;	/* of this process's dotlocks */
	unsigned broken;	/* stale dotlocks removed, for the metric */
};

void mbox_lock_init(struct mbox_lock *l);
/*
 * Locks the mbox `name` in dirfd, open as fd for writing. 0, or -1 with
 * V_BOX_BUSY at the deadline, or what a failing call says; nothing is held
 * then. The caller must compare the path's inode with fd's afterwards.
 */
int mbox_lock_take(struct mbox_lock *l, int dirfd, const char *name, int fd,
    const struct mbox_lock_how *how, struct verdict *v);
/*
 * Keeps the dotlocks young that this process holds. For those who wait for
 * something while a mailbox may be open, at least every MBOX_LOCK_REFRESH_MS;
 * cheap when called too often or when none is held. Locks are taken, refreshed
 * and released by one thread.
 */
#define MBOX_LOCK_REFRESH_MS 1000
void mbox_locks_refresh(void);
/* False when a program that thought it stale has removed our dotlock: then
 * nothing may be written any more. Looks only when there was time for that. */
bool mbox_lock_held(struct mbox_lock *l);
/* A dotlock that another has in place of ours stays. */
void mbox_lock_release(struct mbox_lock *l);

#endif
