#include "lda/lmtp/param.h"

#include "lda/lmtp/path.h"

enum lmtp_param_next
lmtp_param_next(struct str *in, struct lmtp_param *param_r)
{
	struct lmtp_param param = { .value = STR("") };
	ptrdiff_t eq;
	size_t n;

	if (in->n && !ascii_isblank(in->p[0]))
		return LMTP_PARAM_BAD;
	while (in->n && ascii_isblank(in->p[0]))
		*in = str_sub(*in, 1, in->n);
	if (in->n == 0)
		return LMTP_PARAM_END;
	for (n = 0; n < in->n && !ascii_isblank(in->p[n]); n++)
		if (ascii_iscntrl(in->p[n]))
			return LMTP_PARAM_BAD;
	param.key = str_sub(*in, 0, n);
	*in = str_sub(*in, n, in->n);
	eq = str_chr(param.key, '=');
	if (eq >= 0) {
		param.has_value = true;
		param.value = str_sub(param.key, (size_t)eq + 1, n);
		param.key = str_sub(param.key, 0, (size_t)eq);
		if (param.value.n == 0)
			return LMTP_PARAM_BAD;
	}
	if (param.key.n == 0 || !ascii_isalnum(param.key.p[0]))
		return LMTP_PARAM_BAD;
	for (size_t i = 0; i < param.key.n; i++)
		if (!ascii_isalnum(param.key.p[i]) && param.key.p[i] != '-')
			return LMTP_PARAM_BAD;
	*param_r = param;
	return LMTP_PARAM_FOUND;
}

/* The character behind "+XX", or -1. */
static int
escaped(struct str s)
{
	int high, low;

	if (s.n < 3)
		return -1;
	high = ascii_hex(s.p[1]);
	low = ascii_hex(s.p[2]);
	return high < 0 || low < 0 ? -1 : high * 16 + low;
}

int
lmtp_xtext_decode(struct str s, struct buf *out)
{
	int c;

	for (size_t i = 0; i < s.n; i++) {
		c = (unsigned char)s.p[i];
		if (c == '+') {
			c = escaped(str_sub(s, i, 3));
			i += 2;
		}
		if (c < ' ' || c == 0x7f)
			return -1;
		if (buf_addc(out, (char)c) < 0)
			return -1;
	}
	return 0;
}

static int
add_utf8(struct buf *out, unsigned long c)
{
	char b[4];
	size_t n;

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
		b[i] = (char)(0x80 | (c >> 6 * (n - 1 - i) & 0x3f));
	return buf_add(out, b, n);
}

/* Reads "\x{HEX}" at the front; its length, or 0. */
static size_t
embedded(struct str s, unsigned long *c_r)
{
	unsigned long c = 0;
	size_t i;

	if (!str_starts(s, STR("\\x{")))
		return 0;
	for (i = 3; i < s.n && i < 9 && ascii_hex(s.p[i]) >= 0; i++)
		c = c * 16 + (unsigned long)ascii_hex(s.p[i]);
	if (i == 3 || i >= s.n || s.p[i] != '}' || c < 0x20 || c == 0x7f ||
	    c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return 0;
	*c_r = c;
	return i + 1;
}

int
lmtp_unitext_decode(struct str s, struct buf *out)
{
	unsigned long c;
	size_t n;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] != '\\') {
			if (ascii_iscntrl(s.p[i]) || buf_addc(out, s.p[i]) < 0)
				return -1;
			continue;
		}
		n = embedded(str_sub(s, i, s.n), &c);
		if (n == 0 || add_utf8(out, c) < 0)
			return -1;
		i += n - 1;
	}
	return lmtp_utf8_valid(buf_str(out)) ? 0 : -1;
}
