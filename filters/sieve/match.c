#include "filters/sieve/match.h"

#include <stdio.h>
#include <string.h>

#include "filters/sieve/check.h"
#include "filters/sieve/eval.h"
#include "filters/sieve/limits.h"
#include "filters/sieve/regex.h"

/* A value of so many bytes is folded before it is searched. */
#define FOLD_FROM 256

static const char *const relations[] = { "gt", "ge", "lt", "le", "eq", "ne" };

enum relation
match_relation(struct str name)
{
	unsigned i;

	for (i = 0; i < RELATION_NONE; i++)
		if (str_caseeq(str_of(relations[i]), name))
			break;
	return (enum relation)i;
}

static bool
relation_holds(enum relation r, int order)
{
	switch (r) {
	case RELATION_GT: return order > 0;
	case RELATION_GE: return order >= 0;
	case RELATION_LT: return order < 0;
	case RELATION_LE: return order <= 0;
	case RELATION_EQ: return order == 0;
	case RELATION_NE: return order != 0;
	case RELATION_NONE: break;
	}
	return false;
}

/* --- compiling --- */

static int
check_regexes(struct check *c, const struct check_node *n,
    enum comparator comparator)
{
	uint32_t count;
	const struct syntax_arg *i = check_items(n, SLOT_KEYS, &count);
	int r = 0;

	for (; count; count--, i = i->next) {
		char why[160];
		struct regex *re;

		if (!check_constant(c, i))
			continue;
		re = regex_open(i->text, comparator == COMPARATOR_OCTET ?
		    REGEX_CASE : REGEX_NOCASE, why, sizeof(why));
		if (!re)
			r = check_error_arg(c, i,
			    "invalid regular expression: %s", why);
		regex_close(&re);
	}
	return r;
}

int
match_check(struct check *c, struct check_node *n)
{
	const struct syntax_arg *a = n->value[SLOT_COMPARATOR];
	enum comparator comparator = COMPARATOR_CASEMAP;
	enum match_type type = check_has(n, SLOT_MATCH) ?
	    (enum match_type)n->code[SLOT_MATCH] : MATCH_IS;

	if (a) {
		const char *capability;

		comparator = comparator_named(a->text);
		if (comparator == COMPARATOR_COUNT)
			return check_error_arg(c, a, "unknown comparator "
			    "\"%.*s\"", CHECK_NAME(a->text));
		capability = comparator_capability(comparator);
		if (capability && !check_required(c, capability))
			return check_error_arg(c, a, "comparator \"%.*s\" "
			    "needs require \"%s\"", CHECK_NAME(a->text),
			    capability);
		if (!comparator_substrings(comparator) &&
		    (type == MATCH_CONTAINS || type == MATCH_MATCHES ||
		    type == MATCH_REGEX))
			return check_error_arg(c, a, "comparator \"%.*s\" "
			    "compares whole values only",
			    CHECK_NAME(a->text));
	}
	if (type == MATCH_LIST && a)
		return check_error_arg(c, a, ":list compares as the list "
		    "wants it, not by a comparator");
	a = n->value[SLOT_RELATION];
	if (a && match_relation(a->text) == RELATION_NONE)
		return check_error_arg(c, a, "\"%.*s\" is none of gt, ge, lt, "
		    "le, eq, ne", CHECK_NAME(a->text));
	if (type == MATCH_REGEX)
		return check_regexes(c, n, comparator);
	return 0;
}

/* --- running --- */

int
match_begin_keys(struct run *r, const struct node *n, const struct str *keys,
    uint32_t n_keys, struct match *m_r)
{
	struct str s;

	*m_r = (struct match){
		.run = r,
		.node = n,
		.type = (enum match_type)run_code(r, n, SLOT_MATCH, MATCH_IS),
		.comparator = COMPARATOR_CASEMAP,
		.relation = RELATION_EQ,
		.keys = keys,
		.n_keys = n_keys,
	};
	if (node_has(n, SLOT_COMPARATOR)) {
		if (run_string(r, n, SLOT_COMPARATOR, &s))
			return -1;
		m_r->comparator = comparator_named(s);
		if (m_r->comparator == COMPARATOR_COUNT)
			return run_error(r, n, "unknown comparator");
	}
	if (node_has(n, SLOT_RELATION)) {
		if (run_string(r, n, SLOT_RELATION, &s))
			return -1;
		m_r->relation = match_relation(s);
	}
	if (m_r->comparator == COMPARATOR_UNICODE &&
	    m_r->type != MATCH_REGEX && m_r->type != MATCH_LIST) {
		/* both sides are compared folded */
		struct str *folded = run_alloc(r, n,
		    n_keys * sizeof(*folded) + 1);

		if (!folded)
			return -1;
		for (uint32_t i = 0; i < n_keys; i++) {
			buf_reset(&r->scratch);
			(void)comparator_fold_unicode(keys[i], &r->scratch,
			    NULL);	/* cut at its ceiling */
			folded[i] = run_copy(r, buf_str(&r->scratch));
		}
		m_r->keys = folded;
	}
	return 0;
}

int
match_begin(struct run *r, const struct node *n, enum slot slot,
    struct match *m_r)
{
	const struct str *keys;
	const struct arg *a;
	uint32_t n_keys;

	if (run_list(r, n, slot, &keys, &n_keys))
		return -1;
	if (match_begin_keys(r, n, keys, n_keys, m_r))
		return -1;
	a = program_arg(&r->frame->program, n, slot);
	m_r->first_key = a ? a->a : 0;
	return 0;
}

static void
remember(struct match *m, const struct str *list, unsigned n)
{
	struct run *r = m->run;
	struct match_captures *c = &r->frame->captures;

	if (m->no_captures ||
	    !(r->frame->program.h->flags & PROGRAM_VARIABLES))
		return;
	c->n = n;
	for (unsigned i = 0; i < n; i++)
		c->list[i] = run_copy(r, str_sub(list[i], 0,
		    LIMIT_VARIABLE_SIZE));
}

static int
match_regex(struct match *m, struct str value, uint32_t key)
{
	struct run *r = m->run;
	struct frame *f = r->frame;
	uint32_t index = m->first_key + key, flags = 0;
	struct str captures[LIMIT_MATCH_VALUES];
	struct regex *re = NULL, *own = NULL;
	unsigned n;
	int x;

	if (index < f->program.h->n_strings)
		(void)program_string(&f->program, index, &flags);
	if (!(flags & STRING_VARIABLES) && index < f->program.h->n_strings)
		re = f->regexes[index];
	if (!re) {
		char why[160];

		if (run_work(r, m->node, 2000 + 50 * m->keys[key].n))
			return -1;
		re = regex_open(m->keys[key],
		    m->comparator == COMPARATOR_OCTET ? REGEX_CASE :
		    REGEX_NOCASE, why, sizeof(why));
		if (!re)
			return run_error(r, m->node,
			    "invalid regular expression: %s", why);
		if (!(flags & STRING_VARIABLES) &&
		    index < f->program.h->n_strings &&
		    r->n_regexes < LIMIT_REGEXES) {
			f->regexes[index] = re;
			r->n_regexes++;
		} else {
			own = re;
		}
	}
	if (run_work(r, m->node, 4 * value.n + 100)) {
		regex_close(&own);
		return -1;
	}
	x = regex_match(re, str_sub(value, 0, LIMIT_REGEX_SUBJECT), captures,
	    LIMIT_MATCH_VALUES, &n);
	regex_close(&own);
	if (x < 0)
		return run_error(r, m->node, "regular expression takes too "
		    "many steps for this value");
	if (x)
		remember(m, captures, n);
	return x;
}

/* The pattern and value of i;unicode-casemap are folded; captures must be of
 * the value as it was. */
static bool
glob_unicode(struct match *m, struct str pattern, struct str value,
    struct match_captures *captures, uint64_t *work)
{
	struct run *r = m->run;
	const uint32_t *from;
	struct str folded;

	buf_reset(&r->scratch);
	buf_reset(&r->scratch2);
	(void)comparator_fold_unicode(value, &r->scratch, &r->scratch2);
	if (r->scratch.full || r->scratch2.full)
		return false;
	folded = buf_str(&r->scratch);
	from = (const void *)r->scratch2.p;
	if (!match_glob(COMPARATOR_UNICODE, pattern, folded, from, captures,
	    LIMIT_WORK - r->work, work))
		return false;
	for (unsigned i = 0; i < captures->n; i++) {
		struct str *c = &captures->list[i];
		size_t at = (size_t)(c->p - folded.p);

		*c = str_sub(value, from[at], from[at + c->n] - from[at]);
	}
	return true;
}

static int
match_matches(struct match *m, struct str value, uint32_t key)
{
	struct match_captures captures;
	uint64_t work = 0;
	bool yes;

	if (m->comparator == COMPARATOR_UNICODE)
		yes = glob_unicode(m, m->keys[key], value, &captures, &work);
	else
		yes = match_glob(m->comparator, m->keys[key], value, NULL, &captures,
		    LIMIT_WORK - m->run->work, &work);
	if (run_work(m->run, m->node, work))
		return -1;
	if (yes)
		remember(m, captures.list, captures.n);
	return yes;
}

static int
match_list(struct match *m, struct str value, uint32_t key)
{
	const struct engine_world *w = m->run->world;
	enum engine_answer a = ENGINE_NO;

	if (run_work(m->run, m->node, 1000))
		return -1;
	if (w->list_has)
		a = w->list_has(w->ctx, m->keys[key], value);
	if (a == ENGINE_BROKEN)
		return run_error(m->run, m->node, "list \"%s\" could not be "
		    "asked", run_show(m->keys[key]));
	/* what is in the list is ${0}, as Pigeonhole 2.4 has it */
	if (a == ENGINE_YES)
		remember(m, &value, 1);
	return a == ENGINE_YES;
}

/*
 * Short values byte by byte; a long one is folded once (by match_value) and
 * searched by memmem(3), whose time does not multiply.
 */
static int
contains(struct match *m, struct str value, uint32_t key)
{
	struct buf *b = &m->run->scratch2;

	if (m->comparator != COMPARATOR_CASEMAP || value.n < FOLD_FROM)
		return comparator_find(m->comparator, value,
		    m->keys[key]) >= 0;
	buf_reset(b);
	comparator_fold_ascii(m->keys[key], b);
	return !b->full && str_find(value, buf_str(b)) >= 0;
}

static int
match_key(struct match *m, struct str value, struct str folded, uint32_t key)
{
	switch (m->type) {
	case MATCH_IS:
		if (m->comparator == COMPARATOR_NUMERIC)
			return comparator_compare(m->comparator, value,
			    m->keys[key]) == 0;
		return comparator_equal(m->comparator, folded, m->keys[key]);
	case MATCH_CONTAINS:
		return contains(m, folded, key);
	case MATCH_VALUE:
		return relation_holds(m->relation, comparator_compare(
		    m->comparator, folded, m->keys[key]));
	case MATCH_MATCHES:
		return match_matches(m, value, key);
	case MATCH_REGEX:
		return match_regex(m, value, key);
	case MATCH_LIST:
		return match_list(m, value, key);
	case MATCH_COUNT:
		break;
	}
	return 0;
}

static const char *
type_name(enum match_type t)
{
	static const char *const names[] = { "is", "contains", "matches",
	    "count", "value", "regex", "list" };

	return names[t];
}

/* :matches and :regex count for themselves; to be equal is known early;
 * folding and memmem(3) look at some bytes at a time. */
static uint64_t
cost(const struct match *m, struct str value)
{
	switch (m->type) {
	case MATCH_CONTAINS:
		return 8 + value.n / 2 + m->n_keys * (8 + value.n / 16);
	case MATCH_IS:
		return 8 + m->n_keys + (m->comparator == COMPARATOR_UNICODE ?
		    value.n : 0);
	default:
		return 8 + m->n_keys * 8 + value.n;
	}
}

int
match_value(struct match *m, struct str value)
{
	struct run *r = m->run;
	struct str folded = value;

	m->count++;
	if (m->type == MATCH_COUNT)
		return run_work(r, m->node, 1);
	if (run_work(r, m->node, cost(m, value)))
		return -1;
	if (m->comparator == COMPARATOR_UNICODE && m->type != MATCH_MATCHES) {
		buf_reset(&r->scratch);
		(void)comparator_fold_unicode(value, &r->scratch, NULL);
		folded = buf_str(&r->scratch);
	}
	if (m->comparator == COMPARATOR_CASEMAP &&
	    m->type == MATCH_CONTAINS && value.n >= FOLD_FROM) {
		buf_reset(&r->scratch);
		comparator_fold_ascii(value, &r->scratch);
		folded = buf_str(&r->scratch);
	}
	for (uint32_t i = 0; i < m->n_keys; i++) {
		int x = match_key(m, value, folded, i);

		if (x && r->result && r->job->trace)
			run_trace(r, m->node, "value \"%s\" :%s \"%s\"",
			    run_show(value), type_name(m->type),
			    run_show(m->keys[i]));
		if (x)
			return x;
	}
	if (r->job->trace)
		run_trace(r, m->node, "value \"%s\": no match",
		    run_show(value));
	return 0;
}

int
match_end(struct match *m)
{
	char text[24];
	struct str value;

	if (m->type != MATCH_COUNT) {
		if (!m->count && m->run->job->trace)
			run_trace(m->run, m->node, "nothing to compare");
		return 0;
	}
	(void)snprintf(text, sizeof(text), "%llu",
	    (unsigned long long)m->count);
	value = str_of(text);
	if (m->run->job->trace)
		run_trace(m->run, m->node, "count is %s", text);
	for (uint32_t i = 0; i < m->n_keys; i++)
		if (relation_holds(m->relation, comparator_compare(
		    m->comparator, value, m->keys[i])))
			return 1;
	return 0;
}

/* --- :matches --- */

struct glob {
	enum comparator comparator;
	struct str pattern;
	struct str value;
	struct match_captures *captures;
	const uint32_t *from;	/* i;unicode-casemap: what came from where */
	uint64_t work;
};

/*
 * The size of the character at pos. i;octet and i;ascii-casemap work on
 * octets (RFC 4790), i;unicode-casemap on characters, each of which may have
 * become several when it was folded.
 */
static size_t
character(const struct glob *g, size_t pos)
{
	size_t n = 1;

	if (g->from)
		while (pos + n < g->value.n &&
		    g->from[pos + n] == g->from[pos])
			n++;
	return n;
}

static inline bool
same_byte(enum comparator c, char a, char b)
{
	return a == b || (c == COMPARATOR_CASEMAP &&
	    ascii_isalpha(a) && ((unsigned char)a ^ (unsigned char)b) == 0x20);
}

static void
capture(struct match_captures *c, unsigned at, struct str s)
{
	if (at < LIMIT_MATCH_VALUES)
		c->list[at] = s;
}

/*
 * Does the piece of the pattern from `at` up to the next * fit the value at
 * `pos`? Sets where both end; a ? goes into captures from *n on.
 */
static bool
piece_fits(struct glob *g, size_t at, size_t pos, unsigned n,
    size_t *at_r, size_t *pos_r, unsigned *n_r)
{
	struct str p = g->pattern, v = g->value;

	while (at < p.n && p.p[at] != '*') {
		g->work++;
		if (p.p[at] == '?') {
			size_t len;

			if (pos >= v.n)
				return false;
			len = character(g, pos);
			capture(g->captures, n++, str_sub(v, pos, len));
			pos += len;
			at++;
			continue;
		}
		if (p.p[at] == '\\' && at + 1 < p.n)
			at++;
		if (pos >= v.n || !same_byte(g->comparator, p.p[at],
		    v.p[pos]))
			return false;
		at++;
		pos++;
	}
	*at_r = at;
	*pos_r = pos;
	*n_r = n;
	return true;
}

/*
 * Pieces between stars are found from the left, each at the first place that
 * fits: that is the shortest text for each star in turn (RFC 5229 section
 * 3.2), and nothing that comes later can be helped by taking a later place.
 * So there is no going back: time is at most pattern times value. Only the
 * last piece is bound to the end.
 */
bool
match_glob(enum comparator c, struct str pattern, struct str value,
    const uint32_t *from, struct match_captures *captures, uint64_t budget,
    uint64_t *work)
{
	struct glob g = { c, pattern, value, captures, from, 0 };
	size_t at, pos, last = pattern.n;
	unsigned n;
	bool yes = false;

	captures->n = 0;
	capture(captures, 0, value);
	if (!piece_fits(&g, 0, 0, 1, &at, &pos, &n))
		goto out;
	if (at == pattern.n) {
		yes = pos == value.n;
		goto out;
	}
	/* where does the last star stand? */
	for (size_t i = at; i < pattern.n; i++) {
		if (pattern.p[i] == '\\')
			i++;
		else if (pattern.p[i] == '*')
			last = i;
	}
	for (;;) {
		size_t star = at, begin = pos, end_at, end_pos;
		unsigned mine = n, end_n;

		for (;; begin++) {
			if (begin > value.n || g.work++ > budget)
				goto out;
			if (!piece_fits(&g, star + 1, begin, mine + 1, &end_at,
			    &end_pos, &end_n))
				continue;
			if (star != last || end_pos == value.n)
				break;
		}
		capture(captures, mine, str_sub(value, pos, begin - pos));
		if (star == last) {
			n = end_n;
			yes = true;
			goto out;
		}
		at = end_at;
		pos = end_pos;
		n = end_n;
	}
out:
	if (yes)
		captures->n = n < LIMIT_MATCH_VALUES ? n : LIMIT_MATCH_VALUES;
	*work += g.work;
	return yes;
}
