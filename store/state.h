/*
 * What is remembered of one account: who got a vacation answer, which
 * messages were seen (RFC 7352), which redirect or copy of a message is done
 * already, which notice went out today. One SQLite file an account; it is
 * made when the first thing is marked, and a delivery that asks nothing
 * costs nothing: SQLite itself is loaded at the first question that finds a
 * file, or at the first mark.
 *
 *	struct state *s = state_open("/var/lib/vbox", "example.com/fred.db");
 *	state_seen(s, STATE_DUPLICATE, key, &v)		before the message
 *	state_mark(s, marks, n, STATE_SYNC, &v)		after the deed
 *	state_close(&s);
 *
 * Keys are bytes of any length; only their SHA-256 is stored.
 *
 * The state never stops mail: a file that is no database of ours is moved
 * aside (NAME.broken) and the account begins with an empty one, which
 * state_repaired() tells for the log. The verdict is set on failure only.
 * "Could not ask"
 * (disk error, locked for longer than the time given) is STATE_BROKEN, and
 * the caller decides what that means for what it wanted to do.
 *
 * A redirect that is done while the mailbox fails must not happen again when
 * the MTA tries once more: mark it (STATE_REDIRECT, state_message_key() and
 * the address) with STATE_SYNC before the message is refused for now, and
 * state_forget() what was marked once all of it is done, or the same message
 * sent anew on purpose would be taken for a retry.
 */
#ifndef STORE_STATE_H
#define STORE_STATE_H

#include <stdint.h>

#include "store/base/buf.h"
#include "store/base/source.h"
#include "store/base/str.h"
#include "store/base/verdict.h"

/* Numbers of the file format: never reuse one. */
enum state_kind {
	STATE_VACATION = 1,	/* key: engine_action.key */
	STATE_DUPLICATE = 2,	/* key: engine_action.key */
	STATE_REDIRECT = 3,	/* key: message, then address */
	STATE_COPY = 4,		/* key: message, then mailbox */
	STATE_NOTICE = 5,	/* key: which notice */
	STATE_DELIVERED = 6,	/* key: message; settings.retry_journal */
};

enum state_answer {
	STATE_NO,
	STATE_YES,
	STATE_BROKEN,		/* verdict set */
};

/* May a power cut take it back? (The death of the process never does.) */
enum state_sync {
	STATE_NO_SYNC,		/* vacation, notices, duplicates: 0.1 ms */
	STATE_SYNC,		/* redirects, copies: one sync */
};

struct state_mark {
	enum state_kind kind;
	struct str key;
	int64_t seconds;	/* how long it holds, from now on */
};

/* How long one call waits for another delivery to the same account. */
#define STATE_WAIT_MS 5000
/* Expired rows that one call sweeps away. */
#define STATE_SWEEP 200
/* A file never grows beyond this; then the marks that end first go. */
#define STATE_BYTES_MAX (16 * 1024 * 1024)

struct state;

/*
 * root: directory of the administrator's, opened by path; path: below it, no
 * link is followed, missing directories are made with mode 0700. Opens
 * nothing yet, and cannot fail.
 */
struct state *state_open(const char *root, const char *path);
void state_close(struct state **s);
/* Wait for others this long instead of STATE_WAIT_MS. */
void state_set_wait(struct state *s, int ms);

/* Is there a mark that holds? NO when there is no file. */
enum state_answer state_seen(struct state *s, enum state_kind kind,
    struct str key, struct verdict *v);
/*
 * Sets n marks in one transaction, all or none; one that is there gets the
 * new end. Expired ones are swept on the way. 0 or -1.
 */
int state_mark(struct state *s, const struct state_mark *marks, size_t n,
    enum state_sync sync, struct verdict *v);
/*
 * Asks and marks in one step, for what two deliveries at the same time must
 * not both do: NO means that it is ours now, YES that somebody has it
 * (whose end stays as it is).
 */
enum state_answer state_claim(struct state *s, const struct state_mark *mark,
    enum state_sync sync, struct verdict *v);
/* Takes marks back; those that are not there are no error. 0 or -1. */
int state_forget(struct state *s, const struct state_mark *marks, size_t n,
    struct verdict *v);
/*
 * Opens for writing and makes what is missing, so that a mark after the deed
 * has few ways left to fail: before a redirect that has to be noted. 0 or -1.
 */
int state_prepare(struct state *s, struct verdict *v);

/* Was a broken file moved aside? NULL, or a sentence for the log. */
const char *state_repaired(const struct state *s);

/*
 * Loads SQLite now: for a process that cannot open libraries later (a
 * sandbox). 0, or -1 with V_CONFIG.
 */
int state_preload(struct verdict *v);

/*
 * The name of one message to one recipient, the same on each try of the MTA:
 * from its bytes as spooled from `start` on (behind a From_ line), sender and
 * recipient; to be followed by the address or mailbox of the action. Received
 * fields are among the bytes, so the same letter posted twice has two names.
 * Adds hexadecimal digits; -1 with errno when the message cannot be read.
 */
int state_message_key(const struct source *message, uint64_t start,
    struct str sender, struct str recipient, struct buf *out);

#endif
