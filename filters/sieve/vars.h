/*
 * Variables (RFC 5229, global ones RFC 6609): references in strings, values.
 */
#ifndef FILTERS_SIEVE_VARS_H
#define FILTERS_SIEVE_VARS_H

#include <stdbool.h>
#include <stdint.h>

#include "filters/sieve/limits.h"
#include "store/base/arena.h"
#include "store/base/str.h"

struct node;
struct run;

/* Is there a "${name}" in s? */
bool vars_in(struct str s);
enum vars_namespace {
	VARS_GLOBAL = 1 << 0,	/* ${global.name}, RFC 6609 */
	VARS_ENV = 1 << 1,	/* ${env.item}, vnd.dovecot.environment */
};
/* Can every reference in s be meant? -1 with a sentence: a namespace that is
 * not among `namespaces`, a match value out of range. */
int vars_check(struct str s, unsigned namespaces, const char **why_r);
/* [A-Za-z_][A-Za-z0-9_]* of bounded length, or (with `numbers`) digits. */
bool vars_name_ok(struct str name);
bool vars_is_match_name(struct str name);

struct var {
	struct str name;
	char *value;
	size_t n;
	size_t cap;
	bool global;		/* look it up among the globals */
};

struct vars {
	struct var *list;
	unsigned n;
	unsigned cap;
};

/* The value, empty when it was never set. */
struct str vars_get(struct run *r, struct str name);
/* -1: too many or no memory. A value past its ceiling is cut between
 * characters (RFC 5229 section 6). */
int vars_set(struct run *r, struct str name, struct str value);
/* global: from here on the name means the global variable. */
int vars_declare_global(struct run *r, struct str name);

/* s with its references replaced; -1 is reported at the node. */
int vars_expand(struct run *r, const struct node *n, struct str s,
    struct str *out_r);

#endif
