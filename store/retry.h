/*
 * The retry journal (settings.retry_journal): which messages were delivered
 * to whom a short while ago, so that an MTA that lost our 250 and sends the
 * message again makes no second copy.
 *
 *	retry_open(dirfd, &r, &v)		one file for all processes
 *	switch (retry_begin(r, &key, &entry)) {
 *	case RETRY_NEW:    deliver, then retry_done() or retry_undo()
 *	case RETRY_KNOWN:  it was delivered: say so again
 *	case RETRY_AT_WORK: another process delivers it right now
 *	case RETRY_UNSURE: the process entry->pid died over it; who finds
 *	                   entry->id in the mailbox says retry_done(), else
 *	                   delivers as for RETRY_NEW
 *	}
 *	retry_close(&r);
 *
 * A table of fixed size in a file that is mapped; old entries make room. It is
 * not synced: it serves when processes die, not when the power fails, since
 * then the MTA on the other side of the socket is gone as well, and a sync
 * would cost what a delivery costs.
 *
 * The key is a SipHash under a random key of the file, so that nobody can
 * make a message that looks like another's. A child does not have the map: it
 * may be a filter.
 */
#ifndef STORE_RETRY_H
#define STORE_RETRY_H

#include <stdint.h>
#include <sys/types.h>

#include "store/base/source.h"
#include "store/base/str.h"
#include "store/base/verdict.h"

#define RETRY_ID 32
/* Messages that are remembered at most. */
#define RETRY_SLOTS 65536

struct retry;

struct retry_key {
	uint64_t h[2];
};

struct retry_entry {
	char id[RETRY_ID];	/* of the delivery, as in its Received field */
	pid_t pid;
	int64_t when;		/* seconds since 1970 */
};

enum retry_answer {
	RETRY_NEW,
	RETRY_KNOWN,
	RETRY_AT_WORK,
	RETRY_UNSURE,
};

int retry_open(int dirfd, struct retry **r_r, struct verdict *v);
void retry_close(struct retry **r);

/* The bytes of a message. 0, or -1 with errno set. */
int retry_digest(const struct retry *r, const struct source *message,
    struct retry_key *digest_r);
/* The same message to a recipient: from whom, and which time within its
 * transaction (one named twice gets two). */
struct retry_key retry_key(const struct retry *r,
    const struct retry_key *digest, struct str sender, struct str local,
    struct str domain, uint64_t which);

/* Entries older than window_ms count as forgotten. `id` is ours, for the new
 * entry; *past_r is filled for all answers but RETRY_NEW. */
enum retry_answer retry_begin(struct retry *r, const struct retry_key *key,
    uint64_t window_ms, const char *id, struct retry_entry *past_r);
void retry_done(struct retry *r, const struct retry_key *key);
void retry_undo(struct retry *r, const struct retry_key *key);

#endif
