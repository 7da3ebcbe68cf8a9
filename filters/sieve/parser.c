#include "filters/sieve/parser.h"

#include "filters/sieve/lexer.h"
#include "filters/sieve/limits.h"

struct parser {
	struct lexer x;
	struct arena *arena;
	struct engine_errors *errors;
	struct str name;
	bool give_up;		/* too deep, too large, too many errors */
};

static int
error_here(struct parser *p, const char *what)
{
	/* a broken token has been reported by the lexer */
	if (p->x.token == T_ERROR)
		return -1;
	return engine_errors_add(p->errors, p->name, p->x.line, p->x.column,
	    "%s", what);
}

static int
expected(struct parser *p, const char *what)
{
	if (p->x.token == T_ERROR)
		return -1;
	return engine_errors_add(p->errors, p->name, p->x.line, p->x.column,
	    "expected %s, found %s", what, lexer_token_name(p->x.token));
}

static void *
make(struct parser *p, size_t n)
{
	void *q = arena_alloc(p->arena, n);

	if (!q && !p->give_up) {
		(void)error_here(p, "script too large");
		p->give_up = true;
	}
	return q;
}

static int
parse_list(struct parser *p, struct syntax_arg *list)
{
	struct syntax_arg *first = NULL, **tail = &first;
	uint32_t n = 0;

	list->kind = SYNTAX_LIST;
	lexer_next(&p->x);
	if (p->x.token == T_CLOSE_BRACKET) {
		/* the grammar wants one string at least */
		return error_here(p, "a string list must not be empty");
	}
	for (;;) {
		struct syntax_arg *a;

		if (p->x.token != T_STRING)
			return expected(p, "string");
		a = make(p, sizeof(*a));
		if (!a)
			return -1;
		a->kind = SYNTAX_STRING;
		a->line = p->x.line;
		a->column = p->x.column;
		a->text = p->x.text;
		*tail = a;
		tail = &a->next;
		n++;
		lexer_next(&p->x);
		if (p->x.token == T_CLOSE_BRACKET)
			break;
		if (p->x.token != T_COMMA)
			return expected(p, "',' or ']'");
		lexer_next(&p->x);
	}
	lexer_next(&p->x);
	list->items = first;
	list->n_items = n;
	return 0;
}

static int
parse_args(struct parser *p, struct syntax *s)
{
	struct syntax_arg **tail = &s->args;

	for (;;) {
		struct syntax_arg *a;

		switch (p->x.token) {
		case T_STRING:
		case T_NUMBER:
		case T_TAG:
		case T_OPEN_BRACKET:
			break;
		case T_ERROR:
			return -1;
		default:
			return 0;
		}
		a = make(p, sizeof(*a));
		if (!a)
			return -1;
		a->line = p->x.line;
		a->column = p->x.column;
		a->text = p->x.text;
		*tail = a;
		tail = &a->next;
		switch (p->x.token) {
		case T_STRING:
			a->kind = SYNTAX_STRING;
			break;
		case T_NUMBER:
			a->kind = SYNTAX_NUMBER;
			a->number = p->x.number;
			break;
		case T_TAG:
			a->kind = SYNTAX_TAG;
			break;
		default:
			if (parse_list(p, a))
				return -1;
			continue;
		}
		lexer_next(&p->x);
	}
}

static int
too_deep(struct parser *p, const char *what)
{
	p->give_up = true;
	return engine_errors_add(p->errors, p->name, p->x.line, p->x.column,
	    "%s are nested deeper than %d", what, LIMIT_NESTING);
}

static struct syntax *parse_test(struct parser *p, unsigned depth);

/* Arguments, then one test, a list of tests or none. */
static int
parse_rest(struct parser *p, struct syntax *s, unsigned depth)
{
	struct syntax **tail = &s->tests;

	if (parse_args(p, s))
		return -1;
	if (p->x.token == T_IDENTIFIER) {
		s->tests = parse_test(p, depth + 1);
		return s->tests ? 0 : -1;
	}
	if (p->x.token != T_OPEN_PAREN)
		return 0;
	s->test_list = true;
	do {
		lexer_next(&p->x);
		*tail = parse_test(p, depth + 1);
		if (!*tail)
			return -1;
		tail = &(*tail)->next;
	} while (p->x.token == T_COMMA);
	if (p->x.token != T_CLOSE_PAREN)
		return expected(p, "',' or ')'");
	lexer_next(&p->x);
	return 0;
}

static struct syntax *
parse_test(struct parser *p, unsigned depth)
{
	struct syntax *s;

	if (p->x.token != T_IDENTIFIER) {
		(void)expected(p, "a test");
		return NULL;
	}
	if (depth > LIMIT_NESTING) {
		(void)too_deep(p, "tests");
		return NULL;
	}
	s = make(p, sizeof(*s));
	if (!s)
		return NULL;
	s->name = p->x.text;
	s->line = p->x.line;
	s->column = p->x.column;
	lexer_next(&p->x);
	return parse_rest(p, s, depth) ? NULL : s;
}

/* Behind a broken statement: to the ';' or the block that ends it. */
static void
skip_statement(struct parser *p)
{
	unsigned depth = 0;

	for (;; lexer_next(&p->x)) {
		switch (p->x.token) {
		case T_END:
			return;
		case T_SEMICOLON:
			if (depth)
				continue;
			lexer_next(&p->x);
			return;
		case T_OPEN_BRACE:
			depth++;
			continue;
		case T_CLOSE_BRACE:
			if (depth == 0)
				return;
			if (--depth)
				continue;
			lexer_next(&p->x);
			return;
		default:
			continue;
		}
	}
}

static struct syntax *parse_block(struct parser *p, unsigned depth);

static int
parse_command(struct parser *p, struct syntax *s, unsigned depth)
{
	s->name = p->x.text;
	s->line = p->x.line;
	s->column = p->x.column;
	lexer_next(&p->x);
	if (parse_rest(p, s, 0))
		return -1;
	if (p->x.token == T_SEMICOLON) {
		lexer_next(&p->x);
		return 0;
	}
	if (p->x.token != T_OPEN_BRACE)
		return expected(p, "';' or '{'");
	if (depth >= LIMIT_NESTING)
		return too_deep(p, "blocks");
	s->has_block = true;
	lexer_next(&p->x);
	s->block = parse_block(p, depth + 1);
	if (p->give_up)
		return -1;
	if (p->x.token != T_CLOSE_BRACE)
		return expected(p, "'}'");
	lexer_next(&p->x);
	return 0;
}

static struct syntax *
parse_block(struct parser *p, unsigned depth)
{
	struct syntax *first = NULL, **tail = &first;

	while (p->x.token != T_END && !p->give_up) {
		struct syntax *s;

		if (p->errors->count >= LIMIT_ERRORS) {
			p->give_up = true;
			break;
		}
		if (p->x.token == T_CLOSE_BRACE) {
			if (depth)
				break;
			(void)error_here(p, "'}' without '{'");
			lexer_next(&p->x);
			continue;
		}
		if (p->x.token != T_IDENTIFIER) {
			(void)expected(p, "a command");
			skip_statement(p);
			continue;
		}
		s = make(p, sizeof(*s));
		if (!s)
			break;
		if (parse_command(p, s, depth)) {
			if (!p->give_up)
				skip_statement(p);
			continue;
		}
		*tail = s;
		tail = &s->next;
	}
	return first;
}

struct syntax *
parser_parse(struct str script, struct str name, struct arena *arena,
    struct engine_errors *errors)
{
	struct parser p = { .arena = arena, .errors = errors, .name = name };

	if (script.n > LIMIT_SCRIPT_SIZE) {
		(void)engine_errors_add(errors, name, 1, 1,
		    "script larger than %d bytes", LIMIT_SCRIPT_SIZE);
		return NULL;
	}
	lexer_init(&p.x, script, arena, errors, name);
	lexer_next(&p.x);
	return parse_block(&p, 0);
}
