#include "filters/message/header.h"

#include <string.h>

#include "filters/message/encoded.h"
#include "filters/message/limits.h"
#include "filters/message/utf8.h"

/* Buckets never take more than this; below four fields a bucket a list is
 * as fast as a table. */
#define BUCKETS_MAX 4096u

static uint32_t
name_hash(struct str name)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < name.n; i++)
		h = (h ^ (unsigned char)ascii_lower(name.p[i])) * 16777619u;
	return h;
}

bool
header_name_valid(struct str name)
{
	if (name.n == 0 || name.n > HEADER_NAME_MAX)
		return false;
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] <= ' ' || name.p[i] > '~' || name.p[i] == ':')
			return false;
	return true;
}

/* The line at *at without its end; *at moves behind that. A CR at the very
 * end counts as one: its LF is added when the header is written edited. */
static struct str
take_line(struct str s, size_t *at)
{
	struct str rest = str_sub(s, *at, s.n);
	ptrdiff_t end = str_chr(rest, '\n');

	if (end < 0) {
		*at = s.n;
		return str_sub(rest, 0, rest.n - str_ends(rest, STR("\r")));
	}
	*at += (size_t)end + 1;
	if (end > 0 && rest.p[end - 1] == '\r')
		end--;
	return str_sub(rest, 0, (size_t)end);
}

/* Length of the name in front of a colon, 0 when the line is no field; the
 * colon's place goes to *colon_r. Bytes above 126 are let pass: they stand
 * in no standard but in mail. */
static size_t
name_length(struct str line, size_t *colon_r)
{
	ptrdiff_t colon = str_chr(str_sub(line, 0, HEADER_NAME_MAX + 1), ':');
	size_t n;

	if (colon <= 0)
		return 0;
	n = (size_t)colon;
	while (n && ascii_isblank(line.p[n - 1]))
		n--;
	for (size_t i = 0; i < n; i++)
		if (line.p[i] == ' ' || ascii_iscntrl(line.p[i]))
			return 0;
	*colon_r = (size_t)colon;
	return n;
}

static void
list_insert(struct header *h, struct field *f, struct field *before)
{
	f->next = before;
	f->prev = before ? before->prev : h->last;
	*(f->prev ? &f->prev->next : &h->first) = f;
	*(before ? &before->prev : &h->last) = f;
	h->count++;
}

/* Head and tail of the bucket. A small header has one, in place. */
static struct field **
bucket(struct header *h, uint32_t hash)
{
	return h->mask ? h->buckets + (size_t)(hash & h->mask) * 2 : h->single;
}

static struct field *const *
bucket_of(const struct header *h, uint32_t hash)
{
	return h->mask ? h->buckets + (size_t)(hash & h->mask) * 2 : h->single;
}

static void
bucket_insert(struct header *h, struct field *f, struct field *before)
{
	struct field **b = bucket(h, f->hash);

	f->same_next = before;
	f->same_prev = before ? before->same_prev : b[1];
	*(f->same_prev ? &f->same_prev->same_next : &b[0]) = f;
	*(before ? &before->same_prev : &b[1]) = f;
}

static void
make_buckets(struct header *h)
{
	uint32_t n = 1;

	while (n < BUCKETS_MAX && n * 4 < h->count)
		n *= 2;
	if (n > 1)
		h->buckets = arena_array(h->arena, n, 2 * sizeof(*h->buckets));
	if (h->buckets)
		h->mask = n - 1;
	else if (n > 1)
		h->full = true;	/* slower, but complete */
	for (struct field *f = h->first; f; f = f->next)
		if (f->name.n)
			bucket_insert(h, f, NULL);
}

struct str
header_init(struct header *h, struct arena *a, struct str bytes)
{
	struct field *f = NULL;
	size_t at = 0, start = 0;
	bool ended = false;

	*h = (struct header){ .arena = a, .eol = STR("\n") };
	while (at < bytes.n) {
		size_t line_start = at, colon = 0, n;
		struct str line = take_line(bytes, &at);
		size_t ends = (size_t)(line.p - bytes.p) + line.n;

		if (line_start == 0 && at > ends && bytes.p[ends] == '\r')
			h->eol = STR("\r\n");
		if (line.n == 0) {
			h->blank = str_sub(bytes, line_start, at - line_start);
			ended = true;
			break;
		}
		if (h->cut) {
			h->beyond.n = at - start;
			continue;
		}
		if (f && ascii_isblank(line.p[0])) {
			f->raw.n = at - start;
			f->value.n = ends - (size_t)(f->value.p - bytes.p);
			continue;
		}
		start = line_start;
		f = h->count < HEADER_FIELDS_MAX ?
		    arena_alloc(a, sizeof(*f)) : NULL;
		if (!f) {
			h->full = h->count < HEADER_FIELDS_MAX;
			h->cut = true;
			h->beyond = str_sub(bytes, start, at - start);
			continue;
		}
		n = name_length(line, &colon);
		f->raw = str_sub(bytes, start, at - start);
		f->value = n ? str_sub(line, colon + 1, line.n) : line;
		if (n) {
			f->name = str_sub(line, 0, n);
			f->hash = name_hash(f->name);
		}
		list_insert(h, f, NULL);
	}
	h->bytes = str_sub(bytes, 0, ended ? at : bytes.n);
	make_buckets(h);
	return str_sub(bytes, h->bytes.n, bytes.n);
}

static bool
named(const struct field *f, struct str name, uint32_t hash)
{
	return f->hash == hash && str_caseeq(f->name, name);
}

struct field *
header_find(const struct header *h, struct str name)
{
	uint32_t hash = name_hash(name);
	struct field *f = bucket_of(h, hash)[0];

	while (f && !named(f, name, hash))
		f = f->same_next;
	return f;
}

struct field *
header_find_last(const struct header *h, struct str name)
{
	uint32_t hash = name_hash(name);
	struct field *f = bucket_of(h, hash)[1];

	while (f && !named(f, name, hash))
		f = f->same_prev;
	return f;
}

struct field *
field_next(const struct field *f)
{
	struct field *g = f->same_next;

	while (g && !named(g, f->name, f->hash))
		g = g->same_next;
	return g;
}

struct field *
field_prev(const struct field *f)
{
	struct field *g = f->same_prev;

	while (g && !named(g, f->name, f->hash))
		g = g->same_prev;
	return g;
}

struct field *
header_first(const struct header *h)
{
	return h->first;
}

struct field *
header_last(const struct header *h)
{
	return h->last;
}

struct field *
field_after(const struct field *f)
{
	return f->next;
}

struct field *
field_before(const struct field *f)
{
	return f->prev;
}

/* RFC 5322 wants only the line end gone; the blank behind it becomes a space,
 * as Pigeonhole has it, so that a fold by a tab reads like any other. */
static struct str
unfold(struct arena *a, struct str s)
{
	char *p = arena_alloc(a, s.n), *to = p;

	if (!p)
		return (struct str){ NULL, 0 };
	for (;;) {
		ptrdiff_t end = str_chr(s, '\n');
		size_t n = end < 0 ? s.n : (size_t)end;

		if (end > 0 && s.p[n - 1] == '\r')
			n--;
		if (n)
			memcpy(to, s.p, n);
		to += n;
		if (end < 0)
			break;
		s = str_sub(s, (size_t)end + 1, s.n);
		if (s.n && ascii_isblank(s.p[0])) {
			*to++ = ' ';
			s = str_sub(s, 1, s.n);
		}
	}
	return str_mem(p, (size_t)(to - p));
}

struct str
field_value(struct header *h, struct field *f)
{
	struct str s;

	if (f->has_value)
		return f->unfolded;
	s = str_trim(str_sub(f->value, 0, HEADER_VALUE_MAX));
	if (str_chr(s, '\n') >= 0) {
		s = unfold(h->arena, s);
		if (!s.p)
			h->full = true;
	}
	f->unfolded = s;
	f->has_value = true;
	return s;
}

struct str
field_text(struct header *h, struct field *f)
{
	struct str s;

	if (f->has_text)
		return f->text;
	s = field_value(h, f);
	if (encoded_needed(s)) {
		struct buf b;

		/* Past the ceiling the text is cut, as the value is. */
		buf_init(&b, HEADER_VALUE_MAX);
		(void)encoded_decode(s, &b);
		s = arena_copy(h->arena, str_trim(buf_str(&b)));
		if (!s.p)
			h->full = true;
		buf_release(&b);
	}
	f->text = s;
	f->has_text = true;
	return s;
}

/* Could some word not be folded, and fill a line of its own (RFC 5322 section
 * 2.1.1)? */
static bool
has_long_word(struct str s)
{
	size_t word = 0;

	for (size_t i = 0; i < s.n; i++) {
		word = ascii_isblank(s.p[i]) ? 0 : word + 1;
		if (word > HEADER_NAME_MAX / 2)
			return true;
	}
	return false;
}

static bool
has_controls(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (ascii_iscntrl(s.p[i]) && s.p[i] != '\t')
			return true;
	return false;
}

/* Text as a value: valid UTF-8 on one line. A line break with a blank behind
 * it was a fold; any other is a blank. Controls may stand in ASCII (NO-WS-CTL
 * of RFC 2822 section 3.2.1), not where encoded words have to be made. */
static struct str
clean(struct arena *a, struct str text)
{
	bool controls;
	struct buf b;
	struct str s;
	size_t n = 0;

	buf_init(&b, (size_t)HEADER_ADD_MAX * 3);
	(void)utf8_add_fixed(&b, str_trim(text)); /* three bytes a byte fit */
	controls = utf8_is_ascii(buf_str(&b)) && !has_long_word(buf_str(&b));
	for (size_t i = 0; i < b.n; i++) {
		char c = b.p[i], next = i + 1 < b.n ? b.p[i + 1] : ' ';

		if ((c == '\r' && next == '\n') ||
		    (c == '\n' && ascii_isblank(next)))
			continue;
		if (c == '\r' || c == '\n' || c == '\0' ||
		    (!controls && ascii_iscntrl(c) && c != '\t'))
			c = ' ';
		b.p[n++] = c;
	}
	buf_cut(&b, n);
	s = arena_copy(a, str_trim(buf_str(&b)));
	buf_release(&b);
	return s;
}

/* ASCII with encoded words or controls, which stay as they are. */
static bool
stays(struct str s)
{
	return utf8_is_ascii(s) && !has_long_word(s) &&
	    (encoded_needed(s) || has_controls(s));
}

/* Breaks before a blank where a line would become too long. */
static void
fold(struct str s, size_t column, struct str eol, struct buf *out)
{
	while (s.n) {
		size_t n = 0;

		while (n < s.n && ascii_isblank(s.p[n]))
			n++;
		while (n < s.n && !ascii_isblank(s.p[n]))
			n++;
		if (ascii_isblank(s.p[0]) && column + n > HEADER_FOLD) {
			(void)buf_adds(out, eol);
			column = 0;
		}
		(void)buf_add(out, s.p, n);
		column += n;
		s = str_sub(s, n, s.n);
	}
}

static struct field *
make_field(struct header *h, struct str name, struct str text)
{
	struct field *f;
	bool as_it_is;
	struct buf b;

	if (!header_name_valid(name) || text.n > HEADER_ADD_MAX)
		return NULL;
	f = arena_alloc(h->arena, sizeof(*f));
	if (!f)
		goto full;
	f->added = f->has_value = true;
	f->name = arena_copy(h->arena, name);
	f->value = f->unfolded = f->text = clean(h->arena, text);
	as_it_is = stays(f->value);
	/* who writes encoded words means what they stand for */
	f->has_text = !(as_it_is && encoded_needed(f->value));
	f->hash = name_hash(name);
	/* Encoded words triple a byte and add twelve to 45 of them. */
	buf_init(&b, HEADER_NAME_MAX + (size_t)HEADER_ADD_MAX * 16);
	(void)buf_adds(&b, name);
	(void)buf_addz(&b, ": ");
	if (as_it_is)
		fold(f->value, b.n, h->eol, &b);
	else
		(void)encoded_encode(f->value, b.n, h->eol, &b);
	(void)buf_adds(&b, h->eol);
	f->raw = b.full ? (struct str){ NULL, 0 } :
	    arena_copy(h->arena, buf_str(&b));
	buf_release(&b);
	if (!f->name.p || !f->text.p || !f->raw.p)
		goto full;
	return f;
full:
	h->full = true;
	return NULL;
}

static bool
is_from_line(const struct field *f)
{
	return f->name.n == 0 && (str_starts(f->raw, STR("From ")) ||
	    str_starts(f->raw, STR(">From ")));
}

struct field *
header_add(struct header *h, enum header_place place, struct str name,
    struct str text)
{
	struct field *f = make_field(h, name, text), *before = NULL;

	if (!f)
		return NULL;
	if (place == HEADER_TOP)
		for (before = h->first; before && is_from_line(before);)
			before = before->next;
	list_insert(h, f, before);
	/* No From_ line has a name, so the top is the top of its bucket. */
	bucket_insert(h, f, place == HEADER_TOP ? bucket(h, f->hash)[0] : NULL);
	h->edited = true;
	return f;
}

void
header_delete(struct header *h, struct field *f)
{
	*(f->prev ? &f->prev->next : &h->first) = f->next;
	*(f->next ? &f->next->prev : &h->last) = f->prev;
	if (f->name.n) {
		struct field **b = bucket(h, f->hash);

		*(f->same_prev ? &f->same_prev->same_next : &b[0]) =
		    f->same_next;
		*(f->same_next ? &f->same_next->same_prev : &b[1]) =
		    f->same_prev;
	}
	h->count--;
	h->edited = true;
}

struct field *
header_replace(struct header *h, struct field *f, struct str name,
    struct str text)
{
	struct field *g, *before;

	g = make_field(h, name.p ? name : f->name,
	    text.p ? text : field_text(h, f));
	if (!g)
		return NULL;
	list_insert(h, g, f);
	for (before = f; before; before = before->next)
		if (before->name.n &&
		    (before->hash & h->mask) == (g->hash & h->mask))
			break;
	bucket_insert(h, g, before);
	header_delete(h, f);
	return g;
}

/* The slices of a header, or only how many and how long when list is NULL. */
struct pieces {
	struct str *list;
	size_t n, size;
	struct str last;
};

/* One more slice, or a longer last one. */
static void
piece(struct pieces *p, struct str s)
{
	if (s.n == 0)
		return;
	p->size += s.n;
	if (p->n && p->last.p + p->last.n == s.p) {
		p->last.n += s.n;
	} else {
		p->last = s;
		p->n++;
	}
	if (p->list)
		p->list[p->n - 1] = p->last;
}

static struct pieces
pieces(const struct header *h, struct str *list)
{
	struct pieces p = { .list = list };

	for (const struct field *f = h->first; f; f = f->next) {
		piece(&p, f->raw);
		/* The message ended in this line. */
		if (f->raw.p[f->raw.n - 1] != '\n' && (f->next || h->edited))
			piece(&p, h->eol);
	}
	piece(&p, h->beyond);
	if (h->beyond.n && !h->blank.n && !str_ends(h->beyond, STR("\n")))
		piece(&p, h->eol);
	piece(&p, h->blank.n ? h->blank : h->eol);
	return p;
}

int
header_pieces(struct header *h, struct str **list_r, size_t *n_r)
{
	size_t n = h->edited ? pieces(h, NULL).n : 1;
	struct str *list = arena_array(h->arena, n, sizeof(*list));

	if (!list) {
		h->full = true;
		return -1;
	}
	if (h->edited)
		(void)pieces(h, list);
	else
		list[0] = h->bytes;
	*list_r = list;
	*n_r = n;
	return 0;
}

size_t
header_size(const struct header *h)
{
	return h->edited ? pieces(h, NULL).size : h->bytes.n;
}

int
header_write(struct header *h, struct buf *out)
{
	struct str *list;
	size_t n;

	if (header_pieces(h, &list, &n) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (buf_adds(out, list[i]) < 0)
			return -1;
	return 0;
}
