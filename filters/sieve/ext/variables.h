/* Modifiers of variables (RFC 5229 section 4.1), for set and extracttext. */
#ifndef FILTERS_SIEVE_EXT_VARIABLES_H
#define FILTERS_SIEVE_EXT_VARIABLES_H

#include "filters/sieve/eval.h"

struct check;
struct check_node;
struct syntax_arg;

/* The low byte says which; the bits above, shared by those that exclude
 * each other, say when: the highest precedence comes first. */
enum modifier {
	MODIFIER_LOWER = 0x100 | 1 << 0,		/* 40 */
	MODIFIER_UPPER = 0x100 | 1 << 1,
	MODIFIER_LOWERFIRST = 0x200 | 1 << 2,		/* 30 */
	MODIFIER_UPPERFIRST = 0x200 | 1 << 3,
	MODIFIER_QUOTEWILDCARD = 0x400 | 1 << 4,	/* 20 */
	MODIFIER_QUOTEREGEX = 0x400 | 1 << 5,
	MODIFIER_ENCODEURL = 0x800 | 1 << 6,		/* 15 */
	MODIFIER_LENGTH = 0x1000 | 1 << 7,		/* 10 */
};

/* The value as the modifiers of the node make it; in r->scratch2. */
int variables_modify(struct run *r, const struct node *n, struct str *s);
/* May the string in `slot` name a variable that is set here? */
int variables_check_target(struct check *c, const struct check_node *n,
    enum slot slot);
/* The script sets a variable, or declares it global: what was set before
 * cannot become global (RFC 6609 section 3.4.1). */
enum variables_use {
	VARIABLES_SET,
	VARIABLES_GLOBAL,
};
int variables_known(struct check *c, const struct syntax_arg *a,
    struct str name, enum variables_use use);

#endif
