/*
 * One look-up for one recipient: who gets a message that is addressed to it,
 * or why nobody does. Every door (argv, LMTP, socketmap, policy, vboxadm
 * resolve) asks this function, so all give the same answer.
 *
 *	struct resolution res;
 *	if (resolve_recipient(&resolver, local, domain, detail, &arena,
 *	    &res) < 0)
 *		... res.verdict: unknown user, disabled, directory down ...
 *	for (i = 0; i < res.target_count; i++)
 *		... res.targets[i]: a mailbox of ours or an address to forward to
 *
 * The order is fixed:
 *
 *	1  the names are judged and made canonical (name.h), else V_BAD_ADDRESS
 *	2  the domain is ours, else V_UNKNOWN_DOMAIN; an alias domain is
 *	   replaced by the one it stands for
 *	3  the whole local part: a user, then an alias
 *	4  the local part before the first recipient delimiter: a user, then an
 *	   alias; what is behind it is the detail
 *	5  the domain's catch-all, else V_UNKNOWN_USER
 *
 * A user found is judged by state (its own, then its domain's) and may have
 * forwards. Targets of aliases, forwards and catch-alls start again at 1; a
 * domain that is not in the directory makes a target remote. A detail goes
 * along to local targets that have none of their own.
 *
 * Of several targets those that are refused for good are left out, with a
 * step in the chain, as long as one remains; one that has to wait makes all
 * wait. Each mailbox and each remote address appears once. A target that was
 * met on the way to itself is left out; if nothing remains then, V_LOOP.
 *
 * Everything returned lives in the arena.
 */
#ifndef LDA_RESOLVE_H
#define LDA_RESOLVE_H

#include <stddef.h>
#include <stdint.h>

#include "store/base/arena.h"
#include "store/base/str.h"
#include "store/base/verdict.h"
#include "store/directory/directory.h"

/* Of alias in alias in forward ... before it counts as a loop. */
#define RESOLVE_DEPTH 10
/* Targets of one recipient. */
#define RESOLVE_TARGETS 1000
/* What vboxadm resolve shows, at most. */
#define RESOLVE_STEPS 4000
/* Enough for an ordinary recipient; big aliases need more. */
#define RESOLVE_ARENA (4 * 1024 * 1024)

/* Held by the caller; everything in it is borrowed. */
struct resolver {
	struct directory *directory;
	const char *delimiters;	/* each character is one; "" or NULL: none */
	unsigned max_depth;	/* 0: RESOLVE_DEPTH */
	size_t max_targets;	/* 0: RESOLVE_TARGETS */
};

enum target_kind {
	TARGET_MAILBOX,		/* account and domain are filled */
	TARGET_REMOTE,		/* address alone: hand it to the MTA */
};

struct target {
	enum target_kind kind;
	struct str address;	/* mailbox: local@domain, canonical, without
				 * detail; remote: as the directory has it */
	struct account account;	/* format, home, quota: from the directory,
				 * the domain's where the user has none. Remote:
				 * whose forward it is; local empty: an alias's */
	struct domain_record domain;
	enum account_state state;	/* that holds now */
	struct str detail;	/* .p is NULL when there is none; that of
				 * "fred+" is empty */
};

/* One step of the chain, for `vboxadm resolve --json` and the log. */
struct resolve_step {
	const char *what;	/* "address", "domain_alias", "user", "detail",
				 * "alias", "forward", "keep", "catch_all",
				 * "remote", "state", "loop", "again",
				 * "refused", "absent" */
	struct str subject;	/* the address that was looked at */
	struct str result;	/* what came of it */
	unsigned depth;
};

struct resolution {
	struct verdict verdict;		/* V_OK, or why not */
	struct str local, domain;	/* the recipient asked for, canonical, no
					 * detail cut; empty if V_BAD_ADDRESS */
	struct target *targets;
	size_t target_count;
	struct resolve_step *steps;
	size_t step_count;
};

/*
 * 0 with at least one target and verdict V_OK, or -1 with the verdict.
 * `detail` is one that the MTA cut off already (-e), else an empty str; it
 * wins over one found here.
 */
int resolve_recipient(const struct resolver *r, struct str local,
    struct str domain, struct str detail, struct arena *a,
    struct resolution *res_r);

/* Is the domain ours? 0, or -1 with V_UNKNOWN_DOMAIN, V_BAD_ADDRESS,
 * V_DIRECTORY_DOWN, or what its state says. */
int resolve_domain(const struct resolver *r, struct str domain,
    struct arena *a, struct domain_record *record_r, struct verdict *v);

#endif
