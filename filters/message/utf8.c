#include "filters/message/utf8.h"

#include <string.h>

/* Length of the sequence that this byte begins; 0: none. Overlong two-byte
 * forms (C0, C1) and F5 to FF never occur. */
static unsigned
sequence(unsigned char c)
{
	if (c < 0x80)
		return 1;
	if (c < 0xc2 || c > 0xf4)
		return 0;
	return c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}

/* Length of the valid sequence at the front of s, 0 when there is none. */
static unsigned
valid_sequence(struct str s, uint32_t *c_r)
{
	const unsigned char *p = (const unsigned char *)s.p;
	unsigned n = sequence(p[0]);
	uint32_t c;

	if (n == 0 || n > s.n)
		return 0;
	if (n == 1) {
		*c_r = p[0];
		return 1;
	}
	c = p[0] & (0x7fu >> n);
	for (unsigned i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3fu);
	}
	if ((n == 3 && (c < 0x800 || (c >= 0xd800 && c <= 0xdfff))) ||
	    (n == 4 && (c < 0x10000 || c > 0x10ffff)))
		return 0;
	*c_r = c;
	return n;
}

/* Bytes at the front that are ASCII, eight at a time. */
static size_t
ascii_span(struct str s)
{
	size_t i = 0;
	uint64_t w;

	while (s.n - i >= sizeof(w)) {
		memcpy(&w, s.p + i, sizeof(w));
		if (w & 0x8080808080808080u)
			break;
		i += sizeof(w);
	}
	while (i < s.n && (unsigned char)s.p[i] < 0x80)
		i++;
	return i;
}

uint32_t
utf8_next(struct str *s)
{
	uint32_t c = UTF8_BAD;
	unsigned n = valid_sequence(*s, &c);

	*s = str_sub(*s, n ? n : 1, s->n);
	return c;
}

/* Bytes at the front that are valid. */
static size_t
valid_span(struct str s)
{
	size_t i = 0;

	for (;;) {
		uint32_t c;
		unsigned n;

		i += ascii_span(str_sub(s, i, s.n));
		if (i == s.n)
			return i;
		n = valid_sequence(str_sub(s, i, s.n), &c);
		if (n == 0)
			return i;
		i += n;
	}
}

bool
utf8_valid(struct str s)
{
	return valid_span(s) == s.n;
}

size_t
utf8_length(struct str s)
{
	size_t length = 0;

	while (s.n) {
		size_t n = ascii_span(s);

		length += n;
		s = str_sub(s, n, s.n);
		if (s.n) {
			(void)utf8_next(&s);
			length++;
		}
	}
	return length;
}

bool
utf8_is_ascii(struct str s)
{
	return ascii_span(s) == s.n;
}

struct str
utf8_cut(struct str s, size_t n)
{
	if (n >= s.n)
		return s;
	for (unsigned back = 0; back < 4 && back <= n; back++) {
		size_t at = n - back;

		if (((unsigned char)s.p[at] & 0xc0) != 0x80) {
			uint32_t c;

			/* The character that would be cut goes; a stray byte
			 * cuts nothing. */
			if (back && valid_sequence(str_sub(s, at, s.n), &c) > back)
				return str_sub(s, 0, at);
			break;
		}
	}
	return str_sub(s, 0, n);
}

int
utf8_add(struct buf *out, uint32_t c)
{
	char b[4];
	size_t n;

	if (c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		c = UTF8_REPLACEMENT;
	if (c < 0x80) {
		b[0] = (char)c;
		n = 1;
	} else if (c < 0x800) {
		b[0] = (char)(0xc0 | c >> 6);
		n = 2;
	} else if (c < 0x10000) {
		b[0] = (char)(0xe0 | c >> 12);
		n = 3;
	} else {
		b[0] = (char)(0xf0 | c >> 18);
		n = 4;
	}
	for (size_t i = 1; i < n; i++)
		b[i] = (char)(0x80 | (c >> (6 * (n - 1 - i)) & 0x3f));
	return buf_add(out, b, n);
}

int
utf8_add_fixed(struct buf *out, struct str s)
{
	while (s.n) {
		size_t n = valid_span(s);

		if (n && buf_add(out, s.p, n) < 0) {
			size_t room = out->max - out->n;

			(void)buf_adds(out, utf8_cut(str_sub(s, 0, n), room));
			return -1;
		}
		s = str_sub(s, n, s.n);
		if (s.n) {
			if (utf8_add(out, UTF8_REPLACEMENT) < 0)
				return -1;
			s = str_sub(s, 1, s.n);
		}
	}
	return 0;
}
