/*
 * A user of this machine, with an account of its own: root's mail, cron's
 * mail, an administrator's. vbox-deliver --system-user is the local mailer of
 * an MTA for them, as procmail and mail.local were.
 *
 *	struct system_user u;
 *	system_user_find(s, name, &arena, &u, &v)	as root: asks NSS
 *	privileges_drop(&u.id, ...)			never root again
 *	system_user_settle(&config, &u)			whose settings hold
 *	system_user_resolve(&u, hostname, &arena, &res)
 *
 * The delivery runs as that user, with the group of the mailbox directory
 * where that is shared as Debian's is (/var/mail, root:mail 2775), so that the
 * dotlock can be made. Nothing is delivered as root.
 */
#ifndef LDA_SYSTEM_USER_H
#define LDA_SYSTEM_USER_H

#include "lda/config.h"
#include "lda/privileges.h"
#include "lda/resolve.h"
#include "store/base/arena.h"
#include "store/base/str.h"
#include "store/base/verdict.h"

/* The state of scripts (vacation, redirects that are done) is kept here. */
#define SYSTEM_USER_STATE ".vbox"

struct system_user {
	struct str name;	/* as passwd(5) has it */
	struct str home;	/* absolute */
	struct str detail;
	struct identity id;
	bool shared;		/* the mailbox directory is its group's */
};

/*
 * `asked` is a local part: the account, or account and detail. An account
 * with uid 0 or below system_min_uid gives way to system_root. 0, or -1:
 * V_UNKNOWN_USER, V_BAD_ADDRESS; V_CONFIG when nobody has root's mail, so
 * that it waits until an alias or a setting says who; V_TROUBLE when the
 * accounts cannot be asked.
 */
int system_user_find(const struct settings *s, struct str asked,
    struct arena *a, struct system_user *u_r, struct verdict *v);
/*
 * Makes the global settings those of this user and forgets all sections:
 * system_mailbox, no quota, no content rules or scanners, no SRS (its key is not for
 * them), state in the home. Called as the user. 0 or -1.
 */
int system_user_settle(struct config *c, const struct system_user *u,
    struct verdict *v);
/* One target, the user's mailbox. 0, or -1 with V_NO_MEMORY. */
int system_user_resolve(const struct system_user *u, const char *hostname,
    struct arena *a, struct resolution *res_r, struct verdict *v);

#endif
