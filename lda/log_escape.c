#include "lda/log_escape.h"

#include <stdbool.h>
#include <stdint.h>

/* The length of the valid UTF-8 character at s (RFC 3629), or 0. */
static size_t
utf8_char(struct str s, uint32_t *code_r)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned char c = (unsigned char)s.p[0];
	uint32_t code;
	size_t n;

	if (c < 0x80) {
		*code_r = c;
		return 1;
	}
	if (c >= 0xc2 && c <= 0xdf) {
		n = 2;
		code = c & 0x1f;
	} else if (c >= 0xe0 && c <= 0xef) {
		n = 3;
		code = c & 0x0f;
	} else if (c >= 0xf0 && c <= 0xf4) {
		n = 4;
		code = c & 0x07;
	} else {
		return 0;
	}
	if (s.n < n)
		return 0;
	for (size_t i = 1; i < n; i++) {
		c = (unsigned char)s.p[i];
		if ((c & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (c & 0x3f);
	}
	if (code < least[n] || code > 0x10ffff ||
	    (code >= 0xd800 && code <= 0xdfff))
		return 0;
	*code_r = code;
	return n;
}

/* Controls of C0 and C1, line and paragraph separators, what has no width or
 * turns the direction (Unicode TR 36, section 2.7), and tags. */
static bool
is_tricky(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code <= 0x9f) ||
	    code == 0xad || code == 0x061c || code == 0x180e ||
	    (code >= 0x200b && code <= 0x200f) ||
	    (code >= 0x2028 && code <= 0x202e) ||
	    (code >= 0x2060 && code <= 0x206f) || code == 0xfeff ||
	    (code >= 0xfff9 && code <= 0xfffb) ||
	    (code >= 0xe0000 && code <= 0xe0fff);
}

/* How many bytes at the front go into a log as they are. */
static size_t
harmless(struct str s)
{
	size_t n = 0;

	while (n < s.n && s.p[n] >= 0x20 && s.p[n] < 0x7f && s.p[n] != '"' &&
	    s.p[n] != '\\')
		n++;
	return n;
}

void
log_escape(struct str s, struct buf *out)
{
	while (s.n > 0) {
		uint32_t code = 0;
		size_t n = harmless(s);

		if (n > 0) {
			/* A byte at a time, as far as there is room. */
			if (buf_add(out, s.p, n) < 0)
				for (size_t i = 0; i < n &&
				    buf_addc(out, s.p[i]) == 0; i++)
					continue;
			s = str_sub(s, n, s.n);
			continue;
		}
		n = utf8_char(s, &code);

		if (n > 0 && !is_tricky(code)) {
			if (code == '"' || code == '\\')
				(void)buf_addc(out, '\\');
			(void)buf_add(out, s.p, n);
		} else if (n == 1 && code == '\n') {
			(void)buf_addz(out, "\\n");
		} else if (n == 1 && code == '\r') {
			(void)buf_addz(out, "\\r");
		} else if (n == 1 && code == '\t') {
			(void)buf_addz(out, "\\t");
		} else {
			n = n ? n : 1;
			for (size_t i = 0; i < n; i++)
				(void)buf_addf(out, "\\x%02X",
				    (unsigned char)s.p[i]);
		}
		s = str_sub(s, n, s.n);
	}
}

void
log_escape_json(struct str s, struct buf *out)
{
	while (s.n > 0) {
		uint32_t code = 0;
		size_t n = utf8_char(s, &code);

		if (n == 0) {
			(void)buf_addz(out, "\\ufffd");
			n = 1;
		} else if (is_tricky(code) && code > 0xffff) {
			/* As a surrogate pair, RFC 8259 section 7. */
			(void)buf_addf(out, "\\u%04x\\u%04x",
			    (unsigned)(0xd800 + ((code - 0x10000) >> 10)),
			    (unsigned)(0xdc00 + (code & 0x3ff)));
		} else if (is_tricky(code)) {
			(void)buf_addf(out, "\\u%04x", (unsigned)code);
		} else {
			if (code == '"' || code == '\\')
				(void)buf_addc(out, '\\');
			(void)buf_add(out, s.p, n);
		}
		s = str_sub(s, n, s.n);
	}
}
