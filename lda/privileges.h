/*
 * Root is gone before the first byte of mail, for good.
 */
#ifndef LDA_PRIVILEGES_H
#define LDA_PRIVILEGES_H

#include <sys/types.h>

#include "store/base/verdict.h"

struct identity {
	uid_t uid;
	gid_t gid;
};

/*
 * Looks up user and group, names or numbers; an empty group is the user's
 * own. In /etc/passwd first: getpwnam(3) loads the NSS modules, which costs
 * more than all the rest of a start; it is asked for what the file does not
 * have. Refuses a uid below min_uid, and root always. 0, or -1 with V_CONFIG.
 */
int identity_find(const char *user, const char *group, uid_t min_uid,
    struct identity *id_r, struct verdict *v);
/* What programs that we execute later may still gain by a set-user-ID bit:
 * nothing, unless the MTA's sendmail is such a program (Exim). */
enum privileges_bound { PRIVILEGES_BOUND_NONE, PRIVILEGES_BOUND_KEEP };
enum privileges_bound privileges_bound_for(const char *submit);
/*
 * Becomes that identity: supplementary groups, gid, uid, capabilities; then
 * tries to get back and must fail. Started as that user it only proves it;
 * started as a third one, or through a setuid bit, it is refused. 0, or -1
 * with V_CONFIG.
 */
int privileges_drop(const struct identity *id, enum privileges_bound bound,
    struct verdict *v);
/* No core, no ptrace: mail of others is in our memory. Also file size limits
 * are lifted where we may, so that SIGXFSZ does not kill. */
void privileges_harden(void);

#endif
