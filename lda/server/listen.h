/*
 * Listening sockets: unix and TCP ones that the configuration names, and
 * those that systemd or inetd hands over.
 */
#ifndef LDA_SERVER_LISTEN_H
#define LDA_SERVER_LISTEN_H

#include <stdbool.h>

#include "lda/privileges.h"
#include "lda/server/roles.h"
#include "store/base/verdict.h"

#define LISTEN_MOST 128
#define LISTEN_SPEC 256

struct listener {
	int fd;				/* non-blocking, close-on-exec */
	const struct role *role;
	bool tcp;
	bool inherited;			/* from systemd or inetd: not ours */
	char spec[LISTEN_SPEC];		/* "unix:/run/vbox/lmtp.sock" */
};

struct listeners {
	size_t n;
	struct listener v[LISTEN_MOST];
};

/*
 * LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES (sd_listen_fds(3)); the variables
 * are removed. How many, or -1 with V_CONFIG for a name that is no role.
 */
int listen_inherit(struct listeners *l, struct verdict *v);
/* Takes a listening socket as lmtp (inetd's "wait"). 0 or -1. */
int listen_adopt(struct listeners *l, int fd, struct verdict *v);
/*
 * Opens what the settings name, roles of which a socket was inherited
 * excepted. A socket of `old` with the same spec is taken over. On failure
 * everything newly opened is closed again, and *l is as before. Unix
 * sockets belong to `owner` where the settings do not say otherwise; NULL:
 * to whom we are. `old` may be NULL.
 */
int listen_open(struct listeners *l, const struct settings *s,
    const struct identity *owner, const struct listeners *old,
    struct verdict *v);
/* Closes those that are not in `keep`; removes their names. */
void listen_close(struct listeners *l, const struct listeners *keep);

#endif
