/* imap4flags (RFC 5232): setflag, addflag, removeflag, hasflag, :flags. */
#include <string.h>

#include "filters/sieve/check.h"
#include "filters/sieve/ext/flags.h"
#include "filters/sieve/ext/list.h"
#include "filters/sieve/ext/variables.h"
#include "filters/sieve/limits.h"
#include "filters/sieve/match.h"

/* RFC 3501 section 2.3.2; \Recent cannot be set by a client. */
static const char *const system_flags[] = { "\\Answered", "\\Flagged",
    "\\Deleted", "\\Seen", "\\Draft" };

static bool
next_flag(struct str *rest, struct str *flag_r)
{
	size_t i = 0, j;

	while (i < rest->n && (unsigned char)rest->p[i] <= ' ')
		i++;
	for (j = i; j < rest->n && (unsigned char)rest->p[j] > ' '; j++)
		;
	*flag_r = str_sub(*rest, i, j - i);
	*rest = str_sub(*rest, j, rest->n);
	return flag_r->n > 0;
}

/* RFC 3501's flag-keyword is an atom; a system flag is one of five. */
static bool
flag_ok(struct str f, struct str *as_r)
{
	if (f.p[0] == '\\') {
		for (unsigned i = 0; i < COUNT_OF(system_flags); i++)
			if (str_caseeq(str_of(system_flags[i]), f)) {
				*as_r = str_of(system_flags[i]);
				return true;
			}
		return false;
	}
	for (size_t i = 0; i < f.n; i++)
		if ((unsigned char)f.p[i] >= 0x7f || !f.p[i] ||
		    strchr("(){%*\"\\]", f.p[i]))
			return false;
	*as_r = f;
	return true;
}

static bool
line_has(struct str line, struct str flag)
{
	struct str f;

	while (next_flag(&line, &f))
		if (str_caseeq(f, flag))
			return true;
	return false;
}

/* Adds the flags of s to the line, each once; wrong ones are passed over. */
static int
line_add(struct buf *line, struct str s)
{
	struct str f, as;

	while (next_flag(&s, &f)) {
		if (!flag_ok(f, &as) || line_has(buf_str(line), as))
			continue;
		if (line->n && buf_addc(line, ' '))
			return -1;
		if (buf_adds(line, as))
			return -1;
	}
	return 0;
}

static int
too_many(struct run *r, const struct node *n)
{
	return run_error(r, n, "more than %d bytes of flags",
	    LIMIT_FLAGS_SIZE - 1);
}

int
flags_of_list(struct run *r, const struct node *n, enum slot slot,
    struct str *flags_r)
{
	const struct str *list;
	uint32_t n_list;
	struct buf b;
	int x = 0;

	if (run_list(r, n, slot, &list, &n_list))
		return -1;
	buf_init(&b, LIMIT_FLAGS_SIZE - 1);
	for (uint32_t i = 0; i < n_list && !x; i++)
		x = line_add(&b, list[i]);
	*flags_r = run_copy(r, buf_str(&b));
	buf_release(&b);
	return x ? too_many(r, n) : 0;
}

int
flags_of_action(struct run *r, const struct node *n, enum slot slot,
    unsigned *bits, struct str *flags_r)
{
	if (node_has(n, slot)) {
		*bits |= ENGINE_F_FLAGS;
		return flags_of_list(r, n, slot, flags_r);
	}
	if (r->n_flags) {
		*bits |= ENGINE_F_FLAGS;
		*flags_r = str_mem(r->flags, r->n_flags);
	}
	return 0;
}

/* --- the variable --- */

static int
variable_get(struct run *r, const struct node *n, struct str *line_r)
{
	struct str name;

	if (!node_has(n, SLOT_STRING)) {
		*line_r = str_mem(r->flags, r->n_flags);
		return 0;
	}
	if (run_string(r, n, SLOT_STRING, &name))
		return -1;
	*line_r = vars_get(r, name);
	return 0;
}

static int
variable_set(struct run *r, const struct node *n, struct str line)
{
	struct str name;

	run_trace(r, n, "flags are \"%s\"", run_show(line));
	if (!node_has(n, SLOT_STRING)) {
		if (line.n >= sizeof(r->flags))
			return too_many(r, n);
		memcpy(r->flags, line.p, line.n);
		r->n_flags = line.n;
		return 0;
	}
	if (run_string(r, n, SLOT_STRING, &name))
		return -1;
	if (vars_set(r, name, line))
		return run_error(r, n, "more than %d variables",
		    LIMIT_VARIABLES);
	return 0;
}

static int
command_setflag(struct run *r, const struct node *n)
{
	struct str line;

	if (flags_of_list(r, n, SLOT_LIST, &line))
		return -1;
	return variable_set(r, n, line);
}

static int
command_addflag(struct run *r, const struct node *n)
{
	struct str old, more;
	struct buf b;
	int x;

	if (variable_get(r, n, &old) ||
	    flags_of_list(r, n, SLOT_LIST, &more))
		return -1;
	buf_init(&b, LIMIT_FLAGS_SIZE - 1);
	x = line_add(&b, old) || line_add(&b, more) ? too_many(r, n) :
	    variable_set(r, n, buf_str(&b));
	buf_release(&b);
	return x;
}

static int
command_removeflag(struct run *r, const struct node *n)
{
	struct str old, gone, f;
	struct buf b;
	int x = 0;

	if (variable_get(r, n, &old) ||
	    flags_of_list(r, n, SLOT_LIST, &gone))
		return -1;
	buf_init(&b, LIMIT_FLAGS_SIZE - 1);
	while (!x && next_flag(&old, &f))
		if (!line_has(gone, f))
			x = line_add(&b, f);
	x = x ? too_many(r, n) : variable_set(r, n, buf_str(&b));
	buf_release(&b);
	return x;
}

/* --- hasflag --- */

/* A variable may come from "set", so each flag is looked at once only. */
static int
match_line(struct match *m, struct str line)
{
	struct str rest, f;
	struct buf once;
	int x = 0;

	buf_init(&once, line.n);
	(void)line_add(&once, line);	/* never longer than the line */
	rest = buf_str(&once);
	while (!x && next_flag(&rest, &f))
		x = match_value(m, f);
	buf_release(&once);
	return x;
}

/* Keys are flags, divided like the rest; a count is a number. */
static int
flag_keys(struct run *r, const struct node *n, const struct str **keys_r,
    uint32_t *n_r)
{
	const struct str *list;
	uint32_t n_list, max = 0, count = 0;
	struct str *keys, f;

	if (run_list(r, n, SLOT_KEYS, &list, &n_list))
		return -1;
	*keys_r = list;
	*n_r = n_list;
	switch (run_code(r, n, SLOT_MATCH, MATCH_IS)) {
	case MATCH_IS:
	case MATCH_CONTAINS:
		break;
	default:
		return 0;
	}
	for (uint32_t i = 0; i < n_list; i++) {
		struct str rest = list[i];

		max += rest.n == 0;
		while (next_flag(&rest, &f))
			max++;
	}
	keys = run_alloc(r, n, max * sizeof(*keys) + 1);
	if (!keys)
		return -1;
	for (uint32_t i = 0; i < n_list; i++) {
		struct str rest = list[i];

		if (rest.n == 0)
			keys[count++] = rest;
		while (next_flag(&rest, &f))
			keys[count++] = f;
	}
	*keys_r = keys;
	*n_r = count;
	return 0;
}

static int
test_hasflag(struct run *r, const struct node *n)
{
	const struct str *keys, *names;
	uint32_t n_keys, n_names;
	struct match m;
	int x = 0;

	if (flag_keys(r, n, &keys, &n_keys) ||
	    match_begin_keys(r, n, keys, n_keys, &m))
		return -1;
	m.first_key = UINT32_MAX;
	if (!node_has(n, SLOT_HEADERS)) {
		x = match_line(&m, str_mem(r->flags, r->n_flags));
		return x ? x : match_end(&m);
	}
	if (run_list(r, n, SLOT_HEADERS, &names, &n_names))
		return -1;
	for (uint32_t i = 0; i < n_names && !x; i++)
		x = match_line(&m, vars_get(r, names[i]));
	return x ? x : match_end(&m);
}

/* --- checking --- */

static int
check_names(struct check *c, const struct check_node *n, enum slot slot)
{
	uint32_t count;
	const struct syntax_arg *i = check_items(n, slot, &count);

	if (!check_has(n, slot))
		return 0;
	if (!c->variables)
		return check_error_arg(c, i, "the name of a variable needs "
		    "require \"variables\"");
	for (; count; count--, i = i->next) {
		struct str name = i->text;

		if (str_casestarts(name, STR("global.")))
			name = str_sub(name, 7, name.n);
		if (check_constant(c, i) && !vars_name_ok(name))
			return check_error_arg(c, i, "\"%.*s\" is no name for "
			    "a variable", CHECK_NAME(i->text));
		if (slot == SLOT_STRING && name.n == i->text.n &&
		    variables_known(c, i, name, VARIABLES_SET))
			return -1;
	}
	return 0;
}

static void
warn_flags(struct check *c, const struct check_node *n, enum slot slot)
{
	uint32_t count;
	const struct syntax_arg *i = check_items(n, slot, &count);

	for (; count; count--, i = i->next) {
		struct str rest = i->text, f, as;

		if (!check_constant(c, i))
			continue;
		while (next_flag(&rest, &f))
			if (!flag_ok(f, &as))
				(void)check_warn_arg(c, i, "\"%.*s\" is no "
				    "IMAP flag that can be set; it is passed "
				    "over", CHECK_NAME(f));
	}
}

static int
check_command(struct check *c, struct check_node *n)
{
	warn_flags(c, n, SLOT_LIST);
	return check_names(c, n, SLOT_STRING);
}

static int
check_hasflag(struct check *c, struct check_node *n)
{
	return check_names(c, n, SLOT_HEADERS);
}

#define FLAG_COMMAND(word, fn) { .name = word, .flags = SPEC_FIRST_OPTIONAL, \
	.params = { { VALUE_STRING, SLOT_STRING, true }, \
	{ VALUE_LIST, SLOT_LIST, false } }, .check = check_command, \
	.command = fn }

static const struct sieve_spec specs[] = {
	FLAG_COMMAND("setflag", command_setflag),
	FLAG_COMMAND("addflag", command_addflag),
	FLAG_COMMAND("removeflag", command_removeflag),
	{ .name = "hasflag", .kind = SPEC_TEST, .classes = ON_MATCH,
	    .flags = SPEC_FIRST_OPTIONAL,
	    .params = { { VALUE_LIST, SLOT_HEADERS, false },
	    { VALUE_LIST, SLOT_KEYS, false } },
	    .check = check_hasflag, .test = test_hasflag },
};

static const struct sieve_tag tags[] = {
	{ .name = "flags", .on = ON_KEEP | ON_FILEINTO | ON_VACATION | ON_NOTIFY,
	    .slot = SLOT_FLAGS,
	    .value = VALUE_LIST },
};

const struct sieve_ext ext_imap4flags = {
	.name = "imap4flags",
	.specs = specs,
	.n_specs = COUNT_OF(specs),
	.tags = tags,
	.n_tags = COUNT_OF(tags),
};
