/*
 * Addresses of header fields (RFC 5322 3.4, its obsolete forms 4.4, RFC 6532
 * UTF-8) and single addresses of scripts.
 */
#ifndef FILTERS_MESSAGE_ADDRESS_H
#define FILTERS_MESSAGE_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "store/base/arena.h"
#include "store/base/str.h"

enum address_kind {
	ADDRESS_MAILBOX,	/* local and domain are there */
	ADDRESS_NO_DOMAIN,	/* "fred" or "<fred>": local only */
	ADDRESS_NULL,		/* "<>", a Return-Path */
	ADDRESS_GROUP,		/* start of a group; display is its name */
	ADDRESS_GROUP_END,
	ADDRESS_INVALID,	/* only `raw` is there */
};

struct address {
	enum address_kind kind;
	struct str raw;		/* its bytes in the field, trimmed */
	struct str display;	/* UTF-8, decoded and unquoted; else empty.
				 * "a@b (Fred)" has Fred here, too */
	struct str local;	/* unquoted, comments and blanks gone */
	struct str domain;	/* as written, comments and blanks gone; a
				 * literal with its brackets */
	struct str spec;	/* local@domain, quoted where it must be */
};

struct address_list {
	struct address *list;
	size_t n;
	bool invalid;		/* some entry is ADDRESS_INVALID */
	bool cut;		/* ADDRESS_LIST_MAX or the arena ended it */
};

/*
 * Takes a raw field value (folds and all) apart. Never fails: what cannot be
 * understood up to the next comma becomes one ADDRESS_INVALID. Empty entries
 * (",,") leave no trace. Routes ("<@a,@b:c@d>") are dropped.
 */
void address_list(struct arena *a, struct str value,
    struct address_list *list_r);

enum address_form {
	ADDRESS_BARE,		/* fred@example.com only */
	ADDRESS_NAMED,		/* also Fred <fred@example.com> (Fred), the
				 * sieve-address of RFC 5228 section 2.4.2.3 */
};
/*
 * One address of a script or setting, strictly: one mailbox with a domain,
 * no obsolete forms but dots anywhere in the local part and blanks around the
 * @ and within <>, no controls, at most ADDRESS_SPEC_MAX bytes, labels of at
 * most 63 bytes; comments with ADDRESS_NAMED only. 0, or -1 with a sentence
 * in *why_r ("address has no domain").
 */
int address_parse(struct arena *a, struct str text, enum address_form form,
    struct address *address_r, const char **why_r);
/*
 * An envelope path as the MTA gave it: "a@b", "<a@b>", "" and "<>"
 * (ADDRESS_NULL), "postmaster" (ADDRESS_NO_DOMAIN); routes dropped. 0, or -1
 * with why.
 */
int address_parse_path(struct arena *a, struct str text,
    struct address *address_r, const char **why_r);

/* Same address: domains fold case, local parts too (as Sieve's vacation and
 * every mail system in use take them). */
bool address_same(const struct address *a, const struct address *b);

#endif
