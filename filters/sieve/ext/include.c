/* include (RFC 6609): include, return, global. */
#include "filters/message/utf8.h"
#include "filters/sieve/check.h"
#include "filters/sieve/eval.h"
#include "filters/sieve/ext/list.h"
#include "filters/sieve/ext/variables.h"
#include "filters/sieve/limits.h"

/* A script's name is no path: RFC 6609 section 3.2, RFC 5804 section 1.6. */
static bool
name_ok(struct str s)
{
	if (s.n == 0 || s.n > 512 || !utf8_valid(s) || s.p[0] == '.')
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (ascii_iscntrl(s.p[i]) || s.p[i] == '/')
			return false;
	while (s.n) {
		uint32_t c = utf8_next(&s);

		if ((c >= 0x80 && c < 0xa0) || c == 0x2028 || c == 0x2029)
			return false;
	}
	return true;
}

static int
check_include(struct check *c, struct check_node *n)
{
	const struct syntax_arg *a = n->value[SLOT_STRING];

	if (!name_ok(a->text))
		return check_error_arg(c, a, "\"%.*s\" is no name for a "
		    "script", CHECK_NAME(a->text));
	return 0;
}

static bool
included_before(struct run *r, enum engine_location where, struct str name)
{
	for (struct included *i = r->included; i; i = i->next)
		if (i->location == where && str_eq(i->name, name))
			return true;
	return false;
}

static int
remember(struct run *r, const struct node *n, enum engine_location where,
    struct str name)
{
	struct included *i;

	if (++r->n_included > LIMIT_INCLUDES)
		return run_error(r, n, "more than %d scripts are included",
		    LIMIT_INCLUDES);
	i = run_alloc(r, n, sizeof(*i));
	if (!i)
		return -1;
	i->location = where;
	i->name = name;
	i->next = r->included;
	r->included = i;
	return 0;
}

static int
command_include(struct run *r, const struct node *n)
{
	const struct engine_world *w = r->world;
	enum engine_location where = (enum engine_location)run_code(r, n,
	    SLOT_LOCATION, ENGINE_PERSONAL);
	struct engine_script script = { 0 };
	enum engine_answer a = ENGINE_NO;
	struct str name;
	int x;

	if (run_string(r, n, SLOT_STRING, &name))
		return -1;
	/* the check has seen to it; a cache file may come from anybody */
	if (!name_ok(name))
		return run_error(r, n, "\"%s\" is no name for a script",
		    run_show(name));
	run_trace(r, n, "include %s \"%s\"", where == ENGINE_GLOBAL ?
	    ":global" : ":personal", run_show(name));
	if (node_has(n, SLOT_ONCE) && included_before(r, where, name))
		return 0;
	for (struct frame *f = r->frame; f; f = f->below)
		if (f->depth && f->location == where && str_eq(f->name, name))
			return run_error(r, n, "script \"%s\" includes itself",
			    run_show(name));
	if (r->frame->depth >= LIMIT_INCLUDE_DEPTH)
		return run_error(r, n, "scripts include each other deeper "
		    "than %d", LIMIT_INCLUDE_DEPTH);
	if (run_work(r, n, 1000))
		return -1;
	if (w->include)
		a = w->include(w->ctx, where, name, &script);
	if (a == ENGINE_BROKEN)
		return run_error(r, n, "script \"%s\" could not be read",
		    run_show(name));
	if (a == ENGINE_NO) {
		if (node_has(n, SLOT_OPTIONAL))
			return 0;
		return run_error(r, n, "there is no script \"%s\" to include",
		    run_show(name));
	}
	if (remember(r, n, where, name))
		return -1;
	script.location = where;
	script.name = name;
	x = run_script(r, n, &script);
	if (x == RUN_ERROR)
		return run_error(r, n, "the included script \"%s\" failed",
		    run_show(name));
	return x == RUN_STOP ? RUN_STOP : RUN_NEXT;
}

static int
command_return(struct run *r, const struct node *n)
{
	run_trace(r, n, "return");
	return RUN_RETURN;
}

static int
check_global(struct check *c, struct check_node *n)
{
	uint32_t count;
	const struct syntax_arg *i = check_items(n, SLOT_LIST, &count);

	if (!c->variables)
		return check_error(c, n, "'global' needs require "
		    "\"variables\"");
	for (; count; count--, i = i->next)
		if (!vars_name_ok(i->text))
			return check_error_arg(c, i, "\"%.*s\" is no name for "
			    "a variable", CHECK_NAME(i->text));
		else if (variables_known(c, i, i->text, VARIABLES_GLOBAL))
			return -1;
	return 0;
}

static int
command_global(struct run *r, const struct node *n)
{
	const struct str *names;
	uint32_t n_names;

	if (run_list(r, n, SLOT_LIST, &names, &n_names))
		return -1;
	for (uint32_t i = 0; i < n_names; i++)
		if (vars_declare_global(r, names[i]))
			return run_error(r, n, "more than %d variables",
			    LIMIT_VARIABLES);
	return 0;
}

static const struct sieve_spec specs[] = {
	{ .name = "include",
	    .params = { { VALUE_STRING, SLOT_STRING, true } },
	    .check = check_include, .command = command_include },
	{ .name = "return", .command = command_return },
	{ .name = "global", .params = { { VALUE_LIST, SLOT_LIST, true } },
	    .check = check_global, .command = command_global },
};

static const struct sieve_tag tags[] = {
	{ .name = "personal", .on = ON_OWN, .spec = "include",
	    .slot = SLOT_LOCATION, .code = ENGINE_PERSONAL },
	{ .name = "global", .on = ON_OWN, .spec = "include",
	    .slot = SLOT_LOCATION, .code = ENGINE_GLOBAL },
	{ .name = "once", .on = ON_OWN, .spec = "include",
	    .slot = SLOT_ONCE },
	{ .name = "optional", .on = ON_OWN, .spec = "include",
	    .slot = SLOT_OPTIONAL },
};

const struct sieve_ext ext_include = {
	.name = "include",
	.specs = specs,
	.n_specs = COUNT_OF(specs),
	.tags = tags,
	.n_tags = COUNT_OF(tags),
};
