#include "filters/message/encoded.h"

#include <string.h>

#include "filters/message/charset.h"
#include "filters/message/limits.h"
#include "filters/message/transfer.h"
#include "filters/message/utf8.h"

/* RFC 2047 2: one encoded word. */
#define WORD_MAX 75u
/* "=?utf-8?Q?" and "?=". */
#define WORD_FRAME 12u
/* An ASCII word longer than this could not be folded below the 998 bytes of
 * RFC 5322 2.1.1, so it is encoded. */
#define BARE_MAX 900u

static bool
is_space(char c)
{
	return ascii_isblank(c) || c == '\r' || c == '\n';
}

bool
encoded_needed(struct str s)
{
	return str_find(s, STR("=?")) >= 0 || !utf8_is_ascii(s);
}

/* --- decoding --- */

struct word {
	struct str charset;
	struct str text;
	bool base64;
	size_t length;		/* in the source */
};

static bool
base64_text(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_isalnum(s.p[i]) && s.p[i] != '+' &&
		    s.p[i] != '/' && s.p[i] != '=' && !is_space(s.p[i]))
			return false;
	return true;
}

/* s begins with "=?". */
static bool
parse_word(struct str s, struct word *w_r)
{
	struct str rest = str_sub(s, 2, ENCODED_WORD_MAX), name;
	ptrdiff_t at = str_chr(str_sub(rest, 0, CHARSET_NAME_MAX + 1), '?');
	char c;

	if (at <= 0)
		return false;
	name = str_sub(rest, 0, (size_t)at);
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] <= ' ' || name.p[i] > '~')
			return false;
	rest = str_sub(rest, (size_t)at + 1, rest.n);
	if (rest.n < 2 || rest.p[1] != '?')
		return false;
	c = ascii_lower(rest.p[0]);
	if (c != 'b' && c != 'q')
		return false;
	rest = str_sub(rest, 2, rest.n);
	at = str_find(rest, STR("?="));
	if (at < 0)
		return false;
	w_r->text = str_sub(rest, 0, (size_t)at);
	w_r->base64 = c == 'b';
	if (w_r->base64 && !base64_text(w_r->text))
		return false;
	/* RFC 2231 5: the language. */
	at = str_chr(name, '*');
	w_r->charset = at < 0 ? name : str_sub(name, 0, (size_t)at);
	w_r->length = (size_t)(w_r->text.p - s.p) + w_r->text.n + 2;
	return true;
}

static void
decode_q(struct str s, struct buf *out)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (c == '_') {
			c = ' ';
		} else if (c == '=' && s.n - i > 2 &&
		    ascii_hex(s.p[i + 1]) >= 0 && ascii_hex(s.p[i + 2]) >= 0) {
			c = (char)(ascii_hex(s.p[i + 1]) << 4 |
			    ascii_hex(s.p[i + 2]));
			i += 2;
		}
		(void)buf_addc(out, c);	/* room for s.n was made */
	}
}

/* Converts what was gathered; it stays on one line. */
static int
flush(struct str charset, struct buf *raw, struct buf *out)
{
	size_t from = out->n;

	if (raw->n == 0)
		return 0;
	(void)charset_to_utf8(charset, buf_str(raw), out);
	for (size_t i = from; i < out->n; i++)
		if (out->p[i] == '\r' || out->p[i] == '\n' || out->p[i] == '\0')
			out->p[i] = ' ';
	buf_reset(raw);
	return out->full ? -1 : 0;
}

int
encoded_decode(struct str s, struct buf *out)
{
	struct str charset = STR("");
	struct buf raw;
	int r = -1;

	/* Words decode to fewer bytes than they have. */
	buf_init(&raw, s.n);
	while (s.n) {
		ptrdiff_t at = str_find(s, STR("=?"));
		size_t gap = at < 0 ? s.n : (size_t)at, blank = 0;
		struct word w = { .length = 0 };

		while (at >= 0 && !parse_word(str_sub(s, gap, s.n), &w)) {
			/* Not a word: on to the next that may be one. */
			at = str_find(str_sub(s, gap + 2, s.n), STR("=?"));
			gap = at < 0 ? s.n : gap + 2 + (size_t)at;
		}
		while (blank < gap && is_space(s.p[blank]))
			blank++;
		/* What is between two words and no space, or a new charset,
		 * ends the row. */
		if (raw.n && (blank < gap || at < 0 ||
		    !str_caseeq(charset, w.charset)) &&
		    flush(charset, &raw, out) < 0)
			goto out;
		if (blank < gap || at < 0 || charset.n == 0)
			if (utf8_add_fixed(out, str_sub(s, 0, gap)) < 0)
				goto out;
		if (at < 0)
			break;
		charset = w.charset;
		if (w.base64)
			(void)transfer_decode(TRANSFER_BASE64, w.text, &raw);
		else
			decode_q(w.text, &raw);
		s = str_sub(s, gap + w.length, s.n);
	}
	r = flush(charset, &raw, out);
out:
	buf_release(&raw);
	return r;
}

/* --- encoding --- */

static bool
q_plain(char c)
{
	/* RFC 2047 5(3): what is safe in a phrase is safe everywhere. */
	return ascii_isalnum(c) || c == '!' || c == '*' || c == '+' ||
	    c == '-' || c == '/';
}

static size_t
q_length(struct str s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++)
		n += q_plain(s.p[i]) || s.p[i] == ' ' ? 1 : 3;
	return n;
}

static void
add_q(struct str s, struct buf *out)
{
	static const char digits[] = "0123456789ABCDEF";

	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		char b[3] = { '=', digits[c >> 4], digits[c & 15] };

		if (c == ' ')
			(void)buf_addc(out, '_');
		else if (q_plain((char)c))
			(void)buf_addc(out, (char)c);
		else
			(void)buf_add(out, b, sizeof(b));
	}
}

/* s as encoded words with `between` where one ends and the next begins;
 * *column is kept. */
static void
add_words(struct str s, size_t *column, struct str between, struct buf *out)
{
	bool q = q_length(s) <= (s.n + 2) / 3 * 4;
	bool first = true;

	while (s.n) {
		size_t room = WORD_MAX - WORD_FRAME, n;

		if (!first) {
			(void)buf_adds(out, between);
			*column = 1;
		} else if (*column + WORD_MAX > HEADER_FOLD &&
		    *column + WORD_FRAME + 12 <= HEADER_FOLD) {
			room = HEADER_FOLD - *column - WORD_FRAME;
		}
		first = false;
		if (q) {
			struct str left = s;
			size_t used = 0;

			n = 0;
			while (left.n) {
				struct str c = left;

				(void)utf8_next(&left);
				c.n -= left.n;
				used += q_length(c);
				if (used > room && n)
					break;
				n += c.n;
			}
		} else {
			n = utf8_cut(s, room / 4 * 3).n;
		}
		(void)buf_addz(out, q ? "=?utf-8?Q?" : "=?utf-8?B?");
		if (q)
			add_q(str_sub(s, 0, n), out);
		else
			(void)transfer_base64_line(str_sub(s, 0, n), out);
		(void)buf_addz(out, "?=");
		*column += WORD_FRAME +
		    (q ? q_length(str_sub(s, 0, n)) : (n + 2) / 3 * 4);
		s = str_sub(s, n, s.n);
	}
}

/* The blanks and then the word at the front of s. */
static void
take_word(struct str *s, struct str *blanks_r, struct str *word_r)
{
	size_t b = 0, w;

	while (b < s->n && ascii_isblank(s->p[b]))
		b++;
	for (w = b; w < s->n && !ascii_isblank(s->p[w]);)
		w++;
	*blanks_r = str_sub(*s, 0, b);
	*word_r = str_sub(*s, b, w - b);
	*s = str_sub(*s, w, s->n);
}

static bool
needs_encoding(struct str word)
{
	return word.n > BARE_MAX || encoded_needed(word);
}

int
encoded_encode(struct str s, size_t column, struct str eol, struct buf *out)
{
	struct buf clean;
	char fold[3];
	struct str between;

	buf_init(&clean, s.n * 3 + 3);
	(void)utf8_add_fixed(&clean, s);	/* three bytes for one fit */
	for (size_t i = 0; i < clean.n; i++)
		if (ascii_iscntrl(clean.p[i]) && clean.p[i] != '\t')
			clean.p[i] = ' ';
	memcpy(fold, eol.p, eol.n < 2 ? eol.n : 2);
	fold[eol.n < 2 ? eol.n : 2] = ' ';
	between = str_mem(fold, (eol.n < 2 ? eol.n : 2) + 1);
	s = buf_str(&clean);
	while (s.n) {
		struct str blanks, word, run, rest;

		take_word(&s, &blanks, &word);
		if (!needs_encoding(word)) {
			/* A line of blanks only would end in nothing. */
			if (blanks.n && word.n &&
			    column + blanks.n + word.n > HEADER_FOLD) {
				(void)buf_adds(out, eol);
				column = 0;
			}
			(void)buf_adds(out, blanks);
			(void)buf_adds(out, word);
			column += blanks.n + word.n;
			continue;
		}
		/* Words that need it and follow each other are encoded with
		 * the blanks between them: a decoder drops those. */
		run = word;
		for (rest = s; rest.n;) {
			struct str gap, next;

			take_word(&rest, &gap, &next);
			if (!needs_encoding(next))
				break;
			run.n = (size_t)(next.p - run.p) + next.n;
			s = rest;
		}
		if (blanks.n && column + blanks.n + WORD_FRAME + 24 >
		    HEADER_FOLD) {
			(void)buf_adds(out, eol);
			column = 0;
		}
		(void)buf_adds(out, blanks);
		column += blanks.n;
		add_words(run, &column, between, out);
	}
	buf_release(&clean);
	return out->full ? -1 : 0;
}

static bool
is_atext(char c)
{
	return ascii_isalnum(c) || (c && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

int
encoded_phrase(struct str s, struct buf *out)
{
	bool atoms = true;
	size_t column = 0;

	if (s.n == 0)
		return buf_addz(out, "\"\"");
	if (encoded_needed(s)) {
		struct buf clean;

		buf_init(&clean, s.n * 3 + 3);
		(void)utf8_add_fixed(&clean, s);
		add_words(buf_str(&clean), &column, STR(" "), out);
		buf_release(&clean);
		return out->full ? -1 : 0;
	}
	for (size_t i = 0; i < s.n; i++)
		if (!is_atext(s.p[i]) && (s.p[i] != ' ' || i == 0 ||
		    i + 1 == s.n || s.p[i - 1] == ' '))
			atoms = false;
	if (atoms)
		return buf_adds(out, s);
	(void)buf_addc(out, '"');
	for (size_t i = 0; i < s.n; i++) {
		char c = ascii_iscntrl(s.p[i]) ? ' ' : s.p[i];

		if (c == '"' || c == '\\')
			(void)buf_addc(out, '\\');
		(void)buf_addc(out, c);
	}
	(void)buf_addc(out, '"');
	return out->full ? -1 : 0;
}
