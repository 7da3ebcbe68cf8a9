#include "filters/message/address.h"

#include <string.h>

#include "filters/message/encoded.h"
#include "filters/message/limits.h"
#include "filters/message/utf8.h"
#include "store/base/buf.h"

static bool
is_space(char c)
{
	return ascii_isblank(c) || c == '\r' || c == '\n';
}

/* RFC 5322 3.2.3 atext, RFC 6532 3.2. */
static bool
is_atext(char c)
{
	return ascii_isalnum(c) || (unsigned char)c >= 0x80 ||
	    (c && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

/* --- scanning: each takes what it is named after from the front of *s --- */

/* Behind the quoted string or literal that begins s; s.n when it does not
 * end. */
static size_t
quoted_length(struct str s)
{
	for (size_t i = 1; i < s.n; i++) {
		if (s.p[i] == '\\')
			i++;
		else if (s.p[i] == '"')
			return i + 1;
	}
	return s.n;
}

/* Behind the comment that begins s, or -1 when it does not end. */
static ptrdiff_t
comment_end(struct str s)
{
	size_t depth = 0;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\\')
			i++;
		else if (s.p[i] == '(' && depth < ADDRESS_COMMENT_DEPTH)
			depth++;
		else if (s.p[i] == ')' && --depth == 0)
			return (ptrdiff_t)i + 1;
	}
	return -1;
}

static size_t
comment_length(struct str s)
{
	ptrdiff_t end = comment_end(s);

	return end < 0 ? s.n : (size_t)end;
}

static size_t
literal_length(struct str s)
{
	for (size_t i = 1; i < s.n; i++) {
		if (s.p[i] == '\\')
			i++;
		else if (s.p[i] == ']')
			return i + 1;
	}
	return s.n;
}

/* Blanks, folds and comments; the last comment's inside into *comment. */
static void
skip_cfws(struct str *s, struct str *comment)
{
	while (s->n) {
		if (is_space(s->p[0])) {
			*s = str_sub(*s, 1, s->n);
		} else if (s->p[0] == '(') {
			size_t n = comment_length(*s);

			if (comment && n > 2 && s->p[n - 1] == ')')
				*comment = str_sub(*s, 1, n - 2);
			*s = str_sub(*s, n, s->n);
		} else {
			break;
		}
	}
}

static size_t
atom_length(struct str s)
{
	size_t n = 0;

	while (n < s.n && is_atext(s.p[n]))
		n++;
	return n;
}

/* Appends the inside of a quoted string, backslashes and folds gone. False
 * when it does not end. */
static bool
add_unquoted(struct str quoted, struct buf *out)
{
	if (quoted.n < 2 || quoted.p[quoted.n - 1] != '"')
		return false;
	for (size_t i = 1; i + 1 < quoted.n; i++) {
		char c = quoted.p[i];

		if (c == '\r' || c == '\n')
			continue;
		if (c == '\\') {
			if (i + 2 >= quoted.n)
				return false;	/* the quote was escaped */
			c = quoted.p[++i];
		}
		(void)buf_addc(out, c);
	}
	return true;
}

/* --- parts --- */

struct parser {
	struct arena *arena;
	struct buf b;		/* scratch */
	struct address_list *out;
	size_t room;
	bool in_group;
};

static struct str
keep(struct parser *p, struct str s)
{
	struct str copy;

	/* Everything that leaves is UTF-8. */
	if (!utf8_valid(s)) {
		struct buf fixed;

		buf_init(&fixed, s.n * 3);
		(void)utf8_add_fixed(&fixed, s);
		copy = arena_copy(p->arena, buf_str(&fixed));
		buf_release(&fixed);
	} else {
		copy = arena_copy(p->arena, s);
	}
	if (!copy.p)
		p->out->cut = true;
	return copy;
}

/* A phrase, or the inside of a comment, as people read it. */
static struct str
phrase(struct parser *p, struct str s)
{
	struct buf text;
	struct str r;

	buf_reset(&p->b);
	for (;;) {
		size_t n;
		bool gap = s.n && (is_space(s.p[0]) || s.p[0] == '(');

		skip_cfws(&s, NULL);
		if (s.n == 0)
			break;
		if (gap && p->b.n)
			(void)buf_addc(&p->b, ' ');
		if (s.p[0] == '"') {
			n = quoted_length(s);
			if (!add_unquoted(str_sub(s, 0, n), &p->b))
				(void)buf_adds(&p->b, str_sub(s, 1, n - 1));
		} else {
			n = atom_length(s);
			if (n == 0)
				n = 1;
			(void)buf_adds(&p->b, str_sub(s, 0, n));
		}
		s = str_sub(s, n, s.n);
	}
	r = str_trim(buf_str(&p->b));
	if (!encoded_needed(r))
		return keep(p, r);
	buf_init(&text, r.n * 3);
	(void)encoded_decode(r, &text);
	r = keep(p, str_trim(buf_str(&text)));
	buf_release(&text);
	return r;
}

static struct str
comment_text(struct parser *p, struct str s)
{
	struct buf text;
	struct str r;

	buf_reset(&p->b);
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\\' && i + 1 < s.n)
			i++;
		if (s.p[i] != '\r' && s.p[i] != '\n')
			(void)buf_addc(&p->b, s.p[i]);
	}
	r = str_trim(buf_str(&p->b));
	if (!encoded_needed(r))
		return keep(p, r);
	buf_init(&text, r.n * 3);
	(void)encoded_decode(r, &text);
	r = keep(p, str_trim(buf_str(&text)));
	buf_release(&text);
	return r;
}

/* Is this local part a dot-atom, which needs no quotes? */
static bool
is_dot_atom(struct str s)
{
	bool dot = true;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '.' ? dot : !is_atext(s.p[i]))
			return false;
		dot = s.p[i] == '.';
	}
	return !dot;
}

static struct str
make_spec(struct parser *p, struct str local, struct str domain)
{
	bool bare = is_dot_atom(local);

	buf_reset(&p->b);
	if (!bare)
		(void)buf_addc(&p->b, '"');
	for (size_t i = 0; i < local.n; i++) {
		if (!bare && (local.p[i] == '"' || local.p[i] == '\\'))
			(void)buf_addc(&p->b, '\\');
		(void)buf_addc(&p->b, local.p[i]);
	}
	if (!bare)
		(void)buf_addc(&p->b, '"');
	if (domain.p) {
		(void)buf_addc(&p->b, '@');
		(void)buf_adds(&p->b, domain);
	}
	return keep(p, buf_str(&p->b));
}

/* Words and dots up to something else into the scratch buffer. False when a
 * quoted string does not end, or two words stand without a dot between. */
static bool
take_local(struct parser *p, struct str *s, struct str *comment)
{
	bool word = false, any = false;

	for (;; skip_cfws(s, comment)) {
		size_t n;

		if (s->n == 0)
			return any;
		if (s->p[0] == '.') {
			(void)buf_addc(&p->b, '.');
			*s = str_sub(*s, 1, s->n);
			word = false;
			any = true;
			continue;
		}
		n = s->p[0] == '"' ? quoted_length(*s) : atom_length(*s);
		if (n == 0)
			return any;
		if (word)
			return false;
		if (s->p[0] == '"') {
			if (!add_unquoted(str_sub(*s, 0, n), &p->b))
				return false;
		} else {
			(void)buf_adds(&p->b, str_sub(*s, 0, n));
		}
		*s = str_sub(*s, n, s->n);
		word = any = true;
	}
}

/* A domain: labels and dots, or a literal. */
static bool
take_domain(struct parser *p, struct str *s, struct str *comment)
{
	bool label = false;
	struct str rest;

	skip_cfws(s, comment);
	if (s->n && s->p[0] == '[') {
		size_t n = literal_length(*s), before = p->b.n;

		if (s->p[n - 1] != ']')
			return false;
		for (size_t i = 0; i < n; i++) {
			bool space = is_space(s->p[i]);

			if (ascii_iscntrl(s->p[i]) && !space)
				return false;
			/* A backslash whose blank were left out would quote
			 * what comes next. */
			if (space && i && s->p[i - 1] == '\\')
				return false;
			if (!space)
				(void)buf_addc(&p->b, s->p[i]);
		}
		*s = str_sub(*s, n, s->n);
		return p->b.n - before > 2;
	}
	for (rest = *s;; skip_cfws(&rest, comment)) {
		size_t n;

		n = atom_length(rest);
		if (n && !label) {
			(void)buf_adds(&p->b, str_sub(rest, 0, n));
			rest = str_sub(rest, n, rest.n);
			*s = rest;
			label = true;
		} else if (label && rest.n && rest.p[0] == '.') {
			(void)buf_addc(&p->b, '.');
			rest = str_sub(rest, 1, rest.n);
			*s = rest;
			label = false;
		} else {
			return label;
		}
	}
}

/* "<@a,@b:", the obsolete route (RFC 5322 4.4). */
static bool
skip_route(struct str *s)
{
	struct str t = *s;

	skip_cfws(&t, NULL);
	if (t.n == 0 || t.p[0] != '@')
		return true;
	while (t.n && t.p[0] != ':') {
		if (t.p[0] == '(')
			t = str_sub(t, comment_length(t), t.n);
		else if (t.p[0] == '[')
			t = str_sub(t, literal_length(t), t.n);
		else if (is_atext(t.p[0]) || is_space(t.p[0]) ||
		    strchr("@,.", t.p[0] ? t.p[0] : ':'))
			t = str_sub(t, 1, t.n);
		else
			return false;
	}
	if (t.n == 0)
		return false;
	*s = str_sub(t, 1, t.n);
	return true;
}

/* addr-spec at the front of *s: local part, domain if any. */
static bool
take_spec(struct parser *p, struct str *s, struct address *a_r,
    struct str *comment)
{
	struct address a = *a_r;
	struct str domain;

	buf_reset(&p->b);
	skip_cfws(s, comment);
	if (!take_local(p, s, comment))
		return false;
	a.local = keep(p, buf_str(&p->b));
	a.kind = ADDRESS_NO_DOMAIN;
	a.domain = (struct str){ NULL, 0 };
	if (s->n && s->p[0] == '@') {
		*s = str_sub(*s, 1, s->n);
		buf_reset(&p->b);
		if (!take_domain(p, s, comment) || a.local.n == 0)
			return false;
		a.domain = keep(p, buf_str(&p->b));
		a.kind = ADDRESS_MAILBOX;
	}
	/* Controls, which only a quoted string can bring, are no address:
	 * a line break must not travel into an envelope. */
	for (size_t i = 0; i < a.local.n; i++)
		if (ascii_iscntrl(a.local.p[i]) && a.local.p[i] != '\t')
			return false;
	domain = a.domain;
	a.spec = make_spec(p, a.local, domain);
	if (!a.domain.p)
		a.domain = STR("");
	*a_r = a;
	return true;
}

/* --- the list --- */

static void
emit(struct parser *p, struct address a)
{
	struct address_list *l = p->out;

	/* Something of it could not be kept: it would be half an address. */
	if (l->cut)
		return;
	if (l->n == ADDRESS_LIST_MAX) {
		l->cut = true;
		return;
	}
	if (l->n == p->room) {
		size_t room = p->room ? p->room * 2 : 4;
		struct address *list = arena_array(p->arena, room,
		    sizeof(*list));

		if (!list) {
			l->cut = true;
			return;
		}
		if (l->n)
			memcpy(list, l->list, l->n * sizeof(*list));
		l->list = list;
		p->room = room;
	}
	if (a.kind == ADDRESS_INVALID)
		l->invalid = true;
	l->list[l->n++] = a;
}

/* Where an entry ends, and what stands in it outside quotes. */
struct extent {
	size_t end;		/* at the separator, or the end */
	ptrdiff_t angle;	/* first "<", or -1 */
	ptrdiff_t angle_end;	/* its ">", or -1 */
	ptrdiff_t colon;	/* ":" of a group's name: the entry ends */
};

static struct extent
measure(struct str s)
{
	struct extent e = { s.n, -1, -1, -1 };
	bool at = false, route = false;
	size_t i = 0;

	while (i < s.n) {
		char c = s.p[i];
		bool inside = e.angle >= 0 && e.angle_end < 0;

		if (c == '"') {
			i += quoted_length(str_sub(s, i, s.n));
			continue;
		}
		if (c == '(') {
			i += comment_length(str_sub(s, i, s.n));
			continue;
		}
		if (c == '[') {
			i += literal_length(str_sub(s, i, s.n));
			continue;
		}
		if (c == '<' && e.angle < 0) {
			struct str t = str_sub(s, i + 1, s.n);

			e.angle = (ptrdiff_t)i;
			skip_cfws(&t, NULL);
			route = t.n && t.p[0] == '@';
		} else if (c == '>' && inside) {
			e.angle_end = (ptrdiff_t)i;
		} else if (c == ':' && inside) {
			route = false;
		} else if (c == ':' && !at && e.angle < 0) {
			e.colon = (ptrdiff_t)i;
			e.end = i;
			break;
		} else if ((c == ',' || c == ';') && !(inside && route)) {
			e.end = i;
			break;
		} else if (c == '@') {
			at = true;
		}
		i++;
	}
	return e;
}

static void
parse_entry(struct parser *p, struct str s, const struct extent *e)
{
	struct address a = { .kind = ADDRESS_INVALID, .raw = str_trim(s),
	    .display = STR(""), .local = STR(""), .domain = STR(""),
	    .spec = STR("") };
	struct address got = a;
	struct str comment = { NULL, 0 };

	if (e->angle >= 0) {
		struct str in = str_sub(s, (size_t)e->angle + 1,
		    (size_t)(e->angle_end - e->angle) - 1);

		if (e->angle_end < 0)
			goto invalid;
		skip_cfws(&in, NULL);
		if (in.n == 0) {
			got.kind = ADDRESS_NULL;
		} else {
			if (!skip_route(&in) ||
			    !take_spec(p, &in, &got, &comment))
				goto invalid;
			skip_cfws(&in, &comment);
			if (in.n)
				goto invalid;
		}
		got.display = phrase(p, str_sub(s, 0, (size_t)e->angle));
		if (got.display.n == 0 && comment.n)
			got.display = comment_text(p, comment);
		emit(p, got);
		return;
	}
	if (!take_spec(p, &s, &got, &comment))
		goto invalid;
	skip_cfws(&s, &comment);
	/* "fred@example.com and more": what is whole is taken, as every
	 * reader of mail does; words without an @ are no address. */
	if (s.n && got.kind != ADDRESS_MAILBOX)
		goto invalid;
	if (comment.n)
		got.display = comment_text(p, comment);
	emit(p, got);
	return;
invalid:
	emit(p, a);
}

void
address_list(struct arena *a, struct str value, struct address_list *list_r)
{
	struct parser p = { .arena = a, .out = list_r };
	struct str s = str_sub(value, 0, HEADER_VALUE_MAX);
	struct address mark = { .display = STR(""), .local = STR(""),
	    .domain = STR(""), .spec = STR("") };

	*list_r = (struct address_list){ .n = 0 };
	buf_init(&p.b, (size_t)HEADER_VALUE_MAX * 2);
	while (s.n && !list_r->cut && list_r->n < ADDRESS_LIST_MAX) {
		struct extent e;
		struct str entry, left;

		e = measure(s);
		entry = str_sub(s, 0, e.end);
		left = entry;
		skip_cfws(&left, NULL);
		if (e.colon >= 0) {
			mark.kind = ADDRESS_GROUP;
			mark.display = phrase(&p, entry);
			mark.raw = str_trim(entry);
			emit(&p, mark);
			p.in_group = true;
		} else if (left.n) {
			parse_entry(&p, entry, &e);
		}
		if (p.in_group && e.colon < 0 &&
		    (e.end == s.n || s.p[e.end] == ';')) {
			mark.kind = ADDRESS_GROUP_END;
			mark.display = mark.raw = STR("");
			emit(&p, mark);
			p.in_group = false;
		}
		s = str_sub(s, e.end + (e.end < s.n), s.n);
	}
	if (s.n || value.n > HEADER_VALUE_MAX)
		list_r->cut = true;
	buf_release(&p.b);
}

/* --- single addresses, strictly --- */

static bool
all_digits(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_isdigit(s.p[i]))
			return false;
	return s.n > 0;
}

static bool
is_ipv4(struct str s)
{
	struct str part;
	unsigned n = 0;

	while (str_split(&s, '.', &part)) {
		if (++n > 4 || part.n > 3 || !all_digits(part) ||
		    (part.n == 3 && str_cmp(part, STR("255")) > 0))
			return false;
	}
	return n == 4;
}

static const char *
judge_literal(struct str s)
{
	struct str in = str_sub(s, 1, s.n - 2);

	if (is_ipv4(in))
		return NULL;
	if (str_casestarts(in, STR("IPv6:")) && in.n > 6) {
		in = str_sub(in, 5, in.n);
		for (size_t i = 0; i < in.n; i++) {
			char c = ascii_lower(in.p[i]);

			if (!ascii_isdigit(c) && !(c >= 'a' && c <= 'f') &&
			    c != ':' && c != '.')
				return "domain literal is no IP address";
		}
		return NULL;
	}
	return "domain literal is no IP address";
}

static const char *
judge_domain(struct str s)
{
	struct str label;

	if (s.n == 0)
		return "address has no domain";
	if (s.p[0] == '[')
		return s.n > 2 && s.p[s.n - 1] == ']' ? judge_literal(s) :
		    "domain literal does not end";
	if (s.n > ADDRESS_DOMAIN_MAX)
		return "domain is too long";
	while (str_split(&s, '.', &label)) {
		if (label.n == 0)
			return "domain has an empty label";
		if (label.n > ADDRESS_LABEL_MAX)
			return "domain has a label of more than 63 bytes";
		if (label.p[0] == '-' || label.p[label.n - 1] == '-')
			return "domain has a label with a hyphen at its end";
		for (size_t i = 0; i < label.n; i++) {
			char c = label.p[i];

			/* An underscore is in no host name, but in names that
			 * do get mail. */
			if (!ascii_isalnum(c) && c != '-' && c != '_' &&
			    (unsigned char)c < 0x80)
				return "domain has a character that is not "
				    "allowed";
		}
	}
	return NULL;
}

/* Takes the local part and the @ from the front of *s, with blanks around
 * the @. Dots may stand anywhere: Japanese providers gave such addresses to
 * their customers. make_spec() quotes them. */
static const char *
strict_local(struct str *s, struct buf *local)
{
	struct str rest;

	if (s->n && s->p[0] == '"') {
		size_t n = quoted_length(*s);

		if (!add_unquoted(str_sub(*s, 0, n), local))
			return "quoted string does not end";
		if (local->n == 0)
			return "local part is empty";
		*s = str_sub(*s, n, s->n);
	} else {
		size_t n = 0;

		while (n < s->n && (is_atext(s->p[n]) || s->p[n] == '.'))
			n++;
		if (n == 0)
			return "local part is empty";
		(void)buf_adds(local, str_sub(*s, 0, n));
		*s = str_sub(*s, n, s->n);
	}
	if (s->n == 0)
		return "address has no domain";
	rest = str_trim(*s);
	if (rest.n == 0 || rest.p[0] != '@')
		return is_space(s->p[0]) ? "address has a space in it" :
		    "local part has a character that is not allowed";
	*s = str_trim(str_sub(rest, 1, rest.n));
	return NULL;
}

/* A name in front of "<": atoms, quoted strings, blanks; lenient about dots
 * and 8-bit bytes only. */
static const char *
judge_name(struct str s)
{
	while (s.n) {
		size_t n;

		if (is_space(s.p[0]) || s.p[0] == '.')
			n = 1;
		else if (s.p[0] == '"')
			n = quoted_length(s);
		else
			n = atom_length(s);
		if (n == 0)
			return "display name has a character that needs quotes";
		if (s.p[0] == '"' && (n < 2 || s.p[n - 1] != '"'))
			return "quoted string does not end";
		s = str_sub(s, n, s.n);
	}
	return NULL;
}

/* Puts a blank for each comment; those within quotes are none. */
static const char *
blank_comments(struct parser *p, struct str *s)
{
	struct str rest = *s;

	if (str_chr(rest, '(') < 0)
		return NULL;
	buf_reset(&p->b);
	while (rest.n) {
		size_t n = 1;

		if (rest.p[0] == '(') {
			ptrdiff_t end = comment_end(rest);

			if (end < 0)
				return "comment does not end";
			n = (size_t)end;
			(void)buf_addc(&p->b, ' ');
		} else {
			if (rest.p[0] == '"')
				n = quoted_length(rest);
			(void)buf_adds(&p->b, str_sub(rest, 0, n));
		}
		rest = str_sub(rest, n, rest.n);
	}
	*s = str_trim(keep(p, buf_str(&p->b)));
	return NULL;
}

int
address_parse(struct arena *a, struct str text, enum address_form form,
    struct address *address_r, const char **why_r)
{
	struct address_list dummy = { .n = 0 };
	struct parser p = { .arena = a, .out = &dummy };
	struct str s = str_trim(text);
	struct extent e;
	struct address got = { .kind = ADDRESS_MAILBOX, .raw = s,
	    .display = STR("") };
	const char *why;
	int r = -1;

	buf_init(&p.b, (size_t)HEADER_VALUE_MAX * 2);
	why = "address is empty";
	if (s.n == 0)
		goto out;
	why = "address is too long";
	if (s.n > HEADER_NAME_MAX)
		goto out;
	why = "address is not UTF-8";
	if (!utf8_valid(s))
		goto out;
	why = "address has a control character";
	for (size_t i = 0; i < s.n; i++)
		if (ascii_iscntrl(s.p[i]) && s.p[i] != '\t')
			goto out;
	if (form == ADDRESS_NAMED) {
		why = blank_comments(&p, &s);
		if (why)
			goto out;
		why = "address is empty";
		if (s.n == 0)
			goto out;
	}
	e = measure(s);
	if (form == ADDRESS_NAMED && e.angle >= 0) {
		why = "address has no closing >";
		if (e.angle_end < 0)
			goto out;
		why = "something follows the address";
		if ((size_t)e.angle_end + 1 != s.n)
			goto out;
		why = judge_name(str_sub(s, 0, (size_t)e.angle));
		if (why)
			goto out;
		got.display = phrase(&p, str_sub(s, 0, (size_t)e.angle));
		s = str_trim(str_sub(s, (size_t)e.angle + 1,
		    (size_t)(e.angle_end - e.angle) - 1));
		why = "address is empty";
		if (s.n == 0)
			goto out;
	}
	buf_reset(&p.b);
	why = strict_local(&s, &p.b);
	if (why)
		goto out;
	got.local = keep(&p, buf_str(&p.b));
	why = judge_domain(s);
	if (why)
		goto out;
	got.domain = keep(&p, s);
	got.spec = make_spec(&p, got.local, got.domain);
	why = "address is too long";
	if (got.spec.n > ADDRESS_SPEC_MAX || dummy.cut)
		goto out;
	*address_r = got;
	r = 0;
out:
	if (r < 0)
		*why_r = why;
	buf_release(&p.b);
	return r;
}

int
address_parse_path(struct arena *a, struct str text,
    struct address *address_r, const char **why_r)
{
	struct address_list dummy = { .n = 0 };
	struct parser p = { .arena = a, .out = &dummy };
	struct str s = str_trim(text);
	struct address got = { .raw = s, .display = STR(""), .local = STR(""),
	    .domain = STR(""), .spec = STR("") };
	const char *why = "address has a control character";
	int r = -1;

	buf_init(&p.b, (size_t)HEADER_VALUE_MAX * 2);
	for (size_t i = 0; i < s.n; i++)
		if (ascii_iscntrl(s.p[i]))
			goto out;
	why = "address is too long";
	if (s.n > HEADER_NAME_MAX)
		goto out;
	why = "address has no closing >";
	if (s.n && s.p[0] == '<') {
		if (s.p[s.n - 1] != '>')
			goto out;
		s = str_trim(str_sub(s, 1, s.n - 2));
	}
	if (s.n == 0) {
		got.kind = ADDRESS_NULL;
	} else {
		why = "route does not end";
		if (!skip_route(&s))
			goto out;
		why = "address cannot be understood";
		if (!take_spec(&p, &s, &got, NULL) || s.n || dummy.cut)
			goto out;
	}
	*address_r = got;
	r = 0;
out:
	if (r < 0)
		*why_r = why;
	buf_release(&p.b);
	return r;
}

bool
address_same(const struct address *a, const struct address *b)
{
	return a->kind == b->kind && str_caseeq(a->local, b->local) &&
	    str_caseeq(a->domain, b->domain);
}
