#include "filters/message/mime.h"

#include <string.h>

#include "filters/message/charset.h"
#include "filters/message/encoded.h"
#include "filters/message/html.h"
#include "filters/message/limits.h"
#include "filters/message/utf8.h"

static bool
is_space(char c)
{
	return ascii_isblank(c) || c == '\r' || c == '\n';
}

/* --- values with parameters --- */

/* One "name*N*=value" as it stands there. */
struct section {
	struct str name;	/* base, lower case */
	int number;		/* N, or -1 */
	bool extended;		/* the last star: percent-encoded */
	struct str value;	/* unquoted */
	bool used;
};

/* Blanks, folds and comments at the front. */
static struct str
skip_cfws(struct str s)
{
	size_t depth = 0, i;

	for (i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (c == '\\' && depth)
			i++;
		else if (c == '(')
			depth++;
		else if (c == ')' && depth)
			depth--;
		else if (!depth && !is_space(c))
			break;
	}
	return str_sub(s, i, s.n);
}

/* What could not be had from the arena is empty, and *cut tells. */
static struct str
nothing(bool *cut)
{
	*cut = true;
	return STR("");
}

/* s without blanks; s itself when it has none. */
static struct str
without_blanks(struct arena *a, struct str s, bool *cut)
{
	size_t i, n;
	char *p;

	for (n = 0; n < s.n && !is_space(s.p[n]); n++)
		;
	if (n == s.n)
		return s;
	p = arena_alloc(a, s.n);
	if (!p)
		return nothing(cut);
	memcpy(p, s.p, n);
	for (i = n; i < s.n; i++)
		if (!is_space(s.p[i]))
			p[n++] = s.p[i];
	return str_mem(p, n);
}

static struct str
lower_copy(struct arena *a, struct str s, bool *cut)
{
	char *p = arena_alloc(a, s.n + 1);

	if (!p)
		return nothing(cut);
	for (size_t i = 0; i < s.n; i++)
		p[i] = ascii_lower(s.p[i]);
	return str_mem(p, s.n);
}

/* The inside of the quoted string at the front of *s, which moves behind it;
 * one that does not end goes to the end. */
static struct str
take_quoted(struct arena *a, struct str *s, bool *cut)
{
	size_t i, n = 0;
	bool plain = true;
	char *p;

	for (i = 1; i < s->n && s->p[i] != '"'; i++)
		if (s->p[i] == '\\' || s->p[i] == '\r' || s->p[i] == '\n') {
			plain = false;
			i += s->p[i] == '\\';
		}
	if (i > s->n)
		i = s->n;
	if (plain) {
		struct str in = str_sub(*s, 1, i - 1);

		*s = str_sub(*s, i + 1, s->n);
		return in;
	}
	p = arena_alloc(a, i);
	for (size_t k = 1; p && k < i; k++) {
		if (s->p[k] == '\r' || s->p[k] == '\n')
			continue;
		if (s->p[k] == '\\' && k + 1 < i)
			k++;
		p[n++] = s->p[k];
	}
	*s = str_sub(*s, i + 1, s->n);
	return p ? str_mem(p, n) : nothing(cut);
}

/* An unquoted value: to the semicolon. Blanks within belong to it (file names
 * that somebody forgot to quote), a comment behind a blank does not. */
static struct str
take_bare(struct str *s)
{
	size_t n = 0;
	struct str v;

	while (n < s->n && s->p[n] != ';' &&
	    !(s->p[n] == '(' && n && is_space(s->p[n - 1])))
		n++;
	v = str_trim(str_sub(*s, 0, n));
	*s = str_sub(*s, n, s->n);
	return v;
}

/* "name*0*" into its pieces. */
static void
split_name(struct section *x)
{
	ptrdiff_t star;
	int number = 0;

	x->number = -1;
	if (str_ends(x->name, STR("*"))) {
		x->extended = true;
		x->name.n--;
	}
	star = str_rchr(x->name, '*');
	if (star < 0 || x->name.n - (size_t)star > 4 ||
	    (size_t)star + 1 == x->name.n)
		return;
	for (size_t i = (size_t)star + 1; i < x->name.n; i++) {
		if (!ascii_isdigit(x->name.p[i]))
			return;
		number = number * 10 + (x->name.p[i] - '0');
	}
	x->number = number;
	x->name.n = (size_t)star;
}

static size_t
take_sections(struct arena *a, struct str s, struct section *list,
    bool *cut)
{
	size_t n = 0;

	for (;;) {
		struct section x = { .number = -1 };
		size_t k;

		s = skip_cfws(s);
		if (s.n == 0)
			return n;
		if (s.p[0] == ';') {
			s = str_sub(s, 1, s.n);
			continue;
		}
		for (k = 0; k < s.n && s.p[k] != '=' && s.p[k] != ';' &&
		    s.p[k] != '"'; k++)
			;
		if (k < s.n && s.p[k] == '"') {
			/* A quoted string where a name is wanted. */
			s = str_sub(s, k, s.n);
			(void)take_quoted(a, &s, cut);
			continue;
		}
		if (k == s.n || s.p[k] == ';') {
			s = str_sub(s, k, s.n);
			continue;
		}
		if (n == MIME_PARAMS_MAX) {
			*cut = true;
			return n;
		}
		x.name = lower_copy(a, without_blanks(a, str_sub(s, 0, k),
		    cut), cut);
		s = skip_cfws(str_sub(s, k + 1, s.n));
		if (s.n && s.p[0] == '"')
			x.value = take_quoted(a, &s, cut);
		else
			x.value = take_bare(&s);
		split_name(&x);
		if (x.name.n)
			list[n++] = x;
	}
}

/* Takes charset'language' from the front of an extended value. */
static struct str
take_charset(struct str *v)
{
	ptrdiff_t one = str_chr(*v, '\''), two;
	struct str charset;

	if (one < 0)
		return STR("");
	charset = str_sub(*v, 0, (size_t)one);
	two = str_chr(str_sub(*v, (size_t)one + 1, v->n), '\'');
	if (two < 0)
		return STR("");
	*v = str_sub(*v, (size_t)one + 1 + (size_t)two + 1, v->n);
	return charset;
}

/* Converts the gathered bytes to what may be shown: UTF-8 without controls
 * that break lines. */
static struct str
finish_value(struct arena *a, struct str charset, bool words, struct buf *raw,
    bool *cut)
{
	struct buf text;
	struct str r;

	buf_init(&text, raw->n * 3 + 3);
	if (words)
		(void)encoded_decode(buf_str(raw), &text);
	else
		(void)charset_to_utf8(charset, buf_str(raw), &text);
	r = arena_copy(a, buf_str(&text));
	buf_release(&text);
	return r.p ? r : nothing(cut);
}

/* The value of the parameter that list[i] begins: its extended form before
 * its continued, that before its plain form (RFC 2231, RFC 6266 4.3). */
static struct str
join(struct arena *a, struct section *list, size_t n, size_t i, bool *cut)
{
	struct str name = list[i].name, charset = STR("");
	struct section *plain = NULL, *whole = NULL;
	struct section *numbered[MIME_PARAMS_MAX] = { NULL };
	struct buf raw;
	size_t size = 0;
	bool words = false;
	struct str r;

	for (size_t k = i; k < n; k++) {
		struct section *x = &list[k];

		if (x->used || !str_eq(x->name, name))
			continue;
		x->used = true;
		size += x->value.n;
		if (x->number < 0) {
			struct section **to = x->extended ? &whole : &plain;

			if (!*to)
				*to = x;
		} else if ((unsigned)x->number < MIME_PARAMS_MAX &&
		    !numbered[x->number]) {
			numbered[x->number] = x;
		}
	}
	if (!whole && !numbered[0] && plain && !encoded_needed(plain->value))
		return plain->value;
	buf_init(&raw, size);
	if (whole) {
		struct str v = whole->value;

		charset = take_charset(&v);
		(void)buf_add_percent(&raw, v);
	} else if (numbered[0]) {
		struct str v = numbered[0]->value;

		words = !numbered[0]->extended;
		if (!words)
			charset = take_charset(&v);
		for (unsigned k = 0;;) {
			if (numbered[k]->extended)
				(void)buf_add_percent(&raw, v);
			else
				(void)buf_adds(&raw, v);
			if (++k == MIME_PARAMS_MAX || !numbered[k])
				break;
			v = numbered[k]->value;
		}
	} else if (plain) {
		words = true;
		(void)buf_adds(&raw, plain->value);
	}
	r = finish_value(a, charset, words, &raw, cut);
	buf_release(&raw);
	return r;
}

void
mime_value_parse(struct arena *a, struct str raw, struct mime_value *v_r)
{
	struct section list[MIME_PARAMS_MAX];
	struct mime_value v = { .value = STR(""), .type = STR(""),
	    .subtype = STR(""), .written = STR("") };
	struct str s, word;
	size_t n = 0, k;
	ptrdiff_t slash;

	v.cut = raw.n > HEADER_VALUE_MAX;
	s = skip_cfws(str_sub(raw, 0, HEADER_VALUE_MAX));
	/* Up to the semicolon; a comment ends the word, "(" cannot be in it. */
	for (k = 0; k < s.n && s.p[k] != ';' && s.p[k] != '('; k++)
		;
	word = str_sub(s, 0, k);
	s = str_sub(s, k, s.n);
	if (s.n && s.p[0] == '(') {
		struct str rest = skip_cfws(s);

		/* "text (c) / plain": the rest belongs to it, too. */
		if (rest.n && rest.p[0] != ';' && str_chr(word, '/') < 0) {
			struct buf b;

			buf_init(&b, HEADER_VALUE_MAX);
			(void)buf_adds(&b, word);
			while (rest.n && rest.p[0] != ';') {
				if (rest.p[0] == '(') {
					rest = skip_cfws(rest);
					continue;
				}
				(void)buf_addc(&b, rest.p[0]);
				rest = str_sub(rest, 1, rest.n);
			}
			word = arena_copy(a, buf_str(&b));
			if (!word.p)
				word = nothing(&v.cut);
			buf_release(&b);
		}
		k = 0;
		while (k < rest.n && rest.p[k] != ';')
			k++;
		s = str_sub(rest, k, rest.n);
	}
	v.written = without_blanks(a, word, &v.cut);
	v.value = lower_copy(a, v.written, &v.cut);
	slash = str_chr(v.value, '/');
	v.type = slash < 0 ? v.value : str_sub(v.value, 0, (size_t)slash);
	if (slash >= 0)
		v.subtype = str_sub(v.value, (size_t)slash + 1, v.value.n);
	if (s.n > 1)
		n = take_sections(a, s, list, &v.cut);
	if (n)
		v.params = arena_array(a, n, sizeof(*v.params));
	if (n && !v.params)
		v.cut = true;
	for (size_t i = 0; v.params && i < n; i++) {
		struct str name = list[i].name;

		if (!list[i].used)
			v.params[v.n_params++] = (struct mime_param){
				.name = name,
				.value = join(a, list, n, i, &v.cut),
			};
	}
	*v_r = v;
}

struct str
mime_param(const struct mime_value *v, struct str name)
{
	for (size_t i = 0; i < v->n_params; i++)
		if (str_caseeq(v->params[i].name, name))
			return v->params[i].value;
	return (struct str){ NULL, 0 };
}

/* --- the tree --- */

struct level {
	struct mime_part *part;
	struct str boundary;
	bool begun;		/* its first boundary was there */
};

#define SEEN 1024

struct walk {
	struct arena *arena;
	struct str bytes;
	struct header *header;	/* of the message: told when memory ends */
	struct mime_tree *tree;
	struct level levels[MIME_DEPTH_MAX];
	uint32_t hashes[MIME_DEPTH_MAX];	/* of their boundaries */
	uint8_t seen[SEEN];	/* how many of them are this modulo SEEN */
	size_t n_levels;
	struct mime_part *open;	/* innermost part not closed */
};

static size_t
offset(const struct walk *w, struct str s)
{
	return (size_t)(s.p - w->bytes.p);
}

/* Reads the fields that matter into p. */
static void
read_fields(struct walk *w, struct mime_part *p)
{
	bool digest = p->parent && p->parent->kind == MIME_MULTIPART &&
	    mime_is(p->parent, STR("multipart"), STR("digest"));
	struct field *f = header_find(p->header, STR("content-type"));
	struct mime_value v;

	p->type = (struct mime_value){ .value = STR("text/plain"),
	    .type = STR("text"), .subtype = STR("plain") };
	if (digest)
		p->type = (struct mime_value){ .value = STR("message/rfc822"),
		    .type = STR("message"), .subtype = STR("rfc822") };
	if (f) {
		mime_value_parse(w->arena, f->value, &v);
		if (v.type.n && v.subtype.n) {
			p->type = v;
			p->type_given = true;
		} else {
			p->type.cut = v.cut;
			/* RFC 2045 5.2: what cannot be read counts as absent,
			 * but its name= is still the only name there is. */
			p->type.params = v.params;
			p->type.n_params = v.n_params;
		}
	}
	p->disposition.value = p->disposition.type =
	    p->disposition.subtype = STR("");
	f = header_find(p->header, STR("content-disposition"));
	if (f)
		mime_value_parse(w->arena, f->value, &p->disposition);
	f = header_find(p->header, STR("content-transfer-encoding"));
	if (f) {
		mime_value_parse(w->arena, f->value, &v);
		p->encoding = transfer_named(v.value);
	}
	f = header_find(p->header, STR("content-id"));
	p->id = f ? field_value(p->header, f) : STR("");
	if (p->id.n > 1 && p->id.p[0] == '<' && p->id.p[p->id.n - 1] == '>')
		p->id = str_sub(p->id, 1, p->id.n - 2);
	if (p->type.cut || p->disposition.cut)
		w->tree->cut = true;
	p->filename = mime_param(&p->disposition, STR("filename"));
	if (!p->filename.p)
		p->filename = mime_param(&p->type, STR("name"));
	if (!p->filename.p)
		p->filename = STR("");
}

/* Where the line at `at` ends; *next_r is behind its line end. */
static size_t
line_end(struct str s, size_t at, size_t *next_r)
{
	ptrdiff_t n = str_chr(str_sub(s, at, s.n), '\n');

	if (n < 0) {
		*next_r = s.n;
		return s.n - (s.n > at && s.p[s.n - 1] == '\r');
	}
	*next_r = at + (size_t)n + 1;
	if (n > 0 && s.p[at + (size_t)n - 1] == '\r')
		n--;
	return at + (size_t)n;
}

enum delimiter { DELIMITER_NONE, DELIMITER_NEXT, DELIMITER_LAST };

static uint32_t
boundary_hash(struct str s)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < s.n; i++)
		h = (h ^ (unsigned char)s.p[i]) * 16777619u;
	return h;
}

/*
 * Is the line (which begins with "--") a delimiter of an open multipart? Its
 * hash is looked at first: a body of dashes below a hundred boundaries must
 * not cost a hundred comparisons a line.
 */
static enum delimiter
match(const struct walk *w, struct str line, size_t *level_r)
{
	struct str last = STR("");
	uint32_t whole, cut = 0;

	while (line.n && is_space(line.p[line.n - 1]))
		line.n--;
	line = str_sub(line, 2, line.n);
	if (line.n == 0 || line.n > MIME_BOUNDARY_MAX + 2)
		return DELIMITER_NONE;
	whole = boundary_hash(line);
	if (line.n > 2 && str_ends(line, STR("--"))) {
		last = str_sub(line, 0, line.n - 2);
		cut = boundary_hash(last);
	}
	if (!w->seen[whole % SEEN] && !(last.n && w->seen[cut % SEEN]))
		return DELIMITER_NONE;
	for (size_t i = w->n_levels; i--;) {
		struct str b = w->levels[i].boundary;

		if (w->hashes[i] == whole && str_eq(b, line)) {
			*level_r = i;
			return DELIMITER_NEXT;
		}
		if (last.n && w->hashes[i] == cut && str_eq(b, last)) {
			*level_r = i;
			return DELIMITER_LAST;
		}
	}
	return DELIMITER_NONE;
}

static void
cut_levels(struct walk *w, size_t n)
{
	while (w->n_levels > n)
		w->seen[w->hashes[--w->n_levels] % SEEN]--;
}

/* Ends p's body (and all of p) at `end`. */
static void
close_part(struct walk *w, struct mime_part *p, size_t end)
{
	size_t from = offset(w, p->raw), body = offset(w, p->body);

	p->raw = str_sub(w->bytes, from, end - from);
	p->body = str_sub(w->bytes, body, end - body);
	if (p->kind != MIME_MULTIPART)
		return;
	if (p->closed)
		p->epilogue = str_sub(w->bytes, offset(w, p->epilogue),
		    end > offset(w, p->epilogue) ?
		    end - offset(w, p->epilogue) : 0);
	else if (!p->child)
		p->preamble = p->body;
}

static struct mime_part *
new_part(struct walk *w, struct mime_part *parent)
{
	struct mime_part *p;

	if (w->tree->n_parts == MIME_PARTS_MAX) {
		w->tree->cut = true;
		return NULL;
	}
	p = arena_alloc(w->arena, sizeof(*p));
	if (p && parent)
		p->header = arena_alloc(w->arena, sizeof(*p->header));
	else if (p)
		p->header = w->header;
	if (!p || !p->header) {
		w->header->full = w->tree->cut = true;
		return NULL;
	}
	p->parent = parent;
	p->depth = parent ? parent->depth + 1 : 0;
	p->number = (unsigned)w->tree->n_parts++;
	return p;
}

/* Puts p below its parent, behind `before` (its last child so far). */
static void
attach(struct mime_part *p, struct mime_part *before)
{
	if (before)
		before->next = p;
	else
		p->parent->child = p;
}

/* Reads the header of a part that begins at `at`: to its empty line or to a
 * delimiter. Returns where the body begins. */
static size_t
read_header(struct walk *w, struct mime_part *p, size_t at)
{
	size_t start = at, level, next;
	struct str rest;

	while (at < w->bytes.n) {
		size_t end = line_end(w->bytes, at, &next);
		struct str line = str_sub(w->bytes, at, end - at);

		if (str_starts(line, STR("--")) &&
		    match(w, line, &level) != DELIMITER_NONE)
			break;
		at = next;
		if (line.n == 0)
			break;
	}
	rest = header_init(p->header, w->arena,
	    str_sub(w->bytes, start, at - start));
	if (p->header->full)
		w->header->full = true;
	(void)rest;	/* empty: the slice ends where the header does */
	p->raw = str_sub(w->bytes, start, 0);
	p->body = str_sub(w->bytes, at, 0);
	return at;
}

/*
 * p's header is known: is it a container? Opens what begins in it at once
 * (messages in messages). False when memory or the count ended.
 */
static bool
enter(struct walk *w, struct mime_part *p, size_t *at)
{
	for (;;) {
		struct mime_part *in;
		struct str boundary;

		read_fields(w, p);
		w->open = p;
		if (str_eq(p->type.type, STR("multipart"))) {
			boundary = mime_param(&p->type, STR("boundary"));
			while (boundary.n && is_space(boundary.p[boundary.n - 1]))
				boundary.n--;
			if (boundary.n == 0 || boundary.n > MIME_BOUNDARY_MAX)
				return true;
			if (p->depth + 1 >= MIME_DEPTH_MAX) {
				w->tree->cut = true;
				return true;
			}
			p->kind = MIME_MULTIPART;
			w->hashes[w->n_levels] = boundary_hash(boundary);
			w->seen[w->hashes[w->n_levels] % SEEN]++;
			w->levels[w->n_levels++] = (struct level){ p, boundary,
			    false };
			return true;
		}
		if (!mime_is(p, STR("message"), STR("rfc822")) &&
		    !mime_is(p, STR("message"), STR("global")))
			return true;
		if (p->encoding == TRANSFER_BASE64 || p->encoding == TRANSFER_QP)
			return true;
		if (p->depth + 1 >= MIME_DEPTH_MAX) {
			w->tree->cut = true;
			return true;
		}
		in = new_part(w, p);
		if (!in)
			return false;
		p->kind = MIME_MESSAGE;
		attach(in, NULL);
		*at = read_header(w, in, *at);
		p = in;
	}
}

/* Closes what is open below `container`; returns its child among that, which
 * is its last one. */
static struct mime_part *
close_below(struct walk *w, struct mime_part *container, size_t end)
{
	struct mime_part *last = NULL;

	while (w->open != container) {
		last = w->open;
		/* The empty line behind a header is the header's, even where
		 * it is also the line end that a delimiter claims. */
		if (end < offset(w, last->body))
			end = offset(w, last->body);
		close_part(w, last, end);
		w->open = last->parent;
	}
	return last;
}

/*
 * Where "\n--" stands, or -1. Encoded bodies have no hyphen, so these are looked
 * for, which is three times as fast as memmem(); one within a line sends us to
 * the next line's begin, so that a message of hyphens takes no longer.
 */
static ptrdiff_t
find_dashes(struct str s)
{
	size_t at = 1;

	while (at < s.n) {
		const char *p = memchr(s.p + at, '-', s.n - at);

		if (!p)
			break;
		at = (size_t)(p - s.p);
		if (s.p[at - 1] != '\n') {
			p = memchr(s.p + at, '\n', s.n - at);
			if (!p)
				break;
			at = (size_t)(p - s.p) + 1;
		}
		if (str_starts(str_sub(s, at, 2), STR("--")))
			return (ptrdiff_t)at - 1;
		/* A lone hyphen at a line's begin; or it begins otherwise. */
		if (at < s.n && s.p[at] == '-')
			at++;
	}
	return -1;
}

static void
follow(struct walk *w, size_t at)
{
	size_t line_start;

	while (w->n_levels) {
		struct str rest = str_sub(w->bytes, at, w->bytes.n), line;
		bool at_line = at == 0 || w->bytes.p[at - 1] == '\n';
		size_t next, end, level = 0;
		enum delimiter d;
		struct mime_part *in, *last;
		ptrdiff_t found;

		if (at_line && str_starts(rest, STR("--"))) {
			line_start = at;
		} else {
			found = find_dashes(rest);
			if (found < 0)
				return;
			line_start = at + (size_t)found + 1;
		}
		end = line_end(w->bytes, line_start, &next);
		line = str_sub(w->bytes, line_start, end - line_start);
		d = match(w, line, &level);
		if (d == DELIMITER_NONE) {
			at = next;
			continue;
		}
		/* The line end before it belongs to it (RFC 2046 5.1.1). */
		end = line_start;
		if (end && w->bytes.p[end - 1] == '\n') {
			end--;
			if (end && w->bytes.p[end - 1] == '\r')
				end--;
		}
		in = w->levels[level].part;
		cut_levels(w, level + 1);
		last = close_below(w, in, end);
		if (!w->levels[level].begun) {
			size_t body = offset(w, in->body);

			in->preamble = str_sub(w->bytes, body,
			    end > body ? end - body : 0);
			w->levels[level].begun = true;
		}
		at = next;
		if (d == DELIMITER_LAST) {
			in->closed = true;
			in->epilogue = str_sub(w->bytes, at, 0);
			cut_levels(w, level);
			continue;
		}
		in = new_part(w, in);
		if (!in)
			return;
		attach(in, last);
		at = read_header(w, in, at);
		if (!enter(w, in, &at))
			return;
	}
}

void
mime_parse(struct arena *a, struct str bytes, struct header *header,
    struct str body, struct mime_tree *tree_r)
{
	struct walk w = { .arena = a, .bytes = bytes, .header = header,
	    .tree = tree_r };
	struct mime_part *root;
	size_t at = bytes.n - body.n;

	*tree_r = (struct mime_tree){ .root = NULL };
	root = new_part(&w, NULL);
	if (!root)
		return;
	tree_r->root = root;
	root->raw = str_sub(bytes, 0, 0);
	root->body = str_sub(bytes, at, 0);
	if (enter(&w, root, &at))
		follow(&w, at);
	(void)close_below(&w, NULL, bytes.n);
}

struct mime_part *
mime_next(const struct mime_part *top, const struct mime_part *p)
{
	if (p->child)
		return p->child;
	while (p != top) {
		if (p->next)
			return p->next;
		p = p->parent;
	}
	return NULL;
}

bool
mime_is(const struct mime_part *p, struct str type, struct str subtype)
{
	return str_caseeq(p->type.type, type) &&
	    (subtype.n == 0 || str_caseeq(p->type.subtype, subtype));
}

/* --- bodies --- */

int
mime_decode(const struct mime_part *p, struct buf *out)
{
	return transfer_decode(p->kind == MIME_MULTIPART ? TRANSFER_IDENTITY :
	    p->encoding, p->body, out);
}

/* CRLF becomes LF behind `from`. */
static void
drop_cr(struct buf *b, size_t from)
{
	char *to = b->p + from, *p = b->p + from, *end = b->p + b->n;

	while (p < end) {
		char *cr = memchr(p, '\r', (size_t)(end - p));
		size_t n = (size_t)((cr ? cr : end) - p);

		memmove(to, p, n);
		to += n;
		p += n;
		if (!cr)
			break;
		if (p + 1 == end || p[1] != '\n')
			*to++ = '\r';
		p++;
	}
	buf_cut(b, (size_t)(to - b->p));
}

int
mime_decode_text(const struct mime_part *p, struct buf *out)
{
	struct str charset = mime_param(&p->type, STR("charset"));
	struct buf raw;
	size_t from = out->n;
	int r = 0;

	buf_init(&raw, out->max);
	if (p->encoding == TRANSFER_BASE64 || p->encoding == TRANSFER_QP) {
		r = mime_decode(p, &raw);
		(void)charset_to_utf8(charset, buf_str(&raw), out);
	} else {
		(void)charset_to_utf8(charset, str_sub(p->body, 0, out->max),
		    out);
		r = p->body.n > out->max ? -1 : 0;
	}
	if (out->full)
		r = -1;
	drop_cr(out, from);
	buf_release(&raw);
	return r;
}

int
mime_extract_text(const struct mime_part *p, struct buf *out)
{
	struct buf page;
	int r;

	if (!mime_is(p, STR("text"), STR("html")) &&
	    !mime_is(p, STR("application"), STR("xhtml+xml")))
		return mime_decode_text(p, out);
	buf_init(&page, out->max);
	r = mime_decode_text(p, &page);
	if (html_text(buf_str(&page), out) < 0)
		r = -1;
	buf_release(&page);
	return r;
}
