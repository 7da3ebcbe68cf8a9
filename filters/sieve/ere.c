#include "filters/sieve/ere.h"

#include <string.h>

struct ere {
	struct str p;
	size_t i;
	struct buf *out;
	size_t groups[ERE_NESTING];	/* where they begin in out */
	unsigned depth;
	/* What a repetition would repeat: where it begins in out. */
	size_t atom;
	bool has_atom;
	bool repeated;		/* it ends in a repetition */
	bool choice;
};

static void
begin_atom(struct ere *e)
{
	e->atom = e->out->n;
	e->has_atom = true;
	e->repeated = false;
}

static bool
is_at(const struct ere *e, size_t i, char c)
{
	return i < e->p.n && e->p.p[i] == c;
}

/* --- brackets --- */

/* "[:alpha:]" goes as it is; "[.x.]" and "[=x=]" are x. False when it is
 * neither. */
static bool
take_class(struct ere *e)
{
	char kind = e->i + 1 < e->p.n ? e->p.p[e->i + 1] : '\0';
	const char end[] = { kind, ']', '\0' };
	struct str in = str_sub(e->p, e->i + 2, e->p.n);
	ptrdiff_t n;

	if (kind != ':' && kind != '.' && kind != '=')
		return false;
	/* "[=]=]" */
	n = str_find(str_sub(in, 1, in.n), str_of(end));
	if (n < 0)
		return false;
	in = str_sub(in, 0, (size_t)n + 1);
	if (kind == ':') {
		(void)buf_addz(e->out, "[:");
		(void)buf_adds(e->out, in);
		(void)buf_addz(e->out, ":]");
	} else {
		/* of several letters ("[.hyphen.]"): PCRE2 refuses it */
		if (in.n > 1 && (unsigned char)in.p[0] < 0x80) {
			(void)buf_addz(e->out, "[.");
			(void)buf_adds(e->out, in);
			(void)buf_addz(e->out, ".]");
		} else {
			if ((unsigned char)in.p[0] < 0x80 &&
			    !ascii_isalnum(in.p[0]))
				(void)buf_addc(e->out, '\\');
			(void)buf_adds(e->out, in);
		}
	}
	e->i += in.n + 4;
	return true;
}

static void
take_bracket(struct ere *e)
{
	begin_atom(e);
	(void)buf_addc(e->out, '[');
	e->i++;
	if (is_at(e, e->i, '^')) {
		(void)buf_addc(e->out, '^');
		e->i++;
	}
	if (is_at(e, e->i, ']')) {
		(void)buf_addz(e->out, "\\]");
		e->i++;
	}
	while (e->i < e->p.n && e->p.p[e->i] != ']') {
		char c = e->p.p[e->i];

		if (c == '[' && take_class(e))
			continue;
		if (c == '[' || c == '\\')
			(void)buf_addc(e->out, '\\');
		(void)buf_addc(e->out, c);
		e->i++;
	}
	/* without its end PCRE2 complains */
	if (e->i < e->p.n)
		(void)buf_addc(e->out, ']');
	e->i++;
}

/* --- the rest --- */

static void
take_escape(struct ere *e)
{
	char c = e->i + 1 < e->p.n ? e->p.p[e->i + 1] : '\0';

	begin_atom(e);
	if (e->i + 1 >= e->p.n) {
		(void)buf_addc(e->out, '\\');	/* PCRE2 complains */
	} else if (c == '<') {
		(void)buf_addz(e->out, "(?:\\b(?=\\w))");
	} else if (c == '>') {
		(void)buf_addz(e->out, "(?:\\b(?<=\\w))");
	} else if (c == '`') {
		(void)buf_addz(e->out, "\\A");
	} else if (c == '\'') {
		(void)buf_addz(e->out, "\\z");
	} else if (c >= '1' && c <= '9') {
		(void)buf_addf(e->out, "\\g{%c}", c);
	} else {
		/* letters that mean something; others are themselves */
		if (!ascii_isalnum(c) ? (unsigned char)c < 0x80 :
		    strchr("wWsSbBdDtnrf", c) != NULL)
			(void)buf_addc(e->out, '\\');
		(void)buf_addc(e->out, c);
	}
	e->i += 2;
}

/* The bytes of "{2,3}", or 0. */
static size_t
interval(const struct ere *e)
{
	size_t i = e->i + 1, digits = 0;

	for (; i < e->p.n && ascii_isdigit(e->p.p[i]); i++)
		digits++;
	if (is_at(e, i, ',')) {
		i++;
		for (; i < e->p.n && ascii_isdigit(e->p.p[i]); i++)
			digits++;
	}
	return digits && is_at(e, i, '}') ? i + 1 - e->i : 0;
}

static int
take_repetition(struct ere *e, size_t n, const char **why_r)
{
	struct str s = str_sub(e->p, e->i, n);

	if (!e->has_atom) {
		*why_r = "a repetition of nothing";
		return -1;
	}
	if (e->repeated) {
		/* a repetition of a repetition: set it in parentheses */
		size_t tail = e->out->n - e->atom;

		if (buf_reserve(e->out, 4))
			return 0;
		memmove(e->out->p + e->atom + 3, e->out->p + e->atom, tail);
		memcpy(e->out->p + e->atom, "(?:", 3);
		e->out->n += 3;
		(void)buf_addc(e->out, ')');
	}
	if (str_starts(s, STR("{,"))) {
		(void)buf_addz(e->out, "{0");
		s = str_sub(s, 1, s.n);
	}
	(void)buf_adds(e->out, s);
	e->i += n;
	e->repeated = true;
	return 0;
}

static int
open_group(struct ere *e, const char **why_r)
{
	if (e->depth == ERE_NESTING) {
		*why_r = "parentheses are nested too deep";
		return -1;
	}
	e->groups[e->depth++] = e->out->n;
	(void)buf_addc(e->out, '(');
	e->i++;
	e->has_atom = false;
	return 0;
}

static void
close_group(struct ere *e)
{
	if (e->depth == 0) {
		begin_atom(e);
		(void)buf_addz(e->out, "\\)");
	} else {
		e->atom = e->groups[--e->depth];
		e->has_atom = true;
		e->repeated = false;
		(void)buf_addc(e->out, ')');
	}
	e->i++;
}

/* One character, of several bytes perhaps. */
static void
take_character(struct ere *e)
{
	char c = e->p.p[e->i];

	begin_atom(e);
	if (c == '{' || c == '#')
		(void)buf_addc(e->out, '\\');
	do
		(void)buf_addc(e->out, e->p.p[e->i++]);
	while (e->i < e->p.n && (e->p.p[e->i] & 0xc0) == 0x80);
}

static int
take(struct ere *e, const char **why_r)
{
	size_t n;

	switch (e->p.p[e->i]) {
	case '[':
		take_bracket(e);
		return 0;
	case '\\':
		take_escape(e);
		return 0;
	case '(':
		return open_group(e, why_r);
	case ')':
		close_group(e);
		return 0;
	case '*':
	case '+':
	case '?':
		return take_repetition(e, 1, why_r);
	case '{':
		n = interval(e);
		if (n)
			return take_repetition(e, n, why_r);
		take_character(e);
		return 0;
	case '|':
		e->choice = true;
		/* FALLTHROUGH */
	case '^':
	case '$':
		(void)buf_addc(e->out, e->p.p[e->i++]);
		e->has_atom = false;
		return 0;
	default:
		take_character(e);
		return 0;
	}
}

int
ere_translate(struct str pattern, struct buf *out, bool *choice_r,
    const char **why_r)
{
	struct ere e = { .p = pattern, .out = out };

	while (e.i < pattern.n)
		if (take(&e, why_r))
			return -1;
	if (out->full) {
		*why_r = "too long";
		return -1;
	}
	*choice_r = e.choice;
	return 0;
}
