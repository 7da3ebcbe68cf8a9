/*
 * The directory: which domains are ours, who lives in them, what becomes of
 * their mail. Several back-ends answer the same three questions; resolve.h
 * makes one look-up for a recipient of them.
 *
 *	struct directory *d = NULL;
 *	if (directory_open(specs, count, &settings, &d, &v) < 0) ...
 *	switch (directory_user(d, local, domain, &arena, &account, &v)) {
 *	case DIR_FOUND:  account is filled, its bytes live in the arena
 *	case DIR_ABSENT: asked, and it is not there
 *	case DIR_BROKEN: could not ask; v says why. Never a reason to bounce
 *	}
 *	directory_close(&d);
 *
 * Names given here are canonical (name.h): lower case, NFC, the domain in its
 * ASCII form. A list of directories is asked in its order; the first that
 * has the name wins, one that cannot be asked ends the search.
 */
#ifndef STORE_DIRECTORY_DIRECTORY_H
#define STORE_DIRECTORY_DIRECTORY_H

#include <stddef.h>
#include <stdint.h>

#include "store/base/arena.h"
#include "store/base/str.h"
#include "store/base/verdict.h"

/* BROKEN is 0: an answer that nobody filled in is not "not there". */
enum directory_answer {
	DIR_BROKEN = 0,
	DIR_FOUND,
	DIR_ABSENT,
};

enum account_state {
	ACCOUNT_ACTIVE = 0,
	ACCOUNT_SUSPENDED,	/* receives, but reads only a notice */
	ACCOUNT_DISABLED,	/* 550 5.2.1 */
	ACCOUNT_LOCKED,		/* 450 4.2.1 */
	ACCOUNT_FORWARD_ONLY,	/* forwards, stores nothing */
	ACCOUNT_STATE_COUNT
};

/* A number that the directory does not say; the configuration's holds. */
#define DIRECTORY_UNSET UINT64_MAX

/* A state of a user or a domain. It ends by itself at `until`. */
struct directory_state {
	enum account_state state;
	struct str reason;	/* disabled, locked: told to the sender;
				 * suspended: told to the user */
	int64_t until;		/* seconds since 1970; 0: no end */
};

struct directory_list {
	const struct str *list;
	size_t count;
};

enum forward_keep {
	FORWARD_KEEP,		/* a copy stays in the mailbox */
	FORWARD_DROP,
};

/* A mailbox. Empty strings mean "as the configuration says". */
struct account {
	struct str local, domain;	/* canonical */
	struct str home;
	struct str format;		/* "", "mbox" or "maildir" */
	struct str host;		/* the machine that holds it */
	struct directory_state state;
	uint64_t quota_bytes;		/* DIRECTORY_UNSET; 0: no limit */
	uint64_t quota_messages;
	struct directory_list forwards;
	enum forward_keep keep;		/* means something with forwards */
	struct str password;		/* only with DIRECTORY_WANT_PASSWORD */
};

struct domain_record {
	struct str name;		/* canonical */
	struct str alias_of;		/* "" or the domain it stands for */
	struct directory_list catch_all;
	struct str format;
	struct str host;
	struct directory_state state;
	uint64_t quota_bytes;		/* all its users together */
	uint64_t user_quota_bytes;	/* of a user that has none set */
	uint64_t user_quota_messages;
};

/* An address that stands for others: "fred@d", "fred" (same domain). */
struct alias_record {
	struct str local, domain;
	struct directory_list targets;
};

enum directory_want {
	DIRECTORY_WANT_DELIVERY = 0,	/* the least rights suffice */
	DIRECTORY_WANT_PASSWORD = 1,	/* fill in account.password */
};

/* What a back-end may need to know; borrowed for the life of the directory.
 * Zeros and NULLs are sensible. */
struct directory_settings {
	const char *module_dir;		/* where directory_*.so lie; NULL: VBOX_LIBDIR */
	enum directory_want want;
	unsigned timeout_ms;		/* for one question; 0: 5000 */
	/* Templates, for `fs` only. */
	const char *mbox_path;
	const char *maildir_path;
	const char *home;
	const char *format;
	/* Cache, for processes that live long; ttl 0: no cache. */
	unsigned cache_ttl_ms;		/* how long FOUND is believed */
	unsigned cache_absent_ms;	/* how long ABSENT is believed */
	unsigned cache_stale_ms;	/* how long FOUND serves when BROKEN */
	size_t cache_entries;		/* most; 0: 100000 */
	/* The site's own queries, for sqlite and pgsql; NULL: the schema's. */
	const char *query_domain;
	const char *query_user;
	const char *query_alias;
};

/*
 * A back-end: what it is called before the colon of "NAME:SPEC" and how it
 * answers. `open` may defer connecting to the first question; a directory that
 * is down is a DIR_BROKEN answer, not a failed start. Results are written
 * for DIR_FOUND only; v is filled for DIR_BROKEN only.
 */
struct directory_backend {
	const char *name;
	int (*open)(const char *spec, const struct directory_settings *set,
	    void **self_r, struct verdict *v);
	enum directory_answer (*domain)(void *self, struct str domain,
	    struct arena *a, struct domain_record *r, struct verdict *v);
	enum directory_answer (*user)(void *self, struct str local,
	    struct str domain, struct arena *a, struct account *r,
	    struct verdict *v);
	enum directory_answer (*alias)(void *self, struct str local,
	    struct str domain, struct arena *a, struct alias_record *r,
	    struct verdict *v);
	void (*close)(void *self);
};

struct directory;

/* "sqlite:PATH", "pgsql:PATH-OF-CONNINFO", "file:PATH", "fs",
 * "socketmap:unix:PATH:MAP". 0, or -1 with V_CONFIG. */
int directory_open(const char *const *specs, size_t count,
    const struct directory_settings *set, struct directory **d_r,
    struct verdict *v);
void directory_close(struct directory **d);

enum directory_answer directory_domain(struct directory *d, struct str domain,
    struct arena *a, struct domain_record *r, struct verdict *v);
enum directory_answer directory_user(struct directory *d, struct str local,
    struct str domain, struct arena *a, struct account *r, struct verdict *v);
enum directory_answer directory_alias(struct directory *d, struct str local,
    struct str domain, struct arena *a, struct alias_record *r,
    struct verdict *v);

/* Forgets what the cache holds (reload, a change by vboxadm). */
void directory_forget(struct directory *d);

/* The state that holds at `now`: one whose `until` has passed is ACTIVE. */
enum account_state directory_state_at(const struct directory_state *s,
    int64_t now);
/* "active", "suspended", "disabled", "locked", "forward-only". */
const char *account_state_word(enum account_state s);
/* 0, or -1 when it is none of these words. */
int account_state_parse(struct str word, enum account_state *state_r);

/* A record with nothing set but its limits, which are DIRECTORY_UNSET. */
void account_init(struct account *r);
void domain_record_init(struct domain_record *r);

#endif
