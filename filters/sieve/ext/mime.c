/* mime and foreverypart (RFC 5703 sections 3, 4, 5) and extracttext (7). */
#include "filters/message/charset.h"
#include "filters/message/utf8.h"
#include "filters/sieve/check.h"
#include "filters/sieve/ext/body.h"
#include "filters/sieve/ext/list.h"
#include "filters/sieve/ext/mimeopt.h"
#include "filters/sieve/ext/variables.h"
#include "filters/sieve/limits.h"
#include "filters/sieve/values.h"

/* --- mime: :mime, :anychild and the options of header --- */

static const struct sieve_tag mime_tags[] = {
	{ .name = "mime", .on = ON_MIME, .slot = SLOT_MIME },
	{ .name = "anychild", .on = ON_MIME, .slot = SLOT_ANYCHILD },
	{ .name = "type", .on = ON_MIME_PART, .slot = SLOT_MIME_PART,
	    .code = MIME_OPT_TYPE },
	{ .name = "subtype", .on = ON_MIME_PART, .slot = SLOT_MIME_PART,
	    .code = MIME_OPT_SUBTYPE },
	{ .name = "contenttype", .on = ON_MIME_PART, .slot = SLOT_MIME_PART,
	    .code = MIME_OPT_CONTENTTYPE },
	{ .name = "param", .on = ON_MIME_PART, .slot = SLOT_MIME_PART,
	    .code = MIME_OPT_PARAM, .value = VALUE_LIST,
	    .value_slot = SLOT_PARAM },
};

const struct sieve_ext ext_mime = {
	.name = "mime",
	.tags = mime_tags,
	.n_tags = COUNT_OF(mime_tags),
};

/* Section 4.2: Content-Type has a type and a subtype, Content-Disposition a
 * type; of other fields each is the empty string. They are told as the message
 * has them: folding case is the comparator's. */
int
mimeopt_match(struct run *r, const struct node *n, struct field *f,
    struct match *m)
{
	const struct mime_value *v = values_mime(r, f);
	bool type = str_caseeq(f->name, STR("Content-Type"));
	bool disposition = str_caseeq(f->name, STR("Content-Disposition"));
	const struct str none = { "", 0 }, all = v->written;
	uint32_t what = run_code(r, n, SLOT_MIME_PART, MIME_OPT_TYPE);
	const struct str *names;
	uint32_t n_names;

	/* :count counts the fields that could be read */
	if (m->type == MATCH_COUNT && what != MIME_OPT_PARAM &&
	    ((type && !(v->type.n && v->subtype.n)) ||
	    (disposition && !v->type.n)))
		return 0;
	switch (what) {
	case MIME_OPT_TYPE:
		return match_value(m, type || disposition ?
		    str_sub(all, 0, v->type.n) : none);
	case MIME_OPT_SUBTYPE:
		return match_value(m, type ?
		    str_sub(all, all.n - v->subtype.n, all.n) : none);
	case MIME_OPT_CONTENTTYPE:
		return match_value(m, type || disposition ? all : none);
	case MIME_OPT_PARAM:
		break;
	}
	if (run_list(r, n, SLOT_PARAM, &names, &n_names))
		return -1;
	for (uint32_t i = 0; i < n_names; i++) {
		struct str value = mime_param(v, names[i]);
		int x;

		if (!value.p)
			continue;
		x = match_value(m, value);
		if (x)
			return x;
	}
	return 0;
}

/* --- foreverypart, break --- */

static int
check_foreverypart(struct check *c, struct check_node *n)
{
	unsigned depth = 0;

	(void)n;
	for (const struct check_loop *l = c->loop; l; l = l->outer)
		depth++;
	if (depth >= LIMIT_LOOPS)
		return check_error(c, n, "foreverypart is nested deeper than "
		    "%d", LIMIT_LOOPS);
	return 0;
}

static int
check_break(struct check *c, struct check_node *n)
{
	const struct syntax_arg *a = n->value[SLOT_NAME];
	const struct check_loop *l = c->loop;

	if (!l)
		return check_error(c, n, "'break' outside of foreverypart");
	if (!a)
		return 0;
	while (l && !str_eq(l->name, a->text))
		l = l->outer;
	if (!l)
		return check_error_arg(c, a, "there is no foreverypart named "
		    "\"%.*s\" around this", CHECK_NAME(a->text));
	return 0;
}

/* The next part of the tree below `top` that is not below p. */
static struct mime_part *
behind(const struct mime_part *top, const struct mime_part *p)
{
	while (p != top && !p->next)
		p = p->parent;
	return p == top ? NULL : p->next;
}

/* Inside another loop: the parts below the current one, which had its turn in
 * that loop. */
static int
command_foreverypart(struct run *r, const struct node *n)
{
	struct loop loop = { .outer = r->loops, .top = run_part(r, n) };
	struct mime_part *part;
	int x = RUN_NEXT;

	if (!loop.top || run_string_opt(r, n, SLOT_NAME, &loop.name))
		return -1;
	part = r->loops ? mime_next(loop.top, loop.top) : loop.top;
	for (; part; part = loop.over ? behind(loop.top, loop.part) :
	    mime_next(loop.top, loop.part)) {
		loop.over = false;
		if (run_work(r, n, WORK_NODE)) {
			x = RUN_ERROR;
			break;
		}
		loop.part = part;
		r->loops = &loop;
		run_trace(r, n, "part %u: %s", part->number,
		    run_show(part->type.value));
		r->trace_depth++;
		x = run_block(r, n->block);
		r->trace_depth--;
		r->loops = loop.outer;
		if (x != RUN_NEXT)
			break;
	}
	if (x == RUN_BREAK && r->break_loop == &loop)
		x = RUN_NEXT;
	return x;
}

static int
command_break(struct run *r, const struct node *n)
{
	struct str name;
	struct loop *l = r->loops;

	if (run_string_opt(r, n, SLOT_NAME, &name))
		return -1;
	while (l && name.p && !str_eq(l->name, name))
		l = l->outer;
	if (!l)
		return run_error(r, n, "break without its foreverypart");
	run_trace(r, n, "break");
	r->break_loop = l;
	return RUN_BREAK;
}

static const struct sieve_spec loop_specs[] = {
	{ .name = "foreverypart", .flags = SPEC_BLOCK,
	    .check = check_foreverypart, .command = command_foreverypart },
	{ .name = "break", .check = check_break, .command = command_break },
};

static const struct sieve_tag loop_tags[] = {
	{ .name = "name", .on = ON_OWN, .spec = "foreverypart break",
	    .slot = SLOT_NAME, .value = VALUE_STRING, .literal = true },
};

const struct sieve_ext ext_foreverypart = {
	.name = "foreverypart",
	.specs = loop_specs,
	.n_specs = COUNT_OF(loop_specs),
	.tags = loop_tags,
	.n_tags = COUNT_OF(loop_tags),
};

/* --- extracttext --- */

static int
check_extracttext(struct check *c, struct check_node *n)
{
	if (!c->variables)
		return check_error(c, n, "'extracttext' needs require "
		    "\"variables\"");
	if (!c->loop)
		return check_error(c, n, "'extracttext' outside of "
		    "foreverypart");
	return variables_check_target(c, n, SLOT_STRING);
}

/* The front of s with so many characters. */
static struct str
first_characters(struct str s, uint64_t count)
{
	struct str rest = s;

	while (rest.n && count--)
		(void)utf8_next(&rest);
	return str_sub(s, 0, s.n - rest.n);
}

static int
command_extracttext(struct run *r, const struct node *n)
{
	struct mime_part *part = run_part(r, n);
	struct str name, charset, text = { "", 0 };

	if (!part || run_string(r, n, SLOT_STRING, &name))
		return -1;
	/* section 7: only of text parts whose encoding and charset are known;
	 * of others the empty string */
	charset = mime_param(&part->type, STR("charset"));
	if (part->kind == MIME_LEAF && part->encoding != TRANSFER_UNKNOWN &&
	    (!charset.n || charset_known(charset)) &&
	    mime_is(part, STR("text"), (struct str){ 0 }) &&
	    body_text_of(r, n, part, BODY_PLAIN, &text))
		return -1;
	if (node_has(n, SLOT_FIRST))
		text = first_characters(text, run_number(r, n, SLOT_FIRST));
	text = utf8_cut(text, LIMIT_STRING_SIZE);
	if (variables_modify(r, n, &text))
		return -1;
	run_trace(r, n, "extracttext %s = \"%s\"", run_show(name),
	    run_show(text));
	if (vars_set(r, name, text))
		return run_error(r, n, "more than %d variables",
		    LIMIT_VARIABLES);
	return 0;
}

static const struct sieve_spec extract_specs[] = {
	{ .name = "extracttext", .classes = ON_SET,
	    .params = { { VALUE_STRING, SLOT_STRING, true } },
	    .check = check_extracttext, .command = command_extracttext },
};

static const struct sieve_tag extract_tags[] = {
	{ .name = "first", .on = ON_OWN, .spec = "extracttext",
	    .slot = SLOT_FIRST, .value = VALUE_NUMBER },
};

const struct sieve_ext ext_extracttext = {
	.name = "extracttext",
	.specs = extract_specs,
	.n_specs = COUNT_OF(extract_specs),
	.tags = extract_tags,
	.n_tags = COUNT_OF(extract_tags),
};
