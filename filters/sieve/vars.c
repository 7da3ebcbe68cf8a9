#include "filters/sieve/vars.h"

#include <string.h>

#include "filters/message/utf8.h"
#include "filters/sieve/eval.h"
#include "filters/sieve/ext/environment.h"

struct reference {
	struct str space;	/* namespace; empty: none */
	struct str name;
	size_t n;		/* bytes from "${" to "}" */
};

static bool
name_start(char c)
{
	return ascii_isalpha(c) || c == '_';
}

static size_t
identifier(struct str s)
{
	size_t i = 0;

	if (s.n == 0 || !name_start(s.p[0]))
		return 0;
	while (i < s.n && (name_start(s.p[i]) || ascii_isdigit(s.p[i])))
		i++;
	return i;
}

static size_t
number(struct str s)
{
	size_t i = 0;

	while (i < s.n && ascii_isdigit(s.p[i]))
		i++;
	return i;
}

/* RFC 5229 section 3: variable-ref at the front of s; what does not fit the
 * grammar is ordinary text. */
static bool
reference(struct str s, struct reference *ref_r)
{
	struct str rest;
	size_t n, space_end = 0;

	if (!str_starts(s, STR("${")))
		return false;
	rest = str_sub(s, 2, s.n);
	n = number(rest);
	if (n == 0) {
		/* identifiers and dots; the last dot ends the namespace */
		for (;;) {
			size_t part = identifier(str_sub(rest, n, rest.n));

			if (part == 0)
				part = n ? number(str_sub(rest, n, rest.n)) :
				    0;
			if (part == 0)
				return false;
			n += part;
			if (n >= rest.n || rest.p[n] != '.')
				break;
			space_end = n;
			n++;
		}
	}
	if (n >= rest.n || rest.p[n] != '}')
		return false;
	ref_r->space = str_sub(rest, 0, space_end);
	ref_r->name = space_end ? str_sub(rest, space_end + 1,
	    n - space_end - 1) : str_sub(rest, 0, n);
	ref_r->n = n + 3;
	return true;
}

/* The next reference; *before_r is the text up to it, *s what is behind. */
static bool
next_reference(struct str *s, struct str *before_r, struct reference *ref_r)
{
	struct str rest = *s;

	for (;;) {
		ptrdiff_t at = str_find(rest, STR("${"));

		if (at < 0)
			break;
		rest = str_sub(rest, (size_t)at, rest.n);
		if (reference(rest, ref_r)) {
			*before_r = str_sub(*s, 0, s->n - rest.n);
			*s = str_sub(rest, ref_r->n, rest.n);
			return true;
		}
		rest = str_sub(rest, 2, rest.n);
	}
	*before_r = *s;
	*s = (struct str){ 0 };
	return false;
}

bool
vars_in(struct str s)
{
	struct reference ref;
	struct str before;

	return next_reference(&s, &before, &ref);
}

static bool
match_index(struct str name, unsigned *index_r)
{
	unsigned n = 0;

	for (size_t i = 0; i < name.n; i++) {
		n = n * 10 + (unsigned)(name.p[i] - '0');
		if (n >= LIMIT_MATCH_VALUES)
			return false;
	}
	*index_r = n;
	return true;
}

int
vars_check(struct str s, unsigned namespaces, const char **why_r)
{
	struct reference ref;
	struct str before;
	unsigned index;

	while (next_reference(&s, &before, &ref)) {
		if (ref.space.n) {
			if (namespaces & VARS_GLOBAL &&
			    str_caseeq(ref.space, STR("global")) &&
			    vars_name_ok(ref.name))
				continue;
			if (namespaces & VARS_ENV &&
			    (str_caseeq(ref.space, STR("env")) ||
			    str_casestarts(ref.space, STR("env."))))
				continue;
			*why_r = "a variable of an unknown namespace";
			return -1;
		}
		if (vars_is_match_name(ref.name)) {
			if (!match_index(ref.name, &index)) {
				*why_r = "a match value past the last, ${32}";
				return -1;
			}
		} else if (ref.name.n > LIMIT_VARIABLE_NAME) {
			*why_r = "the name of a variable is too long";
			return -1;
		}
	}
	return 0;
}

bool
vars_is_match_name(struct str name)
{
	return name.n && number(name) == name.n;
}

bool
vars_name_ok(struct str name)
{
	return name.n && name.n <= LIMIT_VARIABLE_NAME &&
	    identifier(name) == name.n;
}

/* --- values --- */

static struct var *
find(struct vars *v, struct str name)
{
	for (unsigned i = 0; i < v->n; i++)
		if (str_caseeq(v->list[i].name, name))
			return &v->list[i];
	return NULL;
}

static struct var *
find_or_add(struct run *r, struct vars *v, struct str name)
{
	struct var *x = find(v, name);

	if (x || v->n >= LIMIT_VARIABLES)
		return x;
	if (v->n == v->cap) {
		unsigned cap = v->cap ? 2 * v->cap : 16;
		struct var *list = arena_array(&r->arena, cap, sizeof(*list));

		if (!list)
			return NULL;
		if (v->n)
			memcpy(list, v->list, v->n * sizeof(*list));
		v->list = list;
		v->cap = cap;
	}
	x = &v->list[v->n];
	*x = (struct var){ .name = run_copy(r, name) };
	if (!x->name.p)
		return NULL;
	v->n++;
	return x;
}

/* "global.x" is the global one, whatever the script declared. */
static struct str
split_space(struct str name, bool *global_r)
{
	*global_r = str_casestarts(name, STR("global."));
	return *global_r ? str_sub(name, 7, name.n) : name;
}

static struct str
value_of(const struct var *x)
{
	return x ? str_mem(x->value, x->n) : (struct str){ 0 };
}

struct str
vars_get(struct run *r, struct str name)
{
	bool global;
	struct var *x;

	name = split_space(name, &global);
	x = global ? NULL : find(&r->frame->vars, name);
	if (global || (x && x->global))
		x = find(&r->globals, name);
	return value_of(x);
}

int
vars_set(struct run *r, struct str name, struct str value)
{
	bool global;
	struct var *x;

	name = split_space(name, &global);
	x = global ? NULL : find(&r->frame->vars, name);
	if (global || (x && x->global))
		x = find_or_add(r, &r->globals, name);
	else
		x = find_or_add(r, &r->frame->vars, name);
	if (!x)
		return -1;
	value = utf8_cut(value, LIMIT_VARIABLE_SIZE);
	if (value.n > x->cap) {
		size_t cap = value.n < 32 ? 32 : value.n + value.n / 2;
		char *p = arena_alloc(&r->arena, cap);

		if (!p)
			return -1;
		x->value = p;
		x->cap = cap;
	}
	if (value.n)
		memmove(x->value, value.p, value.n);
	x->n = value.n;
	return 0;
}

int
vars_declare_global(struct run *r, struct str name)
{
	struct var *x;

	if (!find_or_add(r, &r->globals, name))
		return -1;
	x = find_or_add(r, &r->frame->vars, name);
	if (!x)
		return -1;
	x->global = true;
	return 0;
}

static struct str
lookup(struct run *r, const struct reference *ref)
{
	struct match_captures *c = &r->frame->captures;
	unsigned index;

	if (ref->space.n && str_caseeq(ref->space, STR("global")))
		return value_of(find(&r->globals, ref->name));
	if (ref->space.n) {
		const char *item_p = ref->space.p + 4;
		/* space is "env" or "env.more": the item is what is behind
		 * the first dot, up to the end of the name */
		struct str item = str_mem(item_p,
		    (size_t)(ref->name.p + ref->name.n - item_p));
		struct buf b;
		struct str value = { 0 };

		buf_init(&b, LIMIT_VARIABLE_SIZE);
		if (environment_item(r, item, &b) == ENGINE_YES)
			value = run_copy(r, buf_str(&b));
		buf_release(&b);
		return value;
	}
	if (vars_is_match_name(ref->name)) {
		if (!match_index(ref->name, &index) || index >= c->n)
			return (struct str){ 0 };
		return c->list[index];
	}
	return vars_get(r, ref->name);
}

int
vars_expand(struct run *r, const struct node *n, struct str s,
    struct str *out_r)
{
	struct reference ref;
	struct str before;
	struct buf *b = &r->scratch;
	bool more;

	buf_reset(b);
	do {
		more = next_reference(&s, &before, &ref);
		if (buf_adds(b, before))
			break;
		if (more && buf_adds(b, lookup(r, &ref)))
			break;
	} while (more);
	if (b->full || b->n > LIMIT_STRING_SIZE)
		return run_error(r, n, "a string grows past %d bytes when its "
		    "variables are put in", LIMIT_STRING_SIZE);
	*out_r = run_copy(r, buf_str(b));
	return out_r->p ? 0 : run_no_memory(r, n);
}
