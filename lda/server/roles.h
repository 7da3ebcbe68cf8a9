/*
 * What is spoken on a listening socket. A role is a row in roles.c.
 */
#ifndef LDA_SERVER_ROLES_H
#define LDA_SERVER_ROLES_H

#include "lda/lmtp/session.h"
#include "lda/lmtp/wire.h"
#include "lda/settings.h"

/* One accepted connection. */
struct visit {
	const struct session_site *site;
	struct wire *wire;
	const char *client;		/* "local" or an address */
	enum session_trust trust;
};

struct map_protocol;

struct role {
	const char *name;		/* also in LISTEN_FDNAMES */
	/* Its list in the settings. */
	const struct setting_list *(*listen)(const struct settings *s);
	/* One connection by one process; or questions, of which a process
	 * answers those of many connections (answerer.h). One of the two. */
	void (*serve)(const struct visit *v);
	const struct map_protocol *protocol;
	/* What a client reads when there is no room; printf with our name.
	 * May be empty. */
	const char *busy;
};

extern const struct role roles[];
extern const size_t roles_count;

/* NULL: unknown. An empty name, or systemd's "unknown", is lmtp. */
const struct role *role_find(const char *name);

#endif
