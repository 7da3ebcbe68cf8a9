#include "store/content.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/clock.h"
#include "store/base/mem.h"

/* Bytes of the message looked at in one go, and the memory it costs when the
 * message is in a file. */
#define PIECE 65536
/* The longest field name that could be on a drop list, and its colon. */
#define NAME_LOOK 80
/* An envelope sender of RFC 5321 size, a date and the words around them. */
#define FROM_LINE_MAX 2048

/*
 * Fields by which mailbox programs keep their own notes in an mbox. From
 * outside they would set flags or UIDs, or (Content-Length) hide a message
 * boundary, so they stop here whatever the sender wrote.
 */
static const struct str mailbox_fields[] = {
	{ "Status", 6 }, { "X-Status", 8 }, { "X-UID", 5 },
	{ "X-Keywords", 10 }, { "X-IMAP", 6 }, { "X-IMAPbase", 10 },
	{ "Content-Length", 14 }, { "X-Mozilla-Status", 16 },
	{ "X-Mozilla-Status2", 17 }, { "X-Mozilla-Keys", 14 },
	{ "X-Evolution", 11 },
};

struct writer {
	const struct content *c;
	enum content_format format;
	content_sink *sink;
	void *arg;
	char last;	/* last byte given to the sink */
	struct source header;	/* where the header is, from 0 to header_end */
	uint64_t header_end;
};

static int
put(struct writer *w, const char *p, size_t n)
{
	if (n == 0)
		return 0;
	w->last = p[n - 1];
	return w->sink(w->arg, p, n);
}

static int
puts_str(struct writer *w, struct str s)
{
	return put(w, s.p, s.n);
}

/* Is `line`, which may be followed by others and may be cut, but not in front
 * of NAME_LOOK bytes, a field to leave out?
 * White space before the colon is obsolete syntax that readers accept
 * (RFC 5322 section 4.5), so it must not smuggle a name past us. */
static bool
dropped(const struct writer *w, struct str line)
{
	struct str name = str_sub(line, 0, NAME_LOOK);
	ptrdiff_t colon = str_chr(name, ':');

	if (colon >= 0) {
		name = str_trim(str_sub(name, 0, (size_t)colon));
	} else {
		/* So much of it that the colon is farther away. */
		name = str_trim(name);
		for (size_t i = name.n; i < line.n && line.p[i] != ':'; i++)
			if (!ascii_isblank(line.p[i]) && line.p[i] != '\r' &&
			    line.p[i] != '\n')
				return false;
		if (line.n < NAME_LOOK)
			return false;
	}
	for (size_t i = 0; i < w->c->drops; i++)
		if (str_caseeq(name, w->c->drop[i]))
			return true;
	if (w->format == CONTENT_PLAIN)
		return false;
	for (size_t i = 0; i < sizeof(mailbox_fields) / sizeof(*mailbox_fields); i++)
		if (str_caseeq(name, mailbox_fields[i]))
			return true;
	return false;
}

/* Would readers of an mbox take this header line for a From_ line? Whatever
 * the variant, one in the header gets its '>'. */
static bool
boundary(const struct writer *w, struct str line)
{
	if (w->format == CONTENT_PLAIN)
		return false;
	if (w->format == CONTENT_MBOXRD)
		while (line.n && line.p[0] == '>')
			line = str_sub(line, 1, line.n);
	return str_starts(line, STR("From "));
}

static int
read_at(const struct source *s, uint64_t at, char *scratch, size_t want,
    struct str *got)
{
	if (source_read(s, at, scratch, want, got) < 0)
		return -1;
	/* The file holds less than was spooled: not our message any more. */
	if (got->n == 0 && at < s->n) {
		errno = EIO;
		return -1;
	}
	return 0;
}

/* What is at `at` and before `end`: a piece of a file, all of what is in memory. */
static int
read_piece(const struct source *s, uint64_t at, uint64_t end, char *scratch,
    struct str *got)
{
	size_t want = !s->mem && end - at > PIECE ? PIECE : (size_t)(end - at);

	return read_at(s, at, scratch, want, got);
}

/* The bytes [at, end) as they are. */
static int
copy(struct writer *w, const struct source *s, uint64_t at, uint64_t end,
    char *scratch)
{
	struct str got;

	while (at < end) {
		if (read_piece(s, at, end, scratch, &got) < 0 ||
		    puts_str(w, got) < 0)
			return -1;
		at += got.n;
	}
	return 0;
}

/*
 * The header [at, end) without the dropped fields. A piece ends wherever it
 * ends: what is kept across pieces is whether we are inside a dropped field;
 * a line's start too near the end of the piece is read again with the next.
 */
static int
header(struct writer *w, uint64_t end, char *scratch)
{
	uint64_t at = 0;
	bool dropping = false, fresh = true;	/* fresh: at a line's start */
	struct str got;

	while (at < end) {
		size_t from = 0, i = 0;

		if (read_piece(&w->header, at, end, scratch, &got) < 0)
			return -1;
		while (i < got.n) {
			const char *nl;

			if (fresh) {
				if (got.n - i < NAME_LOOK && at + got.n < end &&
				    i > 0)
					break;	/* look again from here */
				bool folded = ascii_isblank(got.p[i]);
				bool drop = folded ? dropping : dropped(w,
				    str_sub(got, i, got.n));

				if (drop && !dropping &&
				    put(w, got.p + from, i - from) < 0)
					return -1;
				if (!drop && dropping)
					from = i;
				dropping = drop;
				if (!drop && !folded && boundary(w,
				    str_sub(got, i, NAME_LOOK))) {
					if (put(w, got.p + from, i - from) < 0 ||
					    put(w, ">", 1) < 0)
						return -1;
					from = i;
				}
			}
			nl = memchr(got.p + i, '\n', got.n - i);
			fresh = nl != NULL;
			i = nl ? (size_t)(nl - got.p) + 1 : got.n;
		}
		if (!dropping && put(w, got.p + from, i - from) < 0)
			return -1;
		at += i;
	}
	return 0;
}

/* Is p[k] at a line's start or, in mboxrd, behind the '>'s there? `fresh` says
 * it of p[0]. */
static bool
begins(const struct writer *w, struct str p, size_t k, bool fresh)
{
	if (w->format == CONTENT_MBOXRD)
		while (k && p.p[k - 1] == '>')
			k--;
	return k ? p.p[k - 1] == '\n' : fresh;
}

/*
 * The body [at, end) with From_ lines quoted. Inserting the '>' before
 * "From " or before the '>'s in front of it makes the same bytes, so only
 * five bytes ever have to be seen together. An F is rarer than a line's end.
 */
static int
quoted(struct writer *w, uint64_t at, uint64_t end, char *scratch)
{
	bool fresh = true;	/* at a line's start or behind its '>'s */
	struct str got;

	while (at < end) {
		size_t from = 0, stop;
		const char *f;

		if (read_piece(w->c->message, at, end, scratch, &got) < 0)
			return -1;
		stop = got.n;
		for (size_t i = 0; i < got.n && (f = memchr(got.p + i, 'F',
		    got.n - i)); ) {
			size_t k = (size_t)(f - got.p), left = got.n - k;

			i = k + 1;
			if (memcmp(f, "From ", left < 5 ? left : 5) != 0 ||
			    !begins(w, got, k, fresh))
				continue;
			if (left < 5) {
				if (at + got.n < end && k > 0) {
					stop = k;	/* look again from here */
					break;
				}
				continue;
			}
			if (put(w, got.p + from, k - from) < 0 ||
			    put(w, ">", 1) < 0)
				return -1;
			from = k;
		}
		if (put(w, got.p + from, stop - from) < 0)
			return -1;
		fresh = begins(w, got, stop, fresh);
		at += stop;
	}
	return 0;
}

/* "From SENDER  Sat Nov 21 02:54:49 2026" (RFC 4155 appendix A). The sender
 * was checked at the door; what a reader would take for the end of the
 * address is written as '-' all the same. */
static int
from_line(struct writer *w)
{
	char room[FROM_LINE_MAX + 1];
	struct buf line;

	buf_init_in(&line, room, sizeof(room));
	buf_addz(&line, "From ");
	for (size_t i = 0; i < w->c->sender.n; i++) {
		char ch = w->c->sender.p[i];

		buf_addc(&line, ch == ' ' || ascii_iscntrl(ch) ? '-' : ch);
	}
	if (w->c->sender.n == 0)
		buf_addz(&line, "MAILER-DAEMON");
	buf_addz(&line, "  ");
	clock_asctime(w->c->when, &line);
	buf_addc(&line, '\n');
	if (line.full) {
		errno = EINVAL;
		return -1;
	}
	return puts_str(w, buf_str(&line));
}

/* mboxcl2 counts the body as it will be read, and we end every body with a
 * line end, so the count includes the one that we add. */
static int
content_length(struct writer *w)
{
	const struct content *c = w->c;
	uint64_t n = c->message->n - c->body;
	struct buf line;
	struct str tail;
	char byte;
	int r;

	if (n && (read_at(c->message, c->message->n - 1, &byte, 1, &tail) < 0))
		return -1;
	if (n && tail.p[0] != '\n')
		n++;
	buf_init(&line, 64);
	buf_addf(&line, "Content-Length: %llu\n", (unsigned long long)n);
	r = puts_str(w, buf_str(&line));
	buf_release(&line);
	return r;
}

/* Where the last header field ends: before the blank line when there is one,
 * else where the body begins. */
static int
fields_end(struct writer *w, char *scratch, uint64_t *end_r)
{
	uint64_t end = w->header_end;
	size_t look = end < 3 ? (size_t)end : 3;
	struct str got;

	*end_r = end;
	if (look == 0)
		return 0;
	if (read_at(&w->header, end - look, scratch, look, &got) < 0)
		return -1;
	if (str_ends(got, STR("\n\n")) || (end == 1 && got.p[0] == '\n'))
		*end_r = end - 1;
	else if (str_ends(got, STR("\n\r\n")) ||
	    (end == 2 && str_eq(got, STR("\r\n"))))
		*end_r = end - 2;
	return 0;
}

static int
write_all(const struct content *c, enum content_format format,
    content_sink *sink, void *arg, char *scratch)
{
	struct writer w = { .c = c, .format = format, .sink = sink,
	    .arg = arg, .last = '\n' };
	uint64_t end = c->message->n, fields;
	bool mbox = format != CONTENT_PLAIN;

	w.header = c->header.p ? (struct source){ .mem = c->header.p, .fd = -1,
	    .n = c->header.n } : *c->message;
	w.header_end = c->header.p ? c->header.n : c->body;
	if (mbox && from_line(&w) < 0)
		return -1;
	if (puts_str(&w, c->head) < 0 ||
	    (mbox && puts_str(&w, c->mbox_head) < 0))
		return -1;

	/* The blank line comes behind what an mbox adds to the header, so
	 * the fields end before it. */
	if (fields_end(&w, scratch, &fields) < 0 ||
	    header(&w, fields, scratch) < 0)
		return -1;
	if (w.last != '\n' && (mbox || fields < w.header_end ||
	    c->body < end) && put(&w, "\n", 1) < 0)
		return -1;
	if (format == CONTENT_MBOXCL2 && content_length(&w) < 0)
		return -1;
	if (fields < w.header_end) {
		if (copy(&w, &w.header, fields, w.header_end, scratch) < 0)
			return -1;
	} else if (mbox || c->body < end) {
		/* There was none: without it our own fields would run into
		 * the body, or into the next message. */
		if (put(&w, "\n", 1) < 0)
			return -1;
	}
	if (format == CONTENT_MBOXRD || format == CONTENT_MBOXO ?
	    quoted(&w, c->body, end, scratch) < 0 :
	    copy(&w, c->message, c->body, end, scratch) < 0)
		return -1;
	if (!mbox)
		return 0;
	return (w.last != '\n' && put(&w, "\n", 1) < 0) ||
	    put(&w, "\n", 1) < 0 ? -1 : 0;
}

int
content_write(const struct content *c, enum content_format format,
    content_sink *sink, void *arg)
{
	/* What is in memory is read where it is. */
	char *scratch = c->message->mem ? NULL : mem_alloc(PIECE);
	int r = write_all(c, format, sink, arg, scratch);

	free(scratch);
	return r;
}
