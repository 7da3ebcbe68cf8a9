#include "lda/letter.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "filters/message/address.h"
#include "filters/message/encoded.h"
#include "filters/message/header.h"
#include "filters/message/utf8.h"
#include "store/base/clock.h"

/* One address taken apart. */
#define ADDRESS_ARENA 65536
/* A field's text; nobody reads more of a subject. */
#define TEXT_MAX 8192
/* A line of quoted-printable, without its soft break. */
#define QP_LINE 75

/* --- fields ------------------------------------------------------------------- */

/*
 * Breaks before blanks that stand too far to the right. encoded_encode() has
 * folded at LETTER_FOLD what has blanks; a word that is longer than a line
 * may be goes as encoded words.
 */
static void
add_text(struct buf *out, size_t column, struct str text)
{
	struct str rest = utf8_cut(text, TEXT_MAX), line;
	struct buf one;
	bool first = true;

	/* Line breaks would be blanks anyway: here they cost one only. */
	buf_init(&one, TEXT_MAX + 1);
	while (rest.n && str_split(&rest, '\n', &line)) {
		line = str_trim(line);
		if (line.n && !first)
			buf_addc(&one, ' ');
		buf_adds(&one, line);
		first = first && line.n == 0;
	}
	(void)encoded_encode(buf_str(&one), column, STR("\n"), out);
	buf_release(&one);
}

void
letter_field_named(struct buf *out, struct str name, struct str text)
{
	if (!header_name_valid(name) || name.n > LETTER_FOLD)
		return;
	buf_adds(out, name);
	buf_addz(out, ": ");
	add_text(out, name.n + 2, text);
	buf_addc(out, '\n');
}

void
letter_field(struct buf *out, const char *name, struct str text)
{
	letter_field_named(out, str_of(name), text);
}

/* Adds one mailbox; false when it is none. */
static bool
add_mailbox(struct buf *out, size_t column, struct str text)
{
	struct address address;
	struct arena arena;
	struct buf phrase;
	const char *why;
	bool good;

	arena_init(&arena, ADDRESS_ARENA);
	good = address_parse(&arena, text, ADDRESS_NAMED, &address, &why) == 0 &&
	    address.kind == ADDRESS_MAILBOX;
	if (good && address.display.n) {
		buf_init(&phrase, TEXT_MAX);
		/* A name that fills the line is left out. */
		if (encoded_phrase(address.display, &phrase) == 0 &&
		    phrase.n + address.spec.n + column + 4 < LETTER_LINE_MAX) {
			buf_adds(out, buf_str(&phrase));
			/* The line ends behind its name when it is long. */
			buf_addz(out, column + phrase.n + address.spec.n + 3 >
			    LETTER_FOLD ? "\n <" : " <");
			buf_adds(out, address.spec);
			buf_addc(out, '>');
			buf_release(&phrase);
			arena_release(&arena);
			return true;
		}
		buf_release(&phrase);
	}
	if (good)
		buf_adds(out, address.spec);
	arena_release(&arena);
	return good;
}

void
letter_address(struct buf *out, const char *name, struct str address,
    struct str otherwise)
{
	size_t n = out->n, column = strlen(name) + 2;

	buf_addz(out, name);
	buf_addz(out, ": ");
	if (add_mailbox(out, column, address) ||
	    add_mailbox(out, column, otherwise))
		buf_addc(out, '\n');
	else
		buf_cut(out, n);
}

void
letter_addresses(struct buf *out, const char *name, const struct str *list,
    size_t n)
{
	size_t start = out->n;
	bool any = false;

	buf_addz(out, name);
	buf_addz(out, ": ");
	for (size_t i = 0; i < n; i++) {
		size_t before = out->n;

		if (any)
			buf_addz(out, ",\n ");
		if (add_mailbox(out, any ? 1 : strlen(name) + 2, list[i]))
			any = true;
		else
			buf_cut(out, before);
	}
	if (any)
		buf_addc(out, '\n');
	else
		buf_cut(out, start);
}

static bool
is_id(struct str id)
{
	if (id.n < 3 || id.n > LETTER_LINE_MAX - 20 || id.p[0] != '<' ||
	    id.p[id.n - 1] != '>')
		return false;
	for (size_t i = 1; i + 1 < id.n; i++)
		if ((unsigned char)id.p[i] <= ' ' || id.p[i] == '<' ||
		    id.p[i] == '>' || (unsigned char)id.p[i] >= 0x7f)
			return false;
	return true;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

void
letter_ids(struct buf *out, const char *name, struct str ids)
{
	size_t column = strlen(name) + 1;
	bool any = false;

	for (size_t i = 0, from; i < ids.n; ) {
		struct str id;

		while (i < ids.n && is_blank(ids.p[i]))
			i++;
		for (from = i; i < ids.n && !is_blank(ids.p[i]); i++)
			;
		id = str_sub(ids, from, i - from);
		if (!is_id(id))
			continue;
		if (!any) {
			buf_addz(out, name);
			buf_addc(out, ':');
		} else if (column + 1 + id.n > LETTER_FOLD) {
			buf_addc(out, '\n');
			column = 0;
		}
		buf_addc(out, ' ');
		buf_adds(out, id);
		column += 1 + id.n;
		any = true;
	}
	if (any)
		buf_addc(out, '\n');
}

void
letter_date(struct buf *out, time_t now)
{
	buf_addz(out, "Date: ");
	clock_rfc5322(now, out);
	buf_addc(out, '\n');
}

static uint64_t
noise(void)
{
	uint64_t bits;

	/* Without it time, process and count still tell messages apart. */
	if (getrandom(&bits, sizeof(bits), GRND_NONBLOCK) != sizeof(bits))
		bits = (uint64_t)clock_mono_ms();
	return bits;
}

void
letter_id(struct buf *out, time_t now, struct str hostname)
{
	static unsigned count;

	buf_addf(out, "Message-ID: <vbox.%llx.%x.%x.%llx@",
	    (unsigned long long)now, (unsigned)getpid(),
	    __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED),
	    (unsigned long long)noise());
	for (size_t i = 0; i < hostname.n; i++)
		if (ascii_isalnum(hostname.p[i]) || hostname.p[i] == '.' ||
		    hostname.p[i] == '-')
			buf_addc(out, hostname.p[i]);
	if (hostname.n == 0)
		buf_addz(out, "localhost");
	buf_addz(out, ">\n");
}

void
letter_boundary(char boundary[LETTER_BOUNDARY], const struct str *texts,
    size_t n)
{
	bool found;

	do {
		found = false;
		(void)snprintf(boundary, LETTER_BOUNDARY, "=_vbox_%016llx",
		    (unsigned long long)noise()); /* fits */
		for (size_t i = 0; i < n; i++)
			found |= str_find(texts[i], str_of(boundary)) >= 0;
	} while (found);
}

/* --- bodies ------------------------------------------------------------------- */

unsigned
letter_shape(struct str text)
{
	unsigned shape = 0;
	size_t line = 0;

	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];

		line = c == '\n' ? 0 : line + 1;
		if (line > LETTER_LINE_MAX)
			shape |= LETTER_LONG;
		if (c >= 0x80)
			shape |= LETTER_8BIT;
		else if ((c < ' ' && c != '\n' && c != '\t') || c == 0x7f)
			shape |= LETTER_CONTROL;
	}
	return shape;
}

void
letter_quoted_printable(struct buf *out, struct str text)
{
	size_t column = 0;

	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];
		bool last = i + 1 == text.n || text.p[i + 1] == '\n';
		bool plain = (c > ' ' && c < 0x7f && c != '=') ||
		    ((c == ' ' || c == '\t') && !last);
		size_t n = plain ? 1 : 3;

		if (c == '\n') {
			buf_addc(out, '\n');
			column = 0;
			continue;
		}
		if (column + n > QP_LINE) {
			buf_addz(out, "=\n");
			column = 0;
		}
		if (plain)
			buf_addc(out, (char)c);
		else
			buf_addf(out, "=%02X", c);
		column += n;
	}
	if (column)
		buf_addc(out, '\n');
}

/* Valid UTF-8 with LF. */
static void
normalise(struct buf *out, struct str text)
{
	struct buf fixed;

	buf_init(&fixed, text.n * 3 + 3);
	(void)utf8_add_fixed(&fixed, text);	/* three bytes for one fit */
	for (size_t i = 0; i < fixed.n; i++) {
		char c = fixed.p[i];

		if (c == '\r')
			c = '\n';
		buf_addc(out, c);
		if (fixed.p[i] == '\r' && i + 1 < fixed.n &&
		    fixed.p[i + 1] == '\n')
			i++;
	}
	if (out->n && out->p[out->n - 1] != '\n')
		buf_addc(out, '\n');
	buf_release(&fixed);
}

void
letter_text(struct buf *out, struct str text)
{
	struct buf body;
	unsigned shape;

	buf_init(&body, text.n * 3 + 4);
	normalise(&body, text);
	shape = letter_shape(buf_str(&body));
	buf_addz(out, "Content-Type: text/plain; charset=utf-8\n"
	    "Content-Transfer-Encoding: ");
	if (shape & (LETTER_LONG | LETTER_CONTROL)) {
		buf_addz(out, "quoted-printable\n\n");
		letter_quoted_printable(out, buf_str(&body));
	} else {
		buf_addz(out, shape & LETTER_8BIT ? "8bit\n\n" : "7bit\n\n");
		buf_adds(out, buf_str(&body));
	}
	buf_release(&body);
}
