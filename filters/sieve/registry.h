/*
 * What the engine knows: extensions, each with its commands, tests and tags.
 * One file per capability in ext/, one list in registry.c. A capability is a
 * const table; nothing is registered at run time.
 */
#ifndef FILTERS_SIEVE_REGISTRY_H
#define FILTERS_SIEVE_REGISTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "store/base/str.h"

struct check;
struct check_node;
struct node;
struct run;

/* The places where a command or test keeps its arguments: one per meaning,
 * shared by all of them, so that "has it this argument?" is one bit. */
enum slot {
	SLOT_MATCH,		/* code: enum match_type */
	SLOT_RELATION,		/* string: "gt" .. of :count and :value */
	SLOT_COMPARATOR,	/* string */
	SLOT_ADDRESS_PART,	/* code: enum address_part */
	SLOT_HEADERS,		/* list of names; whatever is looked at */
	SLOT_KEYS,		/* list to match with */
	SLOT_LIST,		/* a list that is not matched with */
	SLOT_STRING,		/* the main string */
	SLOT_STRING2,
	SLOT_NUMBER,
	SLOT_OVER,		/* code 1: over, 0: under */
	SLOT_COPY,
	SLOT_CREATE,
	SLOT_FLAGS,		/* list */
	SLOT_SPECIALUSE,	/* string */
	SLOT_MAILBOXID,		/* string */
	SLOT_INDEX,		/* number */
	SLOT_LAST,
	SLOT_ZONE,		/* string */
	SLOT_ORIGINAL_ZONE,
	SLOT_BODY,		/* code: enum body_transform */
	SLOT_CONTENT,		/* list: body :content */
	SLOT_MIME,
	SLOT_ANYCHILD,
	SLOT_MIME_PART,		/* code: enum mime_part */
	SLOT_PARAM,		/* list: :param */
	SLOT_NAME,		/* string: foreverypart, break */
	SLOT_FIRST,		/* number: extracttext, replace ... */
	SLOT_MODIFIERS,		/* code: bits, set */
	SLOT_LOCATION,		/* code: include */
	SLOT_ONCE,
	SLOT_OPTIONAL,
	SLOT_HANDLE,		/* string */
	SLOT_HEADER_NAME,	/* string: duplicate :header */
	SLOT_UNIQUE_ID,		/* string: duplicate :uniqueid */
	SLOT_SECONDS,		/* number */
	SLOT_DAYS,		/* number */
	SLOT_SUBJECT,		/* string */
	SLOT_FROM,		/* string */
	SLOT_ADDRESSES,		/* list */
	SLOT_MIME_REASON,	/* vacation :mime, replace :mime */
	SLOT_IMPORTANCE,	/* string */
	SLOT_OPTIONS,		/* list */
	SLOT_MESSAGE,		/* string */
	SLOT_FCC,		/* string */
	SLOT_PERCENT,		/* spamtest :percent */
	SLOT_DSN_NOTIFY,	/* string */
	SLOT_DSN_RET,		/* string */
	SLOT_BYTIME,		/* number */
	SLOT_BYTIME_ABS,	/* string */
	SLOT_BYMODE,		/* string */
	SLOT_BYTRACE,
	SLOT_LIST_TARGET,	/* redirect :list */
	SLOT_ATTACHMENT,	/* code: attachment :type, :name ... */
	SLOT_AUX,		/* what a check works out for run time */
	SLOT_COUNT
};

/* Groups of commands and tests that a tag of another extension may join. */
enum spec_class {
	ON_MATCH = 1 << 0,	/* :is, :contains, ..., :comparator */
	ON_ADDRESS_PART = 1 << 1,
	ON_FILEINTO = 1 << 2,
	ON_KEEP = 1 << 3,
	ON_REDIRECT = 1 << 4,
	ON_VACATION = 1 << 5,
	ON_NOTIFY = 1 << 6,
	ON_INDEX = 1 << 7,	/* header, address, date */
	ON_MIME = 1 << 8,	/* header, address, exists */
	ON_MIME_PART = 1 << 9,	/* header: :type, :param ... */
	ON_SPAMTEST = 1 << 10,
	ON_SET = 1 << 11,	/* modifiers: set, extracttext */
	ON_OWN = 1 << 12,	/* a tag of this extension's only */
	ON_ENVELOPE = 1 << 13,
};

enum value_kind {
	VALUE_NONE,
	VALUE_STRING,
	VALUE_LIST,	/* a single string will do */
	VALUE_NUMBER,
};

struct sieve_tag {
	const char *name;
	unsigned on;		/* classes; ON_OWN: see `spec` */
	const char *spec;	/* ON_OWN: the names, divided by blanks */
	enum slot slot;		/* what it sets: two tags of one slot cannot
				 * stand together */
	uint32_t code;		/* VALUE_NONE, or when value_slot differs */
	enum value_kind value;
	enum slot value_slot;	/* 0 = SLOT_MATCH: `slot` itself */
	bool literal;		/* the value must hold no variable */
};

struct sieve_param {
	enum value_kind kind;	/* VALUE_NONE ends the list */
	enum slot slot;
	bool literal;
};

enum spec_kind {
	SPEC_COMMAND,
	SPEC_ACTION,		/* a command that is an action */
	SPEC_TEST,
};

enum spec_tests {
	TESTS_NONE,
	TESTS_ONE,
	TESTS_LIST,
};

enum spec_flag {
	SPEC_BLOCK = 1 << 0,	/* has a block */
	SPEC_FIRST_OPTIONAL = 1 << 1,	/* the first parameter may be missing
					 * when there are too few */
	SPEC_SECOND_OPTIONAL = 1 << 2,	/* the last parameter may be missing */
	SPEC_NOT_RUN = 1 << 3,	/* leaves no node behind: require */
};

#define SPEC_PARAMS 5

struct sieve_spec {
	const char *name;
	enum spec_kind kind;
	unsigned classes;
	unsigned flags;
	enum spec_tests tests;
	struct sieve_param params[SPEC_PARAMS];
	/* More than the tables say; -1 with an error reported. May be NULL. */
	int (*check)(struct check *c, struct check_node *n);
	/* 0, or -1 with an error reported, or RUN_* of eval.h. */
	int (*command)(struct run *r, const struct node *n);
	/* 1, 0, or -1 with an error reported. */
	int (*test)(struct run *r, const struct node *n);
};

enum ext_flag {
	EXT_CORE = 1 << 0,	/* needs no require */
	EXT_OFF = 1 << 1,	/* not in "default" */
};

struct sieve_ext {
	const char *name;
	unsigned flags;
	const char *implies;	/* one name, required with it */
	const struct sieve_spec *specs;
	unsigned n_specs;	/* at most 32 */
	const struct sieve_tag *tags;
	unsigned n_tags;
};

#define COUNT_OF(a) ((unsigned)(sizeof(a) / sizeof((a)[0])))

unsigned registry_count(void);
const struct sieve_ext *registry_ext(unsigned i);
/* Index, or -1. Case matters in capability names. */
int registry_find(struct str name);
/* Bits of all extensions that this setting allows; core ones always.
 * Unknown names are told through *unknown_r when it is not NULL. */
uint64_t registry_allowed(struct str setting, struct str *unknown_r);

/* A command or test in the image is named by a number. */
uint16_t registry_op(unsigned ext, unsigned spec);
const struct sieve_spec *registry_spec(uint16_t op);
/* The command or test of this name among the extensions of `bits`; 0 is
 * none. *ext_r gets the owner. */
uint16_t registry_spec_find(struct str name, enum spec_tests is_test,
    uint64_t bits, unsigned *ext_r);

#endif
