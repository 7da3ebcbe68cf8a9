/*
 * The quota of one account: from the settings and the directory to the struct
 * that store/quota.h takes.
 */
#ifndef LDA_QUOTA_ACCOUNT_H
#define LDA_QUOTA_ACCOUNT_H

#include "lda/config.h"
#include "lda/resolve.h"
#include "store/base/arena.h"
#include "store/directory/directory.h"
#include "store/quota.h"

/* Filled by quota_account_fill; what a walk over the domain needs. */
struct quota_account_walk {
	const struct settings *settings;
	struct directory *directory;
	struct str domain;
	struct str format;	/* of accounts that say none */
	uint64_t bytes, messages;	/* likewise */
};

/* The limits that hold: the directory's, else the configuration's. 0: none. */
uint64_t quota_account_bytes(const struct settings *s, const struct target *t);
uint64_t quota_account_messages(const struct settings *s,
    const struct target *t);
uint64_t quota_account_domain_bytes(const struct settings *s,
    const struct target *t);
/* Is there any of them? Costs nothing. */
bool quota_account_limited(const struct settings *s, const struct target *t);

/* Limits and ledger alone: what quota_glance() asks. */
int quota_account_brief(const struct settings *s, const struct target *t,
    struct arena *arena, struct quota_account *a_r, struct verdict *v);
/*
 * *a_r borrows from the arena, the settings, the target and *walk. The
 * directory may be NULL when the domain is not to be counted. 0, or -1.
 */
int quota_account_fill(const struct settings *s, const struct target *t,
    struct directory *directory, struct arena *arena,
    struct quota_account_walk *walk, struct quota_account *a_r,
    struct verdict *v);
/* Is a copy into this folder exempt? */
bool quota_account_exempt(const struct quota_account *a,
    const struct mailbox_spec *spec);
/* By how much a copy into it may pass the limits of the account. */
void quota_account_extra(const struct settings *s,
    const struct quota_account *a, const struct mailbox_spec *spec,
    struct maildirsize_limits *extra_r);

#endif
