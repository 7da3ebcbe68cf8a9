#include "filters/libsieve_script.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>

#include "filters/sieve/check.h"
#include "filters/sieve/ext/core.h"
#include "filters/sieve/limits.h"
#include "filters/sieve/match.h"
#include "filters/sieve/parser.h"
#include "filters/sieve/registry.h"
#include "filters/sieve/values.h"
#include "store/base/num.h"

/* Its grammar is right-recursive and bison's stack ends at 10,000. */
#define ROW_MAX 4000
/* The number of a node, as a word of a script. */
/* At each way out: the root, which is no action. */
#define LIBSIEVE_END "fileinto \"N0\""
#define TOKEN_FMT "\"N%u\""

/* --- extensions ------------------------------------------------------------------- */

static bool
known(const char *name)
{
	struct str rest = STR(LIBSIEVE_EXTENSIONS), word;

	while (str_split(&rest, ' ', &word))
		if (str_eq(word, str_of(name)))
			return true;
	return false;
}

void
libsieve_extensions(struct str setting, struct buf *out)
{
	uint64_t bits = registry_allowed(setting, NULL);

	/* 0 is the language itself, which has no name */
	for (unsigned i = 1; i < registry_count(); i++) {
		const char *name = registry_ext(i)->name;

		if (!(bits >> i & 1) || !known(name))
			continue;
		if (out->n)
			(void)buf_addc(out, ' ');
		(void)buf_addz(out, name);
	}
}

size_t
libsieve_check_requires(struct str setting, const struct engine_script *script,
    struct engine_errors *errors)
{
	uint64_t allowed = registry_allowed(setting, NULL);
	size_t before = errors->count;
	struct engine_errors ignored;
	struct arena arena;

	engine_errors_init(&ignored);
	arena_init(&arena, LIMIT_PARSE_ARENA);
	for (const struct syntax *s = parser_parse(script->text, script->name,
	    &arena, &ignored); s; s = s->next) {
		const struct syntax_arg *a = s->args;

		if (!str_caseeq(s->name, STR("require")))
			break;	/* only in front */
		if (a && a->kind == SYNTAX_LIST)
			a = a->items;
		for (; a; a = a->next) {
			int i = a->kind == SYNTAX_STRING ?
			    registry_find(a->text) : -1;

			if (i >= 0 && allowed >> i & 1 &&
			    !known(registry_ext((unsigned)i)->name))
				(void)engine_errors_add(errors, script->name,
				    a->line, a->column, "extension \"%.*s\" is "
				    "not known to sieve_engine \"libsieve\"",
				    CHECK_NAME(a->text));
		}
	}
	arena_release(&arena);
	engine_errors_release(&ignored);
	return errors->count - before;
}

/* --- what it would do wrong ---------------------------------------------------------- */

struct checking {
	const struct program *p;
	struct str name;
	struct engine_errors *errors;
};

static void __attribute__((format(printf, 3, 4)))
wrong(const struct checking *c, const struct node *n, const char *fmt, ...)
{
	char text[200];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);	/* cut is enough */
	va_end(ap);
	(void)engine_errors_add(c->errors, c->name, n->line, n->column,
	    "sieve_engine \"libsieve\": %s", text);
}

static struct str
string_at(const struct program *p, uint32_t i)
{
	uint32_t flags;		/* no variables in the subset */

	return program_string(p, i, &flags);
}

static uint32_t
code_of(const struct program *p, const struct node *n, enum slot slot,
    uint32_t otherwise)
{
	const struct arg *a = program_arg(p, n, slot);

	return a ? a->a : otherwise;
}

static struct str
string_of(const struct program *p, const struct node *n, enum slot slot)
{
	const struct arg *a = program_arg(p, n, slot);

	return a ? string_at(p, a->a) : (struct str){ NULL, 0 };
}

/* "\d", "(?:x)": its regular expressions are POSIX's. */
static bool
perlish(struct str s)
{
	for (size_t i = 0; i + 1 < s.n; i++) {
		if (s.p[i] == '(' && s.p[i + 1] == '?')
			return true;
		if (s.p[i] != '\\')
			continue;
		if (ascii_isalnum(s.p[i + 1]))
			return true;
		i++;
	}
	return false;
}

static void
check_key(const struct checking *c, const struct node *n, uint32_t match,
    struct str key)
{
	if (str_chr(key, '"') >= 0)
		wrong(c, n, "a string to match with cannot hold a quotation "
		    "mark");
	else if (str_chr(key, '\0') >= 0)
		wrong(c, n, "a string to match with cannot hold a NUL");
	else if (match == MATCH_MATCHES && str_chr(key, '\\') >= 0)
		wrong(c, n, ":matches knows no backslash");
	else if (key.n && key.p[key.n - 1] == '\\')
		wrong(c, n, "a string to match with cannot end in a "
		    "backslash");
	else if (match == MATCH_REGEX && perlish(key))
		wrong(c, n, "its regular expressions know neither (? nor a "
		    "backslash before a letter or digit");
}

static void
check_match(const struct checking *c, const struct node *n, const char *test)
{
	const struct arg *keys = program_arg(c->p, n, SLOT_KEYS);
	uint32_t match = code_of(c->p, n, SLOT_MATCH, MATCH_IS);
	struct str comparator = string_of(c->p, n, SLOT_COMPARATOR);

	if (str_eq(str_of(test), STR("hasflag")))
		return;		/* it is not asked */
	if (str_caseeq(comparator, STR("i;ascii-numeric")) &&
	    match != MATCH_IS && match != MATCH_VALUE && match != MATCH_COUNT)
		wrong(c, n, "i;ascii-numeric has no such match type");
	for (uint32_t i = 0; keys && i < keys->b; i++)
		check_key(c, n, match, string_at(c->p, keys->a + i));
	if (keys && keys->b > ROW_MAX)
		wrong(c, n, "more than %d strings in a list", ROW_MAX);
}

static void
check_row(const struct checking *c, uint32_t first)
{
	unsigned row = 0;

	for (uint32_t i = first; i; i = c->p->nodes[i].next) {
		const struct node *n = &c->p->nodes[i];
		const struct sieve_spec *spec = registry_spec(n->op);

		if (++row == ROW_MAX)
			wrong(c, n, "more than %d commands or tests in a row",
			    ROW_MAX);
		if (spec && spec->classes & ON_MATCH)
			check_match(c, n, spec->name);
		if (spec && str_eq(str_of(spec->name), STR("size")) &&
		    program_number(program_arg(c->p, n, SLOT_NUMBER)) > INT_MAX)
			wrong(c, n, "a size is at most %d", INT_MAX);
		check_row(c, n->tests);
		check_row(c, n->block);
	}
}

size_t
libsieve_check_program(const struct program *p, struct str name,
    struct engine_errors *errors)
{
	struct checking c = { p, name, errors };
	size_t before = errors->count;

	check_row(&c, p->nodes[0].block);
	return errors->count - before;
}

/* --- the script ---------------------------------------------------------------------- */

struct writer {
	const struct program *p;
	const struct str *own;
	size_t n_own;
	struct buf *out;
};

static uint32_t
number_of(const struct writer *w, const struct node *n)
{
	return (uint32_t)(n - w->p->nodes);
}

/* What check_key() has passed needs no escape. */
static void
quote(struct buf *out, struct str s)
{
	(void)buf_addc(out, '"');
	(void)buf_adds(out, s);
	(void)buf_addc(out, '"');
}

static void
write_tags(const struct writer *w, const struct node *n, const char *test)
{
	static const char *const match[] = { [MATCH_IS] = ":is",
	    [MATCH_CONTAINS] = ":contains", [MATCH_MATCHES] = ":matches",
	    [MATCH_COUNT] = ":count", [MATCH_VALUE] = ":value",
	    [MATCH_REGEX] = ":regex" };
	static const char *const part[] = { [ADDRESS_PART_ALL] = ":all",
	    [ADDRESS_PART_LOCALPART] = ":localpart",
	    [ADDRESS_PART_DOMAIN] = ":domain", [ADDRESS_PART_USER] = ":user",
	    [ADDRESS_PART_DETAIL] = ":detail" };
	uint32_t type = code_of(w->p, n, SLOT_MATCH, MATCH_IS);
	struct str comparator = string_of(w->p, n, SLOT_COMPARATOR);

	(void)buf_addf(w->out, " %s", match[type < COUNT_OF(match) ? type :
	    MATCH_IS]);
	if (type == MATCH_COUNT || type == MATCH_VALUE) {
		(void)buf_addc(w->out, ' ');
		quote(w->out, string_of(w->p, n, SLOT_RELATION));
	}
	if (comparator.p) {
		/* Their names have no case, but for libsieve. */
		(void)buf_addz(w->out, " :comparator \"");
		for (size_t i = 0; i < comparator.n; i++)
			(void)buf_addc(w->out, ascii_lower(comparator.p[i]));
		(void)buf_addc(w->out, '"');
	}
	if (node_has(n, SLOT_ADDRESS_PART) && str_eq(str_of(test),
	    STR("address")))
		(void)buf_addf(w->out, " %s", part[code_of(w->p, n,
		    SLOT_ADDRESS_PART, ADDRESS_PART_ALL) % COUNT_OF(part)]);
}

/* Its :count sums up over the keys, so each key is a test of its own. */
static void
write_values(const struct writer *w, const struct node *n, const char *test)
{
	const struct arg *keys = program_arg(w->p, n, SLOT_KEYS);
	bool each = code_of(w->p, n, SLOT_MATCH, MATCH_IS) == MATCH_COUNT &&
	    keys->b > 1;

	if (each)
		(void)buf_addz(w->out, "anyof(");
	for (uint32_t i = 0; i < keys->b; i++) {
		if (i == 0 || each) {
			(void)buf_addz(w->out, each && i ? ", " : "");
			(void)buf_addz(w->out, test);
			write_tags(w, n, test);
			(void)buf_addf(w->out, " " TOKEN_FMT " [",
			    number_of(w, n));
		} else {
			(void)buf_addz(w->out, ", ");
		}
		quote(w->out, string_at(w->p, keys->a + i));
		if (each || i + 1 == keys->b)
			(void)buf_addc(w->out, ']');
	}
	if (each)
		(void)buf_addc(w->out, ')');
}

static void write_tests(const struct writer *w, uint32_t first);

static void
write_test(const struct writer *w, const struct node *n)
{
	const struct sieve_spec *spec = registry_spec(n->op);
	const char *name = spec->name;

	switch (core_join_of(spec)) {
	case CORE_NOT:
		(void)buf_addz(w->out, "not ");
		write_test(w, &w->p->nodes[n->tests]);
		return;
	case CORE_ALLOF:
	case CORE_ANYOF:
		(void)buf_addf(w->out, "%s(", name);
		write_tests(w, n->tests);
		(void)buf_addc(w->out, ')');
		return;
	default:
		break;
	}
	if (str_eq(str_of(name), STR("size")))
		(void)buf_addf(w->out, "size %s %llu", code_of(w->p, n,
		    SLOT_OVER, 0) ? ":over" : ":under", (unsigned long long)
		    program_number(program_arg(w->p, n, SLOT_NUMBER)));
	else if (str_eq(str_of(name), STR("exists")) ||
	    str_eq(str_of(name), STR("hasflag")))
		(void)buf_addf(w->out, "exists " TOKEN_FMT, number_of(w, n));
	else if (str_eq(str_of(name), STR("envelope")))
		/* its own knows no null sender and no list of parts */
		write_values(w, n, "header");
	else if (spec->classes & ON_MATCH)
		write_values(w, n, name);
	else
		(void)buf_addz(w->out, name);	/* true, false */
}

static void
write_tests(const struct writer *w, uint32_t first)
{
	for (uint32_t i = first; i; i = w->p->nodes[i].next) {
		if (i != first)
			(void)buf_addz(w->out, ", ");
		write_test(w, &w->p->nodes[i]);
	}
}

static void
write_vacation(const struct writer *w, const struct node *n)
{
	const struct arg *more = program_arg(w->p, n, SLOT_ADDRESSES);
	bool any = false;

	/* Called, whether it answers or not: it conflicts with a reject. */
	(void)buf_addf(w->out, "fileinto " TOKEN_FMT ";\nvacation",
	    number_of(w, n));
	for (size_t i = 0; i < w->n_own + (more ? more->b : 0); i++) {
		struct str s = i < w->n_own ? w->own[i] : string_at(w->p,
		    more->a + (uint32_t)(i - w->n_own));

		if (!libsieve_address_ok(s))
			continue;
		(void)buf_addz(w->out, any ? ", " : " :addresses [");
		quote(w->out, s);
		any = true;
	}
	(void)buf_addf(w->out, "%s " TOKEN_FMT, any ? "]" : "",
	    number_of(w, n));
}

static void
write_command(const struct writer *w, const struct node *n, const char *name)
{
	if (str_eq(str_of(name), STR("vacation")))
		write_vacation(w, n);
	else if (str_eq(str_of(name), STR("stop")))
		(void)buf_addz(w->out, LIBSIEVE_END "; stop");
	else
		(void)buf_addf(w->out, "fileinto " TOKEN_FMT, number_of(w, n));
	(void)buf_addz(w->out, ";\n");
}

static void
write_block(const struct writer *w, uint32_t first)
{
	for (uint32_t i = first; i; i = w->p->nodes[i].next) {
		const struct node *n = &w->p->nodes[i];
		const struct sieve_spec *spec = registry_spec(n->op);
		enum core_join join = core_join_of(spec);

		if (join == CORE_NONE) {
			write_command(w, n, spec->name);
			continue;
		}
		(void)buf_addz(w->out, spec->name);
		if (join != CORE_ELSE) {
			(void)buf_addc(w->out, ' ');
			write_tests(w, n->tests);
		}
		(void)buf_addz(w->out, " {\n");
		write_block(w, n->block);
		(void)buf_addz(w->out, "}\n");
	}
}

int
libsieve_script(const struct program *p, const struct str *own, size_t n_own,
    struct buf *out)
{
	struct writer w = { p, own, n_own, out };

	(void)buf_addz(out, "require [\"fileinto\", \"subaddress\", \"relational\", "
	    "\"regex\", \"vacation\"];\n");
	write_block(&w, p->nodes[0].block);
	(void)buf_addz(out, LIBSIEVE_END ";\n");
	return out->full ? -1 : 0;
}

const struct node *
libsieve_node(const struct program *p, const char *token)
{
	struct str s = str_of(token);
	uint64_t i;

	if (!str_casestarts(s, STR("N")) || num_u64(str_sub(s, 1, s.n),
	    p->h->n_nodes - 1, &i))
		return NULL;
	return &p->nodes[i];
}

/* Atoms, dots and one @: what needs no quoting. */
bool
libsieve_address_ok(struct str s)
{
	ptrdiff_t at = str_rchr(s, '@');
	char last = '.';

	if (at < 1 || s.n > LIBSIEVE_ADDRESS_MAX)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		bool dot = c == '.' || (ptrdiff_t)i == at;

		if (dot ? last == '.' : !ascii_isalnum(c) &&
		    str_chr(STR("!#$%&'*+-/=?^_`{|}~"), c) < 0 &&
		    (unsigned char)c < 0x80)
			return false;
		last = dot ? '.' : c;
	}
	return last != '.';
}
