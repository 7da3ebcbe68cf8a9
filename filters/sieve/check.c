#include "filters/sieve/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "filters/message/header.h"
#include "filters/sieve/ext/core.h"
#include "filters/sieve/ext/encoded.h"
#include "filters/sieve/limits.h"
#include "filters/sieve/match.h"
#include "filters/sieve/vars.h"

/* What is known of a test before the message is there. */
enum truth {
	NEVER,
	ALWAYS,
	DEPENDS,
};

/* --- for extensions --- */

static int __attribute__((format(printf, 5, 0)))
report(struct check *c, unsigned line, unsigned column, bool warning,
    const char *fmt, va_list ap)
{
	char text[400];

	(void)vsnprintf(text, sizeof(text), fmt, ap);	/* cut is enough */
	if (warning)
		(void)engine_errors_warn(c->errors, c->name, line, column,
		    "%s", text);
	else
		(void)engine_errors_add(c->errors, c->name, line, column,
		    "%s", text);
	return -1;
}

int
check_error(struct check *c, const struct check_node *n, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)report(c, n->syntax->line, n->syntax->column, false, fmt, ap);
	va_end(ap);
	return -1;
}

int
check_error_arg(struct check *c, const struct syntax_arg *a,
    const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)report(c, a->line, a->column, false, fmt, ap);
	va_end(ap);
	return -1;
}

int
check_warn_arg(struct check *c, const struct syntax_arg *a,
    const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)report(c, a->line, a->column, true, fmt, ap);
	va_end(ap);
	return -1;
}

bool
check_required(const struct check *c, const char *name)
{
	int i = registry_find(str_of(name));

	return i >= 0 && (c->required >> i & 1);
}

void
check_require(struct check *c, unsigned ext)
{
	const char *implies = registry_ext(ext)->implies;

	c->required |= (uint64_t)1 << ext;
	if (implies) {
		int i = registry_find(str_of(implies));

		if (i >= 0)
			c->required |= (uint64_t)1 << i;
	}
	c->variables = check_required(c, "variables");
	c->encoded = check_required(c, "encoded-character");
}

bool
check_constant(const struct check *c, const struct syntax_arg *a)
{
	return !c->variables || !vars_in(a->text);
}

bool
check_no_field_name(const struct check *c, const struct syntax_arg *a)
{
	return check_constant(c, a) && !header_name_valid(a->text);
}

const struct syntax_arg *
check_items(const struct check_node *n, enum slot slot, uint32_t *count_r)
{
	const struct syntax_arg *a = n->value[slot];

	*count_r = 0;
	if (!a)
		return NULL;
	if (a->kind == SYNTAX_LIST) {
		*count_r = a->n_items;
		return a->items;
	}
	*count_r = 1;
	return a;
}

void
check_set_code(struct check_node *n, enum slot slot, uint32_t code)
{
	n->present |= (uint64_t)1 << slot;
	n->code[slot] = code;
	n->value[slot] = NULL;
}

void
check_drop(struct check_node *n, enum slot slot)
{
	n->present &= ~((uint64_t)1 << slot);
	n->value[slot] = NULL;
}

/* --- arguments into slots --- */

static int
prepare_string(struct check *c, struct syntax_arg *a)
{
	const char *why;

	if (c->encoded && encoded_character_decode(&c->arena, &a->text, &why))
		return check_error_arg(c, a, "%s", why);
	if (c->variables && vars_check(a->text,
	    (check_required(c, "include") ? VARS_GLOBAL : 0u) |
	    (check_required(c, "vnd.dovecot.environment") ? VARS_ENV : 0u),
	    &why))
		return check_error_arg(c, a, "%s", why);
	return 0;
}

static int
prepare_value(struct check *c, struct syntax_arg *a)
{
	int r = 0;

	if (a->kind == SYNTAX_STRING)
		return prepare_string(c, a);
	if (a->kind == SYNTAX_LIST)
		for (struct syntax_arg *i = a->items; i; i = i->next)
			r |= prepare_string(c, i);
	return r;
}

static bool
kind_fits(enum value_kind want, const struct syntax_arg *a)
{
	switch (want) {
	case VALUE_STRING: return a->kind == SYNTAX_STRING;
	case VALUE_LIST:
		return a->kind == SYNTAX_STRING || a->kind == SYNTAX_LIST;
	case VALUE_NUMBER: return a->kind == SYNTAX_NUMBER;
	case VALUE_NONE: return false;
	}
	return false;
}

static const char *
kind_name(enum value_kind k)
{
	switch (k) {
	case VALUE_STRING: return "a string";
	case VALUE_LIST: return "a string or a list of strings";
	case VALUE_NUMBER: return "a number";
	case VALUE_NONE: return "nothing";
	}
	return "";
}

static bool
word_in(const char *words, struct str word)
{
	struct str rest = str_of(words), w;

	while (str_split(&rest, ' ', &w))
		if (str_caseeq(w, word))
			return true;
	return false;
}

static const struct sieve_tag *
tag_in(const struct sieve_ext *e, bool own, const struct sieve_spec *spec,
    struct str name)
{
	for (unsigned k = 0; k < e->n_tags; k++) {
		const struct sieve_tag *t = &e->tags[k];

		if (!str_caseeq(str_of(t->name), name))
			continue;
		if (t->on & spec->classes)
			return t;
		if (own && t->on & ON_OWN &&
		    word_in(t->spec, str_of(spec->name)))
			return t;
	}
	return NULL;
}

/* Among required extensions; when none has it, *missing_r names one that
 * would. */
static const struct sieve_tag *
find_tag(struct check *c, const struct check_node *n, struct str name,
    const char **missing_r)
{
	*missing_r = NULL;
	for (unsigned i = 0; i < registry_count(); i++) {
		const struct sieve_tag *t = tag_in(registry_ext(i),
		    i == n->ext, n->spec, name);

		if (!t)
			continue;
		if (c->required >> i & 1)
			return t;
		if (!*missing_r && (c->allowed >> i & 1))
			*missing_r = registry_ext(i)->name;
	}
	return NULL;
}

static int
set_value(struct check *c, struct check_node *n, enum slot slot,
    const struct syntax_arg *a, bool literal)
{
	uint32_t count;
	const struct syntax_arg *i;

	n->present |= (uint64_t)1 << slot;
	n->value[slot] = a;
	if (!literal)
		return 0;
	for (i = check_items(n, slot, &count); count; count--, i = i->next)
		if (i->kind == SYNTAX_STRING && !check_constant(c, i))
			return check_error_arg(c, i,
			    "this string must not hold a variable");
	return 0;
}

static int
bind_tag(struct check *c, struct check_node *n, const struct syntax_arg **at)
{
	const struct syntax_arg *a = *at, *v = a->next;
	const char *missing;
	const struct sieve_tag *t = find_tag(c, n, a->text, &missing);
	enum slot value_slot;

	if (!t && missing)
		return check_error_arg(c, a, "tag :%.*s of '%s' needs "
		    "require \"%s\"", CHECK_NAME(a->text), n->spec->name,
		    missing);
	if (!t)
		return check_error_arg(c, a, "'%s' knows no tag :%.*s",
		    n->spec->name, CHECK_NAME(a->text));
	if (t->slot == SLOT_MODIFIERS) {
		/* the only slot that collects */
		if (n->code[SLOT_MODIFIERS] & t->code)
			return check_error_arg(c, a, "tag :%.*s stands with "
			    "another of the same precedence",
			    CHECK_NAME(a->text));
		n->present |= (uint64_t)1 << SLOT_MODIFIERS;
		n->code[SLOT_MODIFIERS] |= t->code;
		return 0;
	}
	if (check_has(n, t->slot))
		return check_error_arg(c, a, "tag :%.*s stands with another "
		    "that excludes it, or twice", CHECK_NAME(a->text));
	value_slot = t->value_slot ? t->value_slot : t->slot;
	if (t->value == VALUE_NONE || value_slot != t->slot)
		check_set_code(n, t->slot, t->code);
	if (t->value == VALUE_NONE)
		return 0;
	if (!v || !kind_fits(t->value, v))
		return check_error_arg(c, a, "tag :%.*s wants %s behind it",
		    CHECK_NAME(a->text), kind_name(t->value));
	*at = v;
	return set_value(c, n, value_slot, v, t->literal);
}

static unsigned
count_params(const struct sieve_spec *spec)
{
	unsigned i = 0;

	while (i < SPEC_PARAMS && spec->params[i].kind != VALUE_NONE)
		i++;
	return i;
}

static int
bind_params(struct check *c, struct check_node *n,
    const struct syntax_arg *a)
{
	const struct sieve_spec *spec = n->spec;
	unsigned want = count_params(spec), have = 0, first = 0;

	for (const struct syntax_arg *i = a; i; i = i->next) {
		if (i->kind == SYNTAX_TAG)
			return check_error_arg(c, i, "tag :%.*s stands behind "
			    "a positional argument", CHECK_NAME(i->text));
		have++;
	}
	if (spec->flags & SPEC_FIRST_OPTIONAL && have + 1 == want) {
		first = 1;
	} else if (spec->flags & SPEC_SECOND_OPTIONAL && have + 1 == want) {
		want--;
	} else if (have < want) {
		return check_error(c, n, "'%s' wants %u positional "
		    "argument%s, has %u", spec->name, want,
		    want == 1 ? "" : "s", have);
	} else if (have > want) {
		for (unsigned i = 0; i < want; i++)
			a = a->next;
		return check_error_arg(c, a, "'%s' has an argument too many",
		    spec->name);
	}
	for (unsigned i = first; i < want; i++, a = a->next) {
		const struct sieve_param *p = &spec->params[i];

		if (!kind_fits(p->kind, a))
			return check_error_arg(c, a, "'%s' wants %s here",
			    spec->name, kind_name(p->kind));
		if (set_value(c, n, p->slot, a, p->literal))
			return -1;
	}
	return 0;
}

static int
bind_args(struct check *c, struct check_node *n)
{
	const struct syntax_arg *a;
	int r = 0;

	for (struct syntax_arg *i = n->syntax->args; i; i = i->next)
		r |= prepare_value(c, i);
	for (a = n->syntax->args; a && a->kind == SYNTAX_TAG; a = a->next)
		if (bind_tag(c, n, &a))
			return -1;
	if (bind_params(c, n, a))
		return -1;
	return r;
}

/* --- nodes --- */

static uint32_t
emit_string(struct check *c, const struct syntax_arg *a)
{
	return program_add_string(&c->b, a->text,
	    check_constant(c, a) ? 0 : STRING_VARIABLES);
}

static uint32_t
emit_node(struct check *c, const struct check_node *n, uint16_t op)
{
	struct node node = {
		.present = n->present,
		.args = c->b.n_args,
		.line = n->syntax->line,
		.column = n->syntax->column,
		.op = op,
	};

	for (unsigned slot = 0; slot < SLOT_COUNT; slot++) {
		const struct syntax_arg *v = n->value[slot];
		struct arg a = { 0 };

		if (!(n->present >> slot & 1))
			continue;
		if (!v) {
			a.a = n->code[slot];
		} else if (v->kind == SYNTAX_NUMBER) {
			a.kind = VALUE_NUMBER;
			a.a = (uint32_t)v->number;
			a.b = (uint32_t)(v->number >> 32);
		} else if (program_slot_kind((enum slot)slot) == VALUE_LIST) {
			uint32_t count;
			const struct syntax_arg *i = check_items(n,
			    (enum slot)slot, &count);

			a.kind = VALUE_LIST;
			a.a = c->b.n_strings;
			a.b = count;
			for (; count; count--, i = i->next)
				(void)emit_string(c, i);
		} else {
			a.kind = VALUE_STRING;
			a.a = emit_string(c, v);
		}
		(void)program_add_arg(&c->b, &a);
	}
	return program_add_node(&c->b, &node);
}

static uint16_t
find_spec(struct check *c, const struct syntax *s, enum spec_tests is_test,
    unsigned *ext_r)
{
	const char *what = is_test != TESTS_NONE ? "test" : "command";
	uint16_t op = registry_spec_find(s->name, is_test, c->required, ext_r);

	if (op)
		return op;
	op = registry_spec_find(s->name, is_test, c->allowed, ext_r);
	if (op)
		(void)engine_errors_add(c->errors, c->name, s->line, s->column,
		    "%s '%.*s' needs require \"%s\"", what,
		    CHECK_NAME(s->name), registry_ext(*ext_r)->name);
	else if (registry_spec_find(s->name,
	    is_test != TESTS_NONE ? TESTS_NONE : TESTS_ONE, c->allowed, ext_r))
		(void)engine_errors_add(c->errors, c->name, s->line, s->column,
		    "'%.*s' is no %s", CHECK_NAME(s->name), what);
	else
		(void)engine_errors_add(c->errors, c->name, s->line, s->column,
		    "unknown %s '%.*s'", what, CHECK_NAME(s->name));
	return 0;
}

static int
start_node(struct check *c, const struct syntax *s, enum spec_tests is_test,
    struct check_node *n, uint16_t *op_r)
{
	memset(n, 0, sizeof(*n));
	n->syntax = s;
	*op_r = find_spec(c, s, is_test, &n->ext);
	if (!*op_r)
		return -1;
	n->spec = registry_spec(*op_r);
	if (s->tests && n->spec->tests == TESTS_NONE)
		/* "keep stop;": a command without its ';' reads as that, and
		 * the line to be mended is its own */
		return check_error(c, n, "'%s' takes no test; is a ';' "
		    "missing behind it?", n->spec->name);
	if (!s->tests && n->spec->tests != TESTS_NONE)
		return check_error(c, n, "'%s' wants a test", n->spec->name);
	if (n->spec->tests == TESTS_ONE && (s->test_list || s->tests->next))
		return check_error(c, n, "'%s' wants one test, not a list",
		    n->spec->name);
	if (n->spec->tests == TESTS_LIST && !s->test_list)
		return check_error(c, n, "'%s' wants a list of tests in "
		    "parentheses", n->spec->name);
	if (bind_args(c, n))
		return -1;
	if (n->spec->classes & ON_MATCH && match_check(c, n))
		return -1;
	if (n->spec->check && n->spec->check(c, n))
		return -1;
	return 0;
}

static uint32_t check_test(struct check *c, const struct syntax *s,
    enum truth *truth_r);

/*
 * The tests below a node; *truth_r is what they say together. Behind an ihave
 * that decides, the rest is never run and may use what is not there (RFC 5463
 * section 4).
 */
static uint32_t
check_tests(struct check *c, const struct syntax *first, enum core_join join,
    uint16_t *count_r, enum truth *truth_r)
{
	uint32_t head = 0, last = 0;
	uint16_t count = 0;
	enum truth all = join == CORE_ANYOF ? NEVER : ALWAYS;

	for (const struct syntax *s = first; s; s = s->next) {
		enum truth t;
		uint32_t i = check_test(c, s, &t);

		if (!i) {
			/* report what is wrong in the others, too */
			head = 0;
			count = 0;
			for (s = s->next; s; s = s->next)
				(void)check_test(c, s, &t);
			*truth_r = DEPENDS;
			break;
		}
		if (last)
			program_node(&c->b, last)->next = i;
		else
			head = i;
		last = i;
		if (count < UINT16_MAX)
			count++;
		if (join == CORE_ANYOF && t == ALWAYS) {
			all = ALWAYS;
			break;
		}
		if (join == CORE_ALLOF && t == NEVER) {
			all = NEVER;
			break;
		}
		if (t == DEPENDS)
			all = DEPENDS;
		else if (join == CORE_NOT || join == CORE_IF)
			all = t;
	}
	*count_r = count;
	*truth_r = all;
	return head;
}

static uint32_t
check_test(struct check *c, const struct syntax *s, enum truth *truth_r)
{
	struct check_node n;
	uint16_t op, count = 0;
	uint32_t self, first;
	enum truth t = DEPENDS;
	enum core_join join;

	*truth_r = DEPENDS;
	if (start_node(c, s, TESTS_ONE, &n, &op))
		return 0;
	self = emit_node(c, &n, op);
	if (c->b.full)
		return 0;
	if (check_has(&n, SLOT_AUX) && core_is_ihave(n.spec))
		t = n.code[SLOT_AUX] ? ALWAYS : NEVER;
	if (n.spec->tests != TESTS_NONE) {
		join = core_join_of(n.spec);
		first = check_tests(c, s->tests, join, &count, &t);
		if (!first)
			return 0;
		program_node(&c->b, self)->tests = first;
		program_node(&c->b, self)->n_tests = count;
		if (join == CORE_NOT && t != DEPENDS)
			t = t == ALWAYS ? NEVER : ALWAYS;
	}
	*truth_r = t;
	return self;
}

static int
check_require_command(struct check *c, const struct check_node *n)
{
	uint32_t count;
	const struct syntax_arg *i = check_items(n, SLOT_LIST, &count);
	int r = 0;

	if (c->depth || c->body_begun)
		return check_error(c, n, "require stands behind other "
		    "commands");
	for (; count; count--, i = i->next) {
		int ext = registry_find(i->text);

		if (ext < 0)
			r = check_error_arg(c, i, "unknown extension \"%.*s\"",
			    CHECK_NAME(i->text));
		else if (!(c->allowed >> ext & 1))
			r = check_error_arg(c, i, "extension \"%.*s\" is not "
			    "allowed here", CHECK_NAME(i->text));
		else
			check_require(c, (unsigned)ext);
	}
	return r;
}

/* Where a chain of if, elsif and else stands. */
struct chain {
	bool open;		/* an elsif or else may come */
	enum truth taken;	/* was an earlier branch? */
};

static uint32_t check_block(struct check *c, const struct syntax *first,
    bool *ends_r);

/* Is the block of this command ever run? */
static bool
alive(const struct chain *chain, enum core_join join, enum truth t)
{
	if (join == CORE_ELSIF || join == CORE_ELSE)
		if (chain->taken == ALWAYS)
			return false;
	if (join == CORE_IF || join == CORE_ELSIF)
		return t != NEVER;
	return true;
}

static int
check_chain(struct check *c, const struct check_node *n, struct chain *chain,
    enum core_join join)
{
	if (join == CORE_ELSIF || join == CORE_ELSE) {
		if (!chain->open)
			return check_error(c, n, "'%s' without 'if'",
			    n->spec->name);
		chain->open = join == CORE_ELSIF;
	} else {
		chain->open = join == CORE_IF;
		chain->taken = NEVER;
	}
	return 0;
}

static uint32_t
check_command(struct check *c, const struct syntax *s, struct chain *chain,
    bool *ends_r, bool *skip_r)
{
	struct check_node n;
	struct check_loop loop;
	uint16_t op, count = 0;
	uint32_t self, first, block = 0;
	enum truth t = ALWAYS;
	enum core_join join;
	bool loops, ends = false, live;

	*ends_r = *skip_r = false;
	join = core_join_name(s->name);
	if ((join == CORE_ELSIF || join == CORE_ELSE) && chain->open &&
	    chain->taken == ALWAYS) {
		/* never run: must only have the right shape */
		chain->open = join == CORE_ELSIF;
		*skip_r = true;
		if (!s->has_block || s->args ||
		    !s->tests != (join == CORE_ELSE) || s->test_list)
			(void)engine_errors_add(c->errors, c->name, s->line,
			    s->column, "'%.*s' wants %s and a block",
			    CHECK_NAME(s->name), join == CORE_ELSE ?
			    "no test" : "one test");
		return 0;
	}
	if (start_node(c, s, TESTS_NONE, &n, &op)) {
		c->body_begun |= !str_caseeq(s->name, STR("require"));
		/* an elsif behind it is no second error */
		chain->open |= join == CORE_IF;
		chain->taken = DEPENDS;
		if (s->has_block)
			(void)check_block(c, s->block, &ends);
		return 0;
	}
	join = core_join_of(n.spec);
	if (s->has_block && !(n.spec->flags & SPEC_BLOCK)) {
		(void)check_error(c, &n, "'%s' takes no block, it ends in ';'",
		    n.spec->name);
		return 0;
	}
	if (!s->has_block && n.spec->flags & SPEC_BLOCK) {
		(void)check_error(c, &n, "'%s' wants a block", n.spec->name);
		return 0;
	}
	if (check_chain(c, &n, chain, join))
		return 0;
	if (n.spec->flags & SPEC_NOT_RUN) {
		*skip_r = check_require_command(c, &n) == 0;
		return 0;
	}
	c->body_begun = true;
	self = emit_node(c, &n, op);
	if (c->b.full)
		return 0;
	if (n.spec->tests != TESTS_NONE) {
		first = check_tests(c, s->tests, CORE_IF, &count, &t);
		if (!first) {
			chain->taken = DEPENDS;
			c->depth++;
			(void)check_block(c, s->block, &ends);
			c->depth--;
			return 0;
		}
		program_node(&c->b, self)->tests = first;
		program_node(&c->b, self)->n_tests = count;
	}
	live = alive(chain, join, t);
	if (n.spec->flags & SPEC_BLOCK && live) {
		unsigned before = (unsigned)c->errors->count;

		loops = core_is_loop(n.spec);
		if (loops) {
			loop.outer = c->loop;
			loop.name = n.value[SLOT_NAME] ?
			    n.value[SLOT_NAME]->text : (struct str){ 0 };
			c->loop = &loop;
		}
		c->depth++;
		block = check_block(c, s->block, &ends);
		c->depth--;
		if (loops)
			c->loop = loop.outer;
		if (c->errors->count != before)
			return 0;
		program_node(&c->b, self)->block = block;
	}
	if (join == CORE_IF || join == CORE_ELSIF) {
		if (t == ALWAYS)
			chain->taken = ALWAYS;
		else if (t == DEPENDS)
			chain->taken = DEPENDS;
		*ends_r = ends && t == ALWAYS && join == CORE_IF;
	} else {
		*ends_r = core_ends_block(n.spec);
	}
	return self;
}

static uint32_t
check_block(struct check *c, const struct syntax *first, bool *ends_r)
{
	uint32_t head = 0, last = 0;
	struct chain chain = { false, NEVER };

	*ends_r = false;
	for (const struct syntax *s = first; s; s = s->next) {
		bool ends, skip;
		uint32_t i;

		if (c->errors->count >= LIMIT_ERRORS)
			break;
		i = check_command(c, s, &chain, &ends, &skip);
		if (c->b.full)
			break;
		if (!i)
			continue;
		if (last)
			program_node(&c->b, last)->next = i;
		else
			head = i;
		last = i;
		if (ends) {
			*ends_r = true;
			/* What stands behind an unconditional end is still
			 * checked, unless an ihave decided that. */
			if (core_join_of(registry_spec(
			    program_node(&c->b, i)->op)) == CORE_IF)
				break;
		}
	}
	return head;
}

uint64_t
check_fingerprint(const struct engine_settings *settings)
{
	uint64_t h = registry_allowed(settings->extensions, NULL);

	/* settings that compiling depends on: the extensions */
	h ^= (uint64_t)registry_count() << 56;
	for (const char *v = VBOX_VERSION; *v; v++)
		h = (h ^ (uint64_t)(unsigned char)*v) * 0x100000001b3u;
	return h;
}

int
check_compile(const struct engine_settings *settings,
    const struct engine_script *script, struct buf *image_r,
    struct engine_errors *errors)
{
	struct check c = { .errors = errors, .name = script->name };
	struct node root = { 0 };
	struct syntax *tree;
	size_t before = errors->count;
	bool ends;
	int r = -1;

	arena_init(&c.arena, LIMIT_PARSE_ARENA);
	program_builder_init(&c.b);
	c.allowed = registry_allowed(settings->extensions, NULL);
	for (unsigned i = 0; i < registry_count(); i++)
		if (registry_ext(i)->flags & EXT_CORE)
			c.required |= (uint64_t)1 << i;
	tree = parser_parse(script->text, script->name, &c.arena, errors);
	/* names of a tree with holes would only be noise */
	if (errors->count != before)
		goto out;
	(void)program_add_node(&c.b, &root);
	root.block = check_block(&c, tree, &ends);
	program_node(&c.b, 0)->block = root.block;
	if (c.b.full)
		(void)engine_errors_add(errors, script->name, 1, 1,
		    "script has too many commands, tests or strings");
	if (errors->count != before)
		goto out;
	if (program_finish(&c.b, script->text, check_fingerprint(settings),
	    c.required, c.variables ? PROGRAM_VARIABLES : 0, image_r)) {
		(void)engine_errors_add(errors, script->name, 1, 1,
		    "script too large");
		goto out;
	}
	r = 0;
out:
	program_builder_release(&c.b);
	arena_release(&c.arena);
	return r;
}
