#include "filters/message/transfer.h"

#include <endian.h>
#include <string.h>

/* Input taken at once; also how much the buffer grows ahead. */
#define STEP 16384u

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

enum transfer_encoding
transfer_named(struct str name)
{
	name = str_trim(name);
	if (str_caseeq(name, STR("base64")))
		return TRANSFER_BASE64;
	if (str_caseeq(name, STR("quoted-printable")))
		return TRANSFER_QP;
	if (name.n == 0 || str_caseeq(name, STR("7bit")) ||
	    str_caseeq(name, STR("8bit")) || str_caseeq(name, STR("binary")))
		return TRANSFER_IDENTITY;
	return TRANSFER_UNKNOWN;
}

void
transfer_init(struct transfer *t, enum transfer_encoding encoding)
{
	*t = (struct transfer){ .encoding = encoding };
}

/* The value of each character, or -1: for all above ASCII, too, so that a look
 * at one is no branch. */
static const int8_t values[256] = {
	-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
	-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
	-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 62, -1, -1, -1, 63,
	52, 53, 54, 55, 56, 57, 58, 59, 60, 61, -1, -1, -1, -1, -1, -1,
	-1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
	15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, -1, -1, -1, -1, -1,
	-1, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
	41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, -1, -1, -1, -1, -1,
	[128 ... 255] = -1,
};

/* Six bits, or -1. */
static int
base64_value(char c)
{
	return values[(unsigned char)c];
}

static char *
base64_byte(struct transfer *t, char c, char *to)
{
	int v;

	if (c == '=') {
		/* The end, or of one of several rows put together. */
		t->n_bits = 0;
		t->bits = 0;
		return to;
	}
	v = base64_value(c);
	if (v < 0)
		return to;
	t->bits = (t->bits << 6 | (uint32_t)v) & 0xffffff;
	t->n_bits += 6;
	if (t->n_bits >= 8) {
		t->n_bits -= 8;
		*to++ = (char)(t->bits >> t->n_bits & 0xff);
	}
	return to;
}

/* Whole and clean quadruples, as many as there are; *p moves behind them. Four
 * bytes are written where three count: there is always room for a burst. */
static char *
base64_clean(const char **p, const char *end, char *to)
{
	const char *s = *p;

	for (; end - s >= 4; s += 4) {
		int a = base64_value(s[0]), b = base64_value(s[1]);
		int c = base64_value(s[2]), d = base64_value(s[3]);
		uint32_t v;

		if ((a | b | c | d) < 0)
			break;
		v = htobe32((uint32_t)a << 26 | (uint32_t)b << 20 |
		    (uint32_t)c << 14 | (uint32_t)d << 8);
		memcpy(to, &v, sizeof(v));
		to += 3;
	}
	*p = s;
	return to;
}

/* Four characters that are whole and clean at once, the rest singly. */
static char *
base64_some(struct transfer *t, const char *p, size_t n, char *to)
{
	const char *end = p + n;

	while (p < end) {
		if (t->n_bits == 0) {
			to = base64_clean(&p, end, to);
			if (p == end)
				break;
		}
		to = base64_byte(t, *p++, to);
	}
	return to;
}

static char *
release_held(struct transfer *t, char *to)
{
	memcpy(to, t->held, t->n_held);
	to += t->n_held;
	t->n_held = 0;
	return to;
}

/* Holds back blanks (they do not count before a line end) and what may be
 * the start of =XX. */
static char *
qp_byte(struct transfer *t, char c, char *to)
{
	if (t->n_held && t->held[0] == '=') {
		if (t->n_held == 1) {
			if (c == '\n') {		/* soft line end */
				t->n_held = 0;
				return to;
			}
			if (c == '\r' || ascii_isblank(c) || ascii_hex(c) >= 0) {
				t->held[t->n_held++] = c;
				return to;
			}
		} else if (ascii_hex(t->held[1]) >= 0) {
			if (ascii_hex(c) >= 0) {
				*to++ = (char)(ascii_hex(t->held[1]) << 4 | ascii_hex(c));
				t->n_held = 0;
				return to;
			}
		} else {
			/* "=" and blanks: a soft line end with blanks that
			 * were added on the way, or nothing. */
			if (c == '\n') {
				t->n_held = 0;
				return to;
			}
			if ((c == '\r' || ascii_isblank(c)) &&
			    t->n_held < sizeof(t->held)) {
				t->held[t->n_held++] = c;
				return to;
			}
		}
		to = release_held(t, to);
	}
	if (c == '=') {
		to = release_held(t, to);
		t->held[t->n_held++] = c;
	} else if (ascii_isblank(c) || c == '\r') {
		if (t->n_held == sizeof(t->held))
			to = release_held(t, to);
		t->held[t->n_held++] = c;
	} else {
		if (c == '\n') {
			bool cr = t->n_held && t->held[t->n_held - 1] == '\r';

			t->n_held = 0;
			if (cr)
				*to++ = '\r';
		} else {
			to = release_held(t, to);
		}
		*to++ = c;
	}
	return to;
}

static int
feed_identity(struct str *in, struct buf *out)
{
	size_t room = out->max - out->n, n = in->n < room ? in->n : room;
	size_t left = in->n - n;

	if (n)
		(void)buf_add(out, in->p, n);	/* it fits */
	*in = str_sub(*in, n, in->n);
	if (left) {
		out->full = true;
		return -1;
	}
	return 0;
}

/* Most bytes that one byte can set free. */
#define BURST (sizeof(((struct transfer *)0)->held) + 2)
_Static_assert(BURST <= TRANSFER_ROOM, "a burst fits where it may go");

static char *
decode_some(struct transfer *t, const char *p, size_t n, char *to)
{
	if (t->encoding == TRANSFER_BASE64)
		to = base64_some(t, p, n, to);
	else
		for (size_t i = 0; i < n; i++)
			to = qp_byte(t, p[i], to);
	return to;
}

int
transfer_feed(struct transfer *t, struct str *in, struct buf *out)
{
	if (t->encoding != TRANSFER_BASE64 && t->encoding != TRANSFER_QP)
		return feed_identity(in, out);
	while (in->n) {
		size_t room = out->max - out->n;
		size_t n = in->n < STEP ? in->n : STEP;

		if (room > BURST) {
			if (n > room - BURST)
				n = room - BURST;
			(void)buf_reserve(out, n + BURST);	/* it fits */
			out->n = (size_t)(decode_some(t, in->p, n,
			    out->p + out->n) - out->p);
			out->p[out->n] = '\0';
		} else {
			/* Near the ceiling: byte by byte, each whole or not. */
			struct transfer before = *t;
			char b[BURST];

			n = 1;
			if (buf_add(out, b, (size_t)(decode_some(t, in->p, n,
			    b) - b)) < 0) {
				*t = before;
				return -1;
			}
		}
		*in = str_sub(*in, n, in->n);
	}
	return 0;
}

int
transfer_finish(struct transfer *t, struct buf *out)
{
	size_t n = t->n_held;

	t->bits = 0;
	t->n_bits = 0;
	t->n_held = 0;
	if (t->encoding != TRANSFER_QP || n == 0)
		return 0;
	/* Blanks at the end of the data do not count; "=4" stays. */
	if (t->held[0] != '=' || n == 1 || ascii_hex(t->held[1]) < 0)
		return 0;
	return buf_add(out, t->held, n);
}

int
transfer_decode(enum transfer_encoding encoding, struct str in,
    struct buf *out)
{
	struct transfer t;

	transfer_init(&t, encoding);
	if (transfer_feed(&t, &in, out) < 0)
		return -1;
	return transfer_finish(&t, out);
}

/* In steps that a compiler makes vectors of. */
#define COUNT_STEP 128u

static unsigned
is_base64(unsigned char c)
{
	return ((unsigned char)((c | 0x20) - 'a') < 26) |
	    ((unsigned char)(c - '0') < 10) | (c == '+') | (c == '/');
}

size_t
transfer_base64_count(struct str s, bool *one_r)
{
	const unsigned char *p = (const unsigned char *)s.p;
	const char *pad = s.n ? memchr(s.p, '=', s.n) : NULL;
	size_t n = 0, i = 0;

	for (; s.n - i >= COUNT_STEP; i += COUNT_STEP) {
		unsigned char some = 0;

		for (size_t k = 0; k < COUNT_STEP; k++)
			some = (unsigned char)(some + is_base64(p[i + k]));
		n += some;
	}
	for (; i < s.n; i++)
		n += is_base64(p[i]);
	*one_r = true;
	for (i = pad ? (size_t)(pad - s.p) : s.n; i < s.n && *one_r; i++)
		*one_r = !is_base64(p[i]);
	return n;
}

struct str
transfer_base64_skip(struct str s, size_t n)
{
	size_t i = 0;

	for (; i < s.n && n > 0; i++)
		n -= is_base64((unsigned char)s.p[i]);
	return str_sub(s, i, s.n);
}

int
transfer_base64_line(struct str in, struct buf *out)
{
	for (size_t i = 0; i < in.n; i += 3) {
		const unsigned char *p = (const unsigned char *)in.p + i;
		size_t n = in.n - i < 3 ? in.n - i : 3;
		uint32_t v = (uint32_t)p[0] << 16 |
		    (n > 1 ? (uint32_t)p[1] << 8 : 0) | (n > 2 ? p[2] : 0);
		char b[4] = {
			alphabet[v >> 18], alphabet[v >> 12 & 63],
			n > 1 ? alphabet[v >> 6 & 63] : '=',
			n > 2 ? alphabet[v & 63] : '=',
		};

		if (buf_add(out, b, sizeof(b)) < 0)
			return -1;
	}
	return 0;
}

int
transfer_base64_encode(struct str in, struct str eol, struct buf *out)
{
	while (in.n) {
		/* 57 bytes are 76 characters. */
		if (transfer_base64_line(str_sub(in, 0, 57), out) < 0 ||
		    buf_adds(out, eol) < 0)
			return -1;
		in = str_sub(in, 57, in.n);
	}
	return 0;
}
