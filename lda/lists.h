/*
 * External lists of scripts (RFC 6134): a name, which is a URI, and a file of
 * the user's or the site's with one member a line: an address, bare or as
 * `Name <address>', or any other text; `@example.com' is everybody there.
 * Empty lines and those that begin with # are passed over.
 */
#ifndef LDA_LISTS_H
#define LDA_LISTS_H

#include "filters/engine.h"
#include "lda/settings.h"
#include "store/base/arena.h"
#include "store/directory/directory.h"

/* A longer file is not read. */
#define LIST_FILE_MAX ((size_t)256 * 1024)
/* Lists of one delivery. */
#define LISTS_MAX 16

struct list_member {
	struct str lower;	/* what is compared */
	struct str text;	/* as it was written: what mail is sent to */
};

struct list {
	struct str name;
	bool known;
	struct list_member *members;	/* sorted, none twice */
	size_t n;
};

/* What was read for one delivery; all of it lives in the arena. Zero it. */
struct lists {
	struct list list[LISTS_MAX];
	size_t n;
};

/*
 * The list of that name, read once. NULL when it could not be read for a
 * reason that may pass. The user's address book
 * (urn:ietf:params:sieve:addrbook:default) is known to everybody, perhaps
 * empty; any other list when it is configured and its file is there.
 */
const struct list *lists_find(struct lists *lists, const struct settings *s,
    const struct account *account, struct str name, struct arena *a);
/* Is the text a member, in any case? An address is also when its domain is. */
bool list_has(const struct list *list, struct str value);
/* Is a member an address that mail can be sent to? */
bool list_address(const struct list_member *member);

#endif
