/*
 * The redo log (settings.delivery_log): deliveries that end at the same time
 * wait for one sync of one file instead of one each.
 *
 * A mailbox is locked and written as always, but not synced; a message in a
 * Maildir gets no name yet. Then the same bytes and the place where they are go
 * into the log, which was allocated before; when that is synced and the Maildir
 * shows its message, success may be said. The mailboxes are synced
 * behind, all together by syncfs(2), and the log is free again. When processes
 * die nothing is to be done: the kernel has every byte. After a power cut
 * redo_replay() makes the mailboxes what the log says they were.
 *
 *	master	redo_open(state_dir, size, slots, &r, &v)
 *		redo_state(r)		anything left by the last time?
 *		redo_replay(r, ...)	(redo_replay.h)
 *		redo_start(r, &v)	empty and ready; then fork
 *		redo_keep(r, ...)	in a process of its own: syncs behind
 *		redo_forget(r, slot, pid)	a process has died
 *		redo_stop(r, &v)	all have ended: sync, and mark it clean
 *	worker	redo_keep_private(r), redo_open_own(r)
 *		if (redo_begin(r, slot)) {
 *			redo_add(r, copies, n) ...
 *			redo_commit(r)		waits
 *			publish in Maildirs: now 250 may be said
 *			redo_end(r, slot)
 *		}
 *
 * On the disk, in STATE_DIR/log: "lock", held by flock; "segment.0" and
 * "segment.1", one in use while the mailboxes of the other are synced. A
 * segment is a head and records, each at a multiple of REDO_PAGE, so that no
 * write touches the page of a record that somebody was told about. A record is
 * known by 16 random bytes of its segment, which no sender can put into a
 * message, and by check sums; what was torn is passed over.
 */
#ifndef STORE_REDO_H
#define STORE_REDO_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "store/base/verdict.h"
#include "store/mailbox.h"

#define REDO_DIR "log"
#define REDO_PAGE 4096u
/* Both segments; smaller ones are full too soon. */
#define REDO_SIZE_LEAST (8ULL << 20)
#define REDO_SIZE_MOST (16ULL << 30)
/* Bytes of one record. What is larger is synced where it lies: then the sync
 * costs less than the copy. */
#define REDO_RECORD_MAX (512u * 1024)
/* Copies of one record. */
#define REDO_COPIES_MAX 16
/* File systems that hold logged mail. */
#define REDO_PLACES 32
/* A mark that is looked for in a mailbox. */
#define REDO_MARK_MAX 64

/*
 * What a delivery did to one mailbox, enough to do it again: everything is
 * borrowed. For an mbox `before` and then `bytes` stand at `offset`; for a
 * Maildir `bytes` are the file `name` in its directory `sub`.
 */
struct redo_copy {
	struct mailbox_spec spec;
	struct str sub, name;	/* Maildir: "new" or "cur", whole name */
	uint64_t offset;	/* mbox */
	struct str before;	/* mbox: line ends that were missing */
	struct str bytes;
	struct str mark;	/* a text that only this message has */
	dev_t dev;		/* file system of the mailbox */
};

/* What settings.delivery_log comes to: 0 is no log. */
static inline uint64_t
redo_size(uint64_t wanted)
{
	return wanted && wanted < REDO_SIZE_LEAST ? REDO_SIZE_LEAST : wanted;
}

enum redo_state {
	REDO_CLEAN,	/* nothing is left */
	REDO_UNSYNCED,	/* of this boot: the kernel still has it all */
	REDO_TORN,	/* of another boot: redo_replay */
	REDO_FAILED,	/* of this boot, and the disk did not take it */
};

struct redo;

/*
 * Opens the log below the directory `state_dir`, making what is missing, and
 * takes it for us: V_BOX_BUSY when another service has it. With `size` 0 a log
 * is opened only if there is one, for what may be left in it (*r_r NULL: there
 * is none). `slots`: processes that may use it at the same time. What is
 * returned is shared with children forked afterwards. 0 or -1.
 */
int redo_open(const char *state_dir, uint64_t size, unsigned slots,
    struct redo **r_r, struct verdict *v);
enum redo_state redo_state(const struct redo *r);
/* Syncs what this boot left in the mailboxes and marks the log clean. */
int redo_settle(struct redo *r, struct verdict *v);
/* Allocates and begins the first segment: the log must be clean, and is in
 * use from now on. What cannot be allocated whole leaves nothing behind. */
int redo_start(struct redo *r, struct verdict *v);
/* Removes the segments of a log that is clean and not in use. 0 or -1. */
int redo_remove(struct redo *r, struct verdict *v);
void redo_close(struct redo **r);

/*
 * Could a log of `size` bytes be used below state_dir? Changes nothing. 0, or
 * -1 with what is in the way. A log that another service uses is not seen.
 */
int redo_look(const char *state_dir, uint64_t size, struct verdict *v);

/* Processes that are forked from now on do not have what is shared. 0, or -1
 * with errno: they would. */
int redo_keep_private(struct redo *r);
/*
 * This process has the segments opened for itself from now on: what went wrong
 * when the disk wrote is told to one sync for each opening, and where two sync
 * at once both must hear of it. 0, or -1 with errno: as before.
 */
int redo_open_own(struct redo *r);

/* --- in a worker; `slot` is its number, below `slots` ----------------------- */

/* Can this copy be logged: is its file system the disk of its root, of a kind
 * that keeps what was written until it is synced? */
bool redo_covers(struct redo *r, const struct redo_copy *c);
/* False: there is no log just now; sync. */
bool redo_begin(struct redo *r, unsigned slot);
/* One record, all of it or nothing; its place. 0: no room; these copies need a
 * sync of their own. May be called several times before redo_commit. */
uint64_t redo_add(struct redo *r, const struct redo_copy *copies, size_t n);
/* Waits until what was added is on the disk. false: it may not be; sync. */
bool redo_commit(struct redo *r);
/* Before redo_end: takes back a record, since the delivery failed after all
 * and the sender will come again. */
void redo_void(struct redo *r, uint64_t place);
void redo_end(struct redo *r, unsigned slot);

/* --- in the master and in the keeper ---------------------------------------- */

/* The process of this slot has died. */
void redo_forget(struct redo *r, unsigned slot, pid_t pid);
/*
 * One round of the keeper: sleeps until mail has lain in the log for
 * `flush_ms` or the segment is nearly full, at most `patience_ms`; then begins
 * the other segment and syncs the mailboxes of this one. 0, or -1 when mail is
 * in the log that the disk did not take: the log is not used any more.
 */
int redo_keep(struct redo *r, uint64_t flush_ms, uint64_t patience_ms,
    struct verdict *v);
/* It is not used from now on: what is in it is synced, and it is clean. */
int redo_stop(struct redo *r, struct verdict *v);

struct redo_counts {
	uint64_t records, bytes;	/* logged */
	uint64_t syncs;			/* of the log */
	uint64_t direct;		/* no room in the log */
	uint64_t flushes;		/* of the mailboxes */
};
struct redo_counts redo_counts(const struct redo *r);

#endif
