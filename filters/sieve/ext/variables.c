/* variables (RFC 5229): set, string, modifiers. */
#include "filters/sieve/ext/variables.h"

#include <stdio.h>
#include <string.h>

#include "filters/message/utf8.h"
#include "filters/sieve/check.h"
#include "filters/sieve/ext/list.h"
#include "filters/sieve/limits.h"
#include "filters/sieve/match.h"

/* --- modifiers --- */

static bool
has(uint32_t bits, enum modifier m)
{
	return (bits & (uint32_t)m & 0xff) != 0;
}

/* RFC 5229 section 4.1: ASCII letters only are sure to be changed. */
static int
change_case(struct run *r, struct str *s, uint32_t bits)
{
	struct buf *b = &r->scratch2;
	size_t n;

	buf_reset(b);
	if (buf_adds(b, *s))
		return -1;
	n = b->n;
	for (size_t i = 0; i < n; i++) {
		if (has(bits, MODIFIER_LOWER))
			b->p[i] = ascii_lower(b->p[i]);
		if (has(bits, MODIFIER_UPPER))
			b->p[i] = ascii_upper(b->p[i]);
	}
	if (n && has(bits, MODIFIER_LOWERFIRST))
		b->p[0] = ascii_lower(b->p[0]);
	if (n && has(bits, MODIFIER_UPPERFIRST))
		b->p[0] = ascii_upper(b->p[0]);
	*s = run_copy(r, buf_str(b));
	return s->p ? 0 : -1;
}

static int
quote(struct run *r, struct str *s, const char *special)
{
	struct buf *b = &r->scratch2;

	buf_reset(b);
	for (size_t i = 0; i < s->n; i++) {
		if (s->p[i] && strchr(special, s->p[i]))
			(void)buf_addc(b, '\\');
		(void)buf_addc(b, s->p[i]);
	}
	if (b->full)
		return -1;
	*s = run_copy(r, buf_str(b));
	return s->p ? 0 : -1;
}

/* RFC 3986 section 2.3: all but unreserved characters (RFC 5435 section
 * 6). */
static int
encode_url(struct run *r, struct str *s)
{
	struct buf *b = &r->scratch2;

	buf_reset(b);
	for (size_t i = 0; i < s->n; i++) {
		char c = s->p[i];

		if (ascii_isalnum(c) || c == '-' || c == '.' || c == '_' ||
		    c == '~')
			(void)buf_addc(b, c);
		else
			(void)buf_addf(b, "%%%02X", (unsigned char)c);
	}
	if (b->full)
		return -1;
	*s = run_copy(r, buf_str(b));
	return s->p ? 0 : -1;
}

int
variables_modify(struct run *r, const struct node *n, struct str *s)
{
	uint32_t bits = run_code(r, n, SLOT_MODIFIERS, 0);
	int x = 0;

	if (bits == 0)
		return 0;
	if (run_work(r, n, s->n))
		return -1;
	if (bits & 0x300)
		x |= change_case(r, s, bits);
	if (has(bits, MODIFIER_QUOTEWILDCARD))
		x |= quote(r, s, "*?\\");
	if (has(bits, MODIFIER_QUOTEREGEX))
		x |= quote(r, s, "\\^$.[]|()?*+{}");
	if (has(bits, MODIFIER_ENCODEURL))
		x |= encode_url(r, s);
	if (has(bits, MODIFIER_LENGTH)) {
		char text[24];

		(void)snprintf(text, sizeof(text), "%zu", utf8_length(*s));
		*s = run_copy(r, str_of(text));
		x |= s->p ? 0 : -1;
	}
	return x ? run_no_memory(r, n) : 0;
}

/* --- set --- */

int
variables_known(struct check *c, const struct syntax_arg *a, struct str name,
    enum variables_use use)
{
	struct check_variable *v;

	for (v = c->known; v; v = v->next)
		if (str_caseeq(v->name, name))
			break;
	if (v && use == VARIABLES_GLOBAL && !v->global)
		return check_error_arg(c, a, "variable \"%.*s\" is set above, "
		    "it cannot become global", CHECK_NAME(name));
	if (v)
		return 0;
	if (c->n_known == LIMIT_VARIABLES)
		return check_error_arg(c, a, "more than %d variables",
		    LIMIT_VARIABLES);
	v = arena_alloc(&c->arena, sizeof(*v));
	if (!v)
		return check_error_arg(c, a, "script too large");
	v->name = name;
	v->global = use == VARIABLES_GLOBAL;
	v->next = c->known;
	c->known = v;
	c->n_known++;
	return 0;
}

int
variables_check_target(struct check *c, const struct check_node *n,
    enum slot slot)
{
	const struct syntax_arg *a = n->value[slot];
	struct str name = a->text;
	bool global = check_required(c, "include") &&
	    str_casestarts(name, STR("global."));

	if (global)
		name = str_sub(name, 7, name.n);
	if (vars_is_match_name(name))
		return check_error_arg(c, a, "a match value cannot be set");
	if (str_chr(name, '.') >= 0)
		return check_error_arg(c, a, "\"%.*s\" is of an unknown "
		    "namespace, or cannot be set", CHECK_NAME(a->text));
	if (!vars_name_ok(name))
		return check_error_arg(c, a, "\"%.*s\" is no name for a "
		    "variable", CHECK_NAME(a->text));
	return global ? 0 : variables_known(c, a, name, VARIABLES_SET);
}

static int
check_set(struct check *c, struct check_node *n)
{
	return variables_check_target(c, n, SLOT_STRING);
}

static int
command_set(struct run *r, const struct node *n)
{
	struct str name, value;

	if (run_string(r, n, SLOT_STRING, &name) ||
	    run_string(r, n, SLOT_STRING2, &value) ||
	    variables_modify(r, n, &value))
		return -1;
	run_trace(r, n, "set %s = \"%s\"", run_show(name), run_show(value));
	if (vars_set(r, name, value))
		return run_error(r, n, "more than %d variables, or no memory "
		    "for them", LIMIT_VARIABLES);
	return 0;
}

/* --- string --- */

static int
test_string(struct run *r, const struct node *n)
{
	struct match m;
	const struct str *sources;
	uint32_t n_sources;

	if (run_list(r, n, SLOT_HEADERS, &sources, &n_sources) ||
	    match_begin(r, n, SLOT_KEYS, &m))
		return -1;
	for (uint32_t i = 0; i < n_sources; i++) {
		int x;

		/* section 5: the empty string is not counted */
		if (m.type == MATCH_COUNT && sources[i].n == 0)
			continue;
		x = match_value(&m, sources[i]);
		if (x)
			return x;
	}
	return match_end(&m);
}

static const struct sieve_spec specs[] = {
	{ .name = "set", .classes = ON_SET,
	    .params = { { VALUE_STRING, SLOT_STRING, true },
	    { VALUE_STRING, SLOT_STRING2, false } },
	    .check = check_set, .command = command_set },
	{ .name = "string", .kind = SPEC_TEST, .classes = ON_MATCH,
	    .params = { { VALUE_LIST, SLOT_HEADERS, false },
	    { VALUE_LIST, SLOT_KEYS, false } }, .test = test_string },
};

static const struct sieve_tag tags[] = {
	{ .name = "lower", .on = ON_SET, .slot = SLOT_MODIFIERS,
	    .code = MODIFIER_LOWER },
	{ .name = "upper", .on = ON_SET, .slot = SLOT_MODIFIERS,
	    .code = MODIFIER_UPPER },
	{ .name = "lowerfirst", .on = ON_SET, .slot = SLOT_MODIFIERS,
	    .code = MODIFIER_LOWERFIRST },
	{ .name = "upperfirst", .on = ON_SET, .slot = SLOT_MODIFIERS,
	    .code = MODIFIER_UPPERFIRST },
	{ .name = "quotewildcard", .on = ON_SET, .slot = SLOT_MODIFIERS,
	    .code = MODIFIER_QUOTEWILDCARD },
	{ .name = "length", .on = ON_SET, .slot = SLOT_MODIFIERS,
	    .code = MODIFIER_LENGTH },
};

const struct sieve_ext ext_variables = {
	.name = "variables",
	.specs = specs,
	.n_specs = COUNT_OF(specs),
	.tags = tags,
	.n_tags = COUNT_OF(tags),
};
