/*
 * Match types: a value against keys (RFC 5228 section 2.7, RFC 5231, 5229,
 * 6134 and the regex draft).
 *
 *	struct match m;
 *	match_begin(r, node, SLOT_KEYS, &m);
 *	for each value: x = match_value(&m, value); if (x) break;
 *	result = x ? x : match_end(&m);
 *
 * Results are 1, 0 or -1 (reported). All keys of a test are expanded once.
 */
#ifndef FILTERS_SIEVE_MATCH_H
#define FILTERS_SIEVE_MATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "filters/sieve/comparator.h"
#include "filters/sieve/limits.h"
#include "filters/sieve/registry.h"
#include "store/base/str.h"

enum match_type {
	MATCH_IS,
	MATCH_CONTAINS,
	MATCH_MATCHES,
	MATCH_COUNT,
	MATCH_VALUE,
	MATCH_REGEX,
	MATCH_LIST,
};

enum relation {
	RELATION_GT, RELATION_GE, RELATION_LT, RELATION_LE, RELATION_EQ,
	RELATION_NE, RELATION_NONE
};

struct regex;

struct match {
	struct run *run;
	const struct node *node;
	enum match_type type;
	enum relation relation;
	enum comparator comparator;
	const struct str *keys;
	uint32_t n_keys;
	uint32_t first_key;	/* index of the first string, for regexes */
	uint64_t count;		/* values seen, for :count */
	bool no_captures;	/* body: sets no match values (RFC 5173) */
};

int match_check(struct check *c, struct check_node *n);
int match_begin(struct run *r, const struct node *n, enum slot keys,
    struct match *m_r);
/* With keys that are not in the program. */
int match_begin_keys(struct run *r, const struct node *n,
    const struct str *keys, uint32_t n_keys, struct match *m_r);
int match_value(struct match *m, struct str value);
int match_end(struct match *m);

enum relation match_relation(struct str name);

/*
 * :matches of one pattern; captures get what * and ? stood for, ${0} first.
 * Time is bounded by pattern times value and counted in *work; above `budget`
 * it gives up. `from` is that of comparator_fold_unicode(), or NULL.
 */
struct match_captures {
	struct str list[LIMIT_MATCH_VALUES];
	unsigned n;
};
bool match_glob(enum comparator c, struct str pattern, struct str value,
    const uint32_t *from, struct match_captures *captures, uint64_t budget,
    uint64_t *work);

#endif
