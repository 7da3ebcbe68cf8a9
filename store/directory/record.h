/*
 * What a directory says about a domain, a user, an alias.
 *
 * Records borrow their bytes from an arena, or from wherever x_pack() put
 * them. Empty strings and DIRECTORY_UNSET mean "as the configuration says".
 */
#ifndef STORE_DIRECTORY_RECORD_H
#define STORE_DIRECTORY_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "store/base/arena.h"
#include "store/base/buf.h"
#include "store/base/str.h"

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
	struct str content;		/* policy for attachments: rules, or
					 * "none"; "": the configuration's */
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

/* Any of the three, for whoever reads or writes them all. */
enum directory_entry_kind { ENTRY_DOMAIN, ENTRY_USER, ENTRY_ALIAS };

struct directory_entry {
	enum directory_entry_kind kind;
	union {
		struct domain_record domain;
		struct account user;
		struct alias_record alias;
	} is;
};

/* A record with nothing set but its limits, which are DIRECTORY_UNSET. */
void account_init(struct account *r);
void domain_record_init(struct domain_record *r);

/*
 * Copies a record and all it borrows into `room`, which has the size that
 * the same call with a NULL room returns (to_r may be NULL then). One
 * piece of memory per record: a cache gives it back by one free().
 */
size_t account_pack(const struct account *from, void *room,
    struct account *to_r);
size_t domain_record_pack(const struct domain_record *from, void *room,
    struct domain_record *to_r);
size_t alias_record_pack(const struct alias_record *from, void *room,
    struct alias_record *to_r);

/* The state that holds at `now`: one whose `until` has passed is ACTIVE. */
enum account_state directory_state_at(const struct directory_state *s,
    int64_t now);
/* "active", "suspended", "disabled", "locked", "forward-only". */
const char *account_state_word(enum account_state s);
/* 0, or -1 when it is none of these words. */
int account_state_parse(struct str word, enum account_state *state_r);

/* Seconds since 1970 of "2026-12-31" (its first second), of
 * "2026-12-31T18:00[:00]Z", all UTC, or of plain digits. 0 or -1. */
int directory_until_parse(struct str text, int64_t *until_r);
/* "" or "mbox" or "maildir". 0 or -1. */
int directory_format_check(struct str word);

/* Addresses with commas or white space between them, as a list in the
 * arena that borrows from `text`. 0, or -1 when the arena is full. */
int directory_list_parse(struct str text, struct arena *a,
    struct directory_list *list_r);

#endif
