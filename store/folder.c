#include "store/folder.h"

#include <stdint.h>

/* RFC 3501 section 5.1.3: base64 with ',' for '/' and no padding. */
static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    "0123456789+,";

bool
folder_is_inbox(struct str name)
{
	return str_caseeq(name, STR("INBOX"));
}

/* The next character, or -1 when the bytes are no UTF-8 (RFC 3629). */
static int32_t
next_char(struct str *s)
{
	const unsigned char *p = (const unsigned char *)s->p;
	size_t n = p[0] < 0x80 ? 1 : p[0] >= 0xc2 && p[0] < 0xe0 ? 2 :
	    p[0] >= 0xe0 && p[0] < 0xf0 ? 3 : p[0] >= 0xf0 && p[0] < 0xf5 ? 4 : 0;
	int32_t c;

	if (n == 0 || n > s->n)
		return -1;
	c = n == 1 ? p[0] : p[0] & (0x7f >> n);
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return -1;
		c = c << 6 | (p[i] & 0x3f);
	}
	if ((n == 3 && c < 0x800) || (n == 4 && c < 0x10000) || c > 0x10ffff ||
	    (c >= 0xd800 && c <= 0xdfff))
		return -1;
	*s = str_sub(*s, n, s->n);
	return c;
}

struct bits {
	uint32_t held;
	int count;
	struct buf *out;
};

static void
add_unit(struct bits *b, uint32_t unit)
{
	b->held = b->held << 16 | unit;
	for (b->count += 16; b->count >= 6; b->count -= 6)
		buf_addc(b->out, base64[b->held >> (b->count - 6) & 63]);
	b->held &= (1u << b->count) - 1;
}

static void
end_bits(struct bits *b)
{
	if (b->count > 0)
		buf_addc(b->out, base64[b->held << (6 - b->count) & 63]);
	*b = (struct bits){ .out = b->out };
}

/* A file name less what ".NAME.vbox-undo" and "NAME.lock" add to it. */
#define MBOX_NAME_MAX 240

/* One level in modified UTF-7; -1 when it is no UTF-8. */
static int
add_level(struct str level, struct buf *out)
{
	struct bits b = { .out = out };
	bool shifted = false;

	while (level.n) {
		int32_t c = next_char(&level);

		if (c < 0)
			return -1;
		if (c < 0x20 || c == 0x7f)
			return -1;
		if (c < 0x80) {
			if (shifted) {
				end_bits(&b);
				buf_addc(out, '-');
				shifted = false;
			}
			buf_addc(out, (char)c);
			if (c == '&')
				buf_addc(out, '-');
			continue;
		}
		if (!shifted)
			buf_addc(out, '&');
		shifted = true;
		if (c >= 0x10000) {
			add_unit(&b, 0xd800u + ((uint32_t)(c - 0x10000) >> 10));
			add_unit(&b, 0xdc00u + ((uint32_t)(c - 0x10000) & 0x3ff));
		} else {
			add_unit(&b, (uint32_t)c);
		}
	}
	if (shifted) {
		end_bits(&b);
		buf_addc(out, '-');
	}
	return 0;
}

/* Names that mailbox programs keep for themselves. */
static bool
taken(enum mailbox_format format, struct str level)
{
	if (format == MAILBOX_MAILDIR)
		return false;	/* always behind a dot there */
	return str_ends(level, STR(".lock")) || level.p[0] == '.' ||
	    str_caseeq(level, STR("mbox")) || str_starts(level, STR("dovecot")) ||
	    str_caseeq(level, STR("INBOX"));
}

int
folder_path(enum mailbox_format format, struct str name, struct buf *out,
    struct verdict *v)
{
	char divider = format == MAILBOX_MAILDIR ? '.' : '/';
	struct str rest = name, level;
	unsigned levels = 0;

	/* Either separator is understood, but '.' divides nothing in an mbox
	 * tree, where it is part of a name. */
	if (str_casestarts(rest, STR("INBOX/")) ||
	    (format == MAILBOX_MAILDIR && str_casestarts(rest, STR("INBOX."))))
		rest = str_sub(rest, 6, rest.n);
	buf_reset(out);
	for (;;) {
		size_t n = 0;
		bool last;

		while (n < rest.n && rest.p[n] != '/' &&
		    !(format == MAILBOX_MAILDIR && rest.p[n] == '.'))
			n++;
		last = n == rest.n;
		level = str_sub(rest, 0, n);
		if (level.n == 0 || str_eq(level, STR(".")) ||
		    str_eq(level, STR("..")) || level.p[0] == '~' ||
		    taken(format, level) || ++levels > FOLDER_LEVELS_MAX)
			return verdict_set(v, V_BAD_ADDRESS,
			    "folder name is not usable");
		if (format == MAILBOX_MAILDIR || levels > 1)
			buf_addc(out, divider);
		n = out->n;
		if (add_level(level, out) < 0)
			return verdict_set(v, V_BAD_ADDRESS,
			    "folder name is not UTF-8 or has control characters");
		if (format == MAILBOX_MBOX && out->n - n > MBOX_NAME_MAX)
			return verdict_set(v, V_BAD_ADDRESS,
			    "folder name is too long");
		if (last)
			break;
		rest = str_sub(rest, level.n + 1, rest.n);
	}
	if (out->full || out->n > FOLDER_NAME_MAX)
		return verdict_set(v, V_BAD_ADDRESS, "folder name is too long");
	return 0;
}

static int
base64_value(char c)
{
	for (int i = 0; base64[i]; i++)
		if (base64[i] == c)
			return i;
	return -1;
}

static int
add_char(uint32_t c, struct buf *out)
{
	if (c < 0x20 || c == 0x7f)
		return -1;
	if (c < 0x80) {
		buf_addc(out, (char)c);
	} else if (c < 0x800) {
		buf_addc(out, (char)(0xc0 | c >> 6));
		buf_addc(out, (char)(0x80 | (c & 0x3f)));
	} else if (c < 0x10000) {
		buf_addc(out, (char)(0xe0 | c >> 12));
		buf_addc(out, (char)(0x80 | (c >> 6 & 0x3f)));
		buf_addc(out, (char)(0x80 | (c & 0x3f)));
	} else {
		buf_addc(out, (char)(0xf0 | c >> 18));
		buf_addc(out, (char)(0x80 | (c >> 12 & 0x3f)));
		buf_addc(out, (char)(0x80 | (c >> 6 & 0x3f)));
		buf_addc(out, (char)(0x80 | (c & 0x3f)));
	}
	return 0;
}

/* What stands between & and -: UTF-16 in base64. */
static int
add_shifted(struct str s, struct buf *out)
{
	uint32_t held = 0, high = 0;
	int count = 0;

	for (size_t i = 0; i < s.n; i++) {
		int v = base64_value(s.p[i]);
		uint32_t unit;

		if (v < 0)
			return -1;
		held = held << 6 | (uint32_t)v;
		count += 6;
		if (count < 16)
			continue;
		count -= 16;
		unit = held >> count & 0xffff;
		held &= (1u << count) - 1;
		if (unit >= 0xd800 && unit < 0xdc00) {
			if (high)
				return -1;
			high = unit;
			continue;
		}
		if ((unit >= 0xdc00 && unit < 0xe000) != (high != 0))
			return -1;
		if (high)
			unit = 0x10000 + ((high - 0xd800) << 10) +
			    (unit - 0xdc00);
		high = 0;
		if (add_char(unit, out) < 0)
			return -1;
	}
	return high || held ? -1 : 0;
}

int
folder_name(enum mailbox_format format, struct str path, struct buf *out)
{
	buf_reset(out);
	if (format == MAILBOX_MAILDIR)
		path = str_sub(path, 1, path.n);
	for (size_t i = 0; i < path.n; i++) {
		char c = path.p[i];
		ptrdiff_t end;

		if (c != '&') {
			if (add_char(format == MAILBOX_MAILDIR && c == '.' ?
			    '/' : (unsigned char)c, out) < 0 ||
			    (unsigned char)c >= 0x80)
				return -1;
			continue;
		}
		end = str_chr(str_sub(path, i, path.n), '-');
		if (end < 0 || (end == 1 ? buf_addc(out, '&') :
		    add_shifted(str_sub(path, i + 1, (size_t)end - 1), out)) < 0)
			return -1;
		i += (size_t)end;
	}
	return out->full || !out->n ? -1 : 0;
}
