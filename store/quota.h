/*
 * Quota of one account and of its domain, for a delivery:
 *
 *	quota_check(&a, size, &news, &v)	at RCPT: would it fit?
 *	quota_reserve(&a, bytes, n, &h, &news, &v)	copies are prepared
 *	quota_wrote(h, root, path, fd)		for each mbox, still locked
 *	quota_settle(&h, &news, &v)		copies are in the mailbox
 *	quota_release(&h)			or they are not
 *
 * What an account uses is asked of quota_usage.h, what is on its way and what
 * the domain takes of quota_ledger.h. Used plus on its way is more than there
 * can be, used alone is less: a message is taken when it fits with the first
 * and refused when it does not even fit with the second. Between them
 * V_BOX_BUSY says that others are to be waited for, so nobody is refused for
 * the sake of a delivery that fails in the end.
 *
 * Before anything is refused, what speaks against it is counted from the disk
 * if there is a sign that it is not so any more.
 *
 * Everything given is borrowed until settle or release.
 */
#ifndef STORE_QUOTA_H
#define STORE_QUOTA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/base/str.h"
#include "store/base/verdict.h"
#include "store/quota_usage.h"

/* What a message is taken for whose size is not known. */
#define QUOTA_SIZE_UNKNOWN 1

/* One account that was found in a domain. */
typedef int quota_found_fn(void *arg, struct str local,
    const struct quota_place *place, struct verdict *v);

/* 0 is "no limit" everywhere. */
struct quota_account {
	struct quota_place place;	/* its limits: the account's */
	struct str local, domain;
	uint64_t domain_bytes;
	uint64_t grace;		/* by how much the last message may pass */
	/* By how much the account's limits are passed where this goes. */
	struct maildirsize_limits extra;
	const uint64_t *warnings;	/* percent, rising */
	size_t warning_count;
	bool quiet;		/* a message of ours: what was said to the user
				 * stays as it is */
	int64_t since_us;	/* a count of the domain that began behind this
				 * moment is good enough; 0: none is */
	bool elsewhere;		/* the walk below does not find it */
	const char *state_root, *ledger_path;
	/* Calls `found` for every account of the domain. */
	int (*walk)(void *arg, quota_found_fn *found, void *found_arg,
	    struct verdict *v);
	void *walk_arg;
};

/* What the user is to be told. */
struct quota_news {
	unsigned warning;	/* percentage that was crossed; 0: none */
	bool full;		/* mail was refused, for the first time */
	unsigned percent;
	bool messages;		/* of the limit on messages, not bytes */
	uint64_t used, limit;
};

struct quota_hold;

/* Is there anything to be looked after? */
bool quota_wanted(const struct quota_account *a);

/* At RCPT, before quota_check: is there certainly enough room, by what the
 * ledger remembers? Costs no system call, and of the account no more than
 * names, limits and ledger. */
bool quota_glance(const struct quota_account *a, uint64_t bytes);
/* 0, or -1: V_FULL, or what kept us from asking. */
int quota_check(const struct quota_account *a, uint64_t bytes,
    struct quota_news *news_r, struct verdict *v);
/* 0, or -1: V_FULL, V_BOX_BUSY (try again soon), or trouble. */
int quota_reserve(const struct quota_account *a, uint64_t bytes,
    uint64_t messages, struct quota_hold **h_r, struct quota_news *news_r,
    struct verdict *v);
/* One message was appended to this mbox, which is open as `fd` and whose lock
 * is still held. */
void quota_wrote(struct quota_hold *h, const char *root, const char *path,
    int fd);
/* 0, or -1 when something could not be written down: the account will be
 * counted, and the verdict is for the log. */
int quota_settle(struct quota_hold **h, struct quota_news *news_r,
    struct verdict *v);
void quota_release(struct quota_hold **h);

/* --- for vboxadm ------------------------------------------------------------------ */

/* What an account takes; nothing is written but what is remembered. */
int quota_look(const struct quota_account *a, struct quota_usage *u_r,
    struct verdict *v);

/* Counts an account from the disk and puts right what was wrong. *known_r is
 * whether there was anything before. V_BOX_BUSY while mail comes in. */
int quota_recalc(const struct quota_account *a, struct quota_usage *before_r,
    bool *known_r, struct quota_usage *after_r, struct verdict *v);
struct quota_domain {
	bool known;
	uint64_t bytes;		/* all accounts */
	uint64_t flying;	/* reserved */
};
/* What the ledger says; nothing is counted. */
int quota_domain_look(const struct quota_account *a, struct quota_domain *d_r,
    struct verdict *v);
/* All accounts that the walk finds. */
int quota_domain_recalc(const struct quota_account *a,
    struct quota_domain *before_r, struct quota_domain *after_r,
    struct verdict *v);

#endif
