#include "lda/json.h"

/* Length of the UTF-8 character at the beginning (RFC 3629), 0: none. */
static size_t
character(struct str s)
{
	const unsigned char *p = (const unsigned char *)s.p;
	unsigned char least = 0x80, most = 0xbf;
	size_t n;

	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	n = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (n > s.n)
		return 0;
	if (p[0] == 0xe0)
		least = 0xa0;
	if (p[0] == 0xed)
		most = 0x9f;
	if (p[0] == 0xf0)
		least = 0x90;
	if (p[0] == 0xf4)
		most = 0x8f;
	if (p[1] < least || p[1] > most)
		return 0;
	for (size_t i = 2; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

void
json_string(struct buf *out, struct str s)
{
	buf_addc(out, '"');
	while (s.n) {
		size_t n = character(s);

		if (n == 0) {
			buf_addz(out, "\\ufffd");
			n = 1;
		} else if (s.p[0] == '"' || s.p[0] == '\\') {
			buf_addc(out, '\\');
			buf_addc(out, s.p[0]);
		} else if (ascii_iscntrl(s.p[0])) {
			buf_addf(out, "\\u%04x", (unsigned char)s.p[0]);
		} else {
			buf_add(out, s.p, n);
		}
		s = str_sub(s, n, s.n);
	}
	buf_addc(out, '"');
}

void
json_name(struct buf *out, const char *name)
{
	if (out->n && out->p[out->n - 1] != '{' && out->p[out->n - 1] != '[')
		buf_addc(out, ',');
	json_string(out, str_of(name));
	buf_addc(out, ':');
}

void
json_member(struct buf *out, const char *name, struct str value)
{
	json_name(out, name);
	json_string(out, value);
}
