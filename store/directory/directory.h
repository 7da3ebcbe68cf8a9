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

#include "store/base/arena.h"
#include "store/base/str.h"
#include "store/base/verdict.h"
#include "store/directory/record.h"

/* BROKEN is 0: an answer that nobody filled in is not "not there". */
enum directory_answer {
	DIR_BROKEN = 0,
	DIR_FOUND,
	DIR_ABSENT,
};

enum directory_want {
	DIRECTORY_WANT_DELIVERY = 0,	/* the least rights suffice */
	DIRECTORY_WANT_PASSWORD = 1,	/* fill in account.password */
};

/* What became of a question, for who counts. A question to the sources has one
 * of the first three; with a cache one of the others comes before or behind it. */
enum directory_event {
	DIRECTORY_ASKED_BROKEN,
	DIRECTORY_ASKED_FOUND,
	DIRECTORY_ASKED_ABSENT,
	DIRECTORY_CACHE_HIT,
	DIRECTORY_CACHE_MISS,
	DIRECTORY_CACHE_STALE,	/* served past its time: the sources are down */
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
	void (*count)(enum directory_event event);	/* NULL: nobody counts */
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
 * "socketmap:unix:PATH:MAP"; vbox-directory(5). 0, or -1 with V_CONFIG. */
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

#endif
