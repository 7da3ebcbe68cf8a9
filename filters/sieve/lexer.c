#include "filters/sieve/lexer.h"

#include <string.h>

#include "filters/sieve/limits.h"

void
lexer_init(struct lexer *x, struct str script, struct arena *arena,
    struct engine_errors *errors, struct str name)
{
	memset(x, 0, sizeof(*x));
	/* A byte order mark comes from Windows editors and says nothing. */
	if (str_starts(script, STR("\xef\xbb\xbf")))
		script = str_sub(script, 3, script.n);
	x->p = script.p ? script.p : "";
	x->end = x->p + script.n;
	x->line_start = x->p;
	x->line_now = 1;
	x->arena = arena;
	x->errors = errors;
	x->name = name;
}

const char *
lexer_token_name(enum token t)
{
	switch (t) {
	case T_END: return "end of script";
	case T_ERROR: return "something unreadable";
	case T_IDENTIFIER: return "identifier";
	case T_TAG: return "tag";
	case T_NUMBER: return "number";
	case T_STRING: return "string";
	case T_SEMICOLON: return "';'";
	case T_COMMA: return "','";
	case T_OPEN_PAREN: return "'('";
	case T_CLOSE_PAREN: return "')'";
	case T_OPEN_BRACKET: return "'['";
	case T_CLOSE_BRACKET: return "']'";
	case T_OPEN_BRACE: return "'{'";
	case T_CLOSE_BRACE: return "'}'";
	}
	return "";
}

static void
newline(struct lexer *x, const char *behind)
{
	x->line_now++;
	x->line_start = behind;
}

static int
bad(struct lexer *x, const char *what)
{
	x->token = T_ERROR;
	return engine_errors_add(x->errors, x->name, x->line, x->column, "%s",
	    what);
}

static void
mark(struct lexer *x)
{
	x->line = x->line_now;
	x->column = (unsigned)(x->p - x->line_start) + 1;
}

/* White space and comments. -1 when a comment does not end. */
static int
skip_blank(struct lexer *x)
{
	while (x->p < x->end) {
		char c = *x->p;

		if (c == '\n') {
			newline(x, ++x->p);
		} else if (c == ' ' || c == '\t' || c == '\r') {
			x->p++;
		} else if (c == '#') {
			while (x->p < x->end && *x->p != '\n') {
				if (*x->p == '\0') {
					mark(x);
					x->p++;
					return bad(x, "NUL in a comment");
				}
				x->p++;
			}
		} else if (c == '/' && x->end - x->p > 1 && x->p[1] == '*') {
			mark(x);
			x->p += 2;
			for (;;) {
				if (x->end - x->p < 2) {
					x->p = x->end;
					return bad(x, "comment without end");
				}
				if (x->p[0] == '*' && x->p[1] == '/')
					break;
				if (*x->p == '\0') {
					x->p++;
					return bad(x, "NUL in a comment");
				}
				if (*x->p++ == '\n')
					newline(x, x->p);
			}
			x->p += 2;
		} else {
			break;
		}
	}
	return 0;
}

static bool
ident_char(char c)
{
	return ascii_isalnum(c) || c == '_';
}

static int
lex_number(struct lexer *x)
{
	uint64_t n = 0;
	unsigned shift = 0;
	bool over = false;

	while (x->p < x->end && ascii_isdigit(*x->p)) {
		over |= __builtin_mul_overflow(n, 10u, &n);
		over |= __builtin_add_overflow(n, (uint64_t)(*x->p - '0'), &n);
		x->p++;
	}
	if (x->p < x->end) {
		switch (ascii_upper(*x->p)) {
		case 'K': shift = 10; break;
		case 'M': shift = 20; break;
		case 'G': shift = 30; break;
		}
	}
	if (shift) {
		x->p++;
		over |= __builtin_mul_overflow(n, (uint64_t)1 << shift, &n);
	}
	if (x->p < x->end && ident_char(*x->p)) {
		while (x->p < x->end && ident_char(*x->p))
			x->p++;
		return bad(x, "a number ends in something that is neither"
		    " digit nor K, M or G");
	}
	if (over)
		return bad(x, "number too large");
	x->token = T_NUMBER;
	x->number = n;
	return 0;
}

/* Is this the CR of a CRLF? */
static bool
crlf(struct str s, size_t i)
{
	return s.p[i] == '\r' && i + 1 < s.n && s.p[i + 1] == '\n';
}

/* Is this the first of two dots at the front of a line? */
static bool
stuffing(struct str s, size_t i)
{
	return s.p[i] == '.' && (i == 0 || s.p[i - 1] == '\n') &&
	    i + 1 < s.n && s.p[i + 1] == '.';
}

static int
lex_quoted(struct lexer *x)
{
	const char *s = ++x->p;
	char *out;
	size_t n = 0;
	bool escaped = false, nul = false, cr = false;

	for (;;) {
		if (x->p == x->end)
			return bad(x, "string without closing quote");
		if (*x->p == '"')
			break;
		if (*x->p == '\0')
			nul = true;
		if (*x->p == '\r')
			cr = true;
		if (*x->p == '\n')
			newline(x, x->p + 1);
		if (*x->p == '\\') {
			escaped = true;
			if (++x->p == x->end)
				return bad(x, "string without closing quote");
			if (*x->p == '\n')
				newline(x, x->p + 1);
		}
		x->p++;
	}
	x->text = str_mem(s, (size_t)(x->p - s));
	x->p++;
	if (nul)
		return bad(x, "NUL in a string");
	x->token = T_STRING;
	if (!escaped && !cr)
		return 0;
	/* section 2.4.2: an escaped character that needs none is itself. A line
	 * ends in LF, as those of the message do, whatever the script has. */
	out = arena_alloc(x->arena, x->text.n);
	if (!out)
		return bad(x, "script too large");
	for (size_t i = 0; i < x->text.n; i++) {
		if (x->text.p[i] == '\\')
			i++;
		if (!crlf(x->text, i))
			out[n++] = x->text.p[i];
	}
	x->text = str_mem(out, n);
	return 0;
}

/* Behind "text:", section 2.4.2: the rest of the line is blank or a comment;
 * a line "." ends it, of two dots at the front of a line the first goes
 * (section 8.1). */
static int
lex_multiline(struct lexer *x)
{
	const char *s;
	char *out;
	size_t n = 0, stuffed = 0;
	bool nul = false, cr = false;

	while (x->p < x->end && ascii_isblank(*x->p))
		x->p++;
	if (x->p < x->end && *x->p == '#')
		while (x->p < x->end && *x->p != '\n')
			x->p++;
	if (x->p < x->end && *x->p == '\r')
		x->p++;
	if (x->p == x->end || *x->p != '\n')
		return bad(x, "behind \"text:\" the line must end");
	newline(x, ++x->p);
	s = x->p;
	for (;;) {
		const char *eol;
		size_t len;

		if (x->p < x->end)
			eol = memchr(x->p, '\n', (size_t)(x->end - x->p));
		else
			eol = NULL;
		len = (size_t)((eol ? eol : x->end) - x->p);
		if (len && x->p[0] == '.') {
			if (len == 1 || (len == 2 && x->p[1] == '\r'))
				break;
			stuffed += x->p[1] == '.';
		}
		if (len && memchr(x->p, '\0', len))
			nul = true;
		cr |= len && x->p[len - 1] == '\r';
		if (!eol) {
			x->p = x->end;
			return bad(x, "multi-line text without a line \".\"");
		}
		x->p = eol + 1;
		newline(x, x->p);
	}
	x->text = str_mem(s, (size_t)(x->p - s));
	x->p++;
	if (x->p < x->end && *x->p == '\r')
		x->p++;
	if (x->p < x->end) {
		x->p++;
		newline(x, x->p);
	}
	if (nul)
		return bad(x, "NUL in a multi-line text");
	x->token = T_STRING;
	if (!stuffed && !cr)
		return 0;
	out = arena_alloc(x->arena, x->text.n);
	if (!out)
		return bad(x, "script too large");
	for (size_t i = 0; i < x->text.n; i++)
		if (!crlf(x->text, i) && !stuffing(x->text, i))
			out[n++] = x->text.p[i];
	x->text = str_mem(out, n);
	return 0;
}

static void
lex_word(struct lexer *x, enum token t)
{
	const char *s = x->p;

	while (x->p < x->end && ident_char(*x->p))
		x->p++;
	x->text = str_mem(s, (size_t)(x->p - s));
	x->token = t;
}

static enum token
punctuation(char c)
{
	switch (c) {
	case ';': return T_SEMICOLON;
	case ',': return T_COMMA;
	case '(': return T_OPEN_PAREN;
	case ')': return T_CLOSE_PAREN;
	case '[': return T_OPEN_BRACKET;
	case ']': return T_CLOSE_BRACKET;
	case '{': return T_OPEN_BRACE;
	case '}': return T_CLOSE_BRACE;
	}
	return T_ERROR;
}

void
lexer_next(struct lexer *x)
{
	char c;

	x->text = (struct str){ 0 };
	if (skip_blank(x))
		return;
	mark(x);
	if (x->p == x->end) {
		x->token = T_END;
		return;
	}
	c = *x->p;
	x->token = punctuation(c);
	if (x->token != T_ERROR) {
		x->p++;
		return;
	}
	if (ascii_isdigit(c)) {
		(void)lex_number(x);	/* the token says it */
	} else if (c == '"') {
		(void)lex_quoted(x);
	} else if (c == ':' && x->end - x->p > 1 &&
	    (ascii_isalpha(x->p[1]) || x->p[1] == '_')) {
		x->p++;
		lex_word(x, T_TAG);
	} else if (ascii_isalpha(c) || c == '_') {
		lex_word(x, T_IDENTIFIER);
		if (x->p < x->end && *x->p == ':' &&
		    str_caseeq(x->text, STR("text"))) {
			x->p++;
			(void)lex_multiline(x);
		}
	} else {
		x->p++;
		/* one report for a run of strange bytes */
		while (x->p < x->end && (unsigned char)*x->p >= 0x80)
			x->p++;
		if (c == ':')
			(void)bad(x, "':' without the name of a tag");
		else if (c > ' ' && c < 0x7f)
			(void)engine_errors_add(x->errors, x->name, x->line,
			    x->column, "unexpected character '%c'", c);
		else
			(void)engine_errors_add(x->errors, x->name, x->line,
			    x->column, "unexpected byte 0x%02x",
			    (unsigned char)c);
		x->token = T_ERROR;
	}
}
