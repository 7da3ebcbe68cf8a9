#include "filters/message/charset.h"

#include <errno.h>
#include <iconv.h>
#include <string.h>

#include "filters/message/charset_tables.h"
#include "filters/message/limits.h"
#include "filters/message/utf8.h"

/*
 * Multi-byte charsets left to iconv(3). ISO-2022-CN-EXT is not among them:
 * glibc's encoder overflowed (CVE-2024-2961), and nobody sends it. GB2312 and
 * GBK are read by their superset, as every mail reader does.
 */
struct iconv_set {
	const char *key, *name;
	iconv_t cd;
	bool open;
};

static struct iconv_set iconv_sets[] = {
	{ .key = "gb18030", .name = "GB18030" },
	{ .key = "big5", .name = "BIG5-HKSCS" },
	{ .key = "euckr", .name = "UHC" },
	{ .key = "iso2022jp", .name = "ISO-2022-JP-2" },
	{ .key = "shiftjis", .name = "CP932" },
	{ .key = "eucjp", .name = "EUC-JP" },
	{ .key = "iso2022kr", .name = "ISO-2022-KR" },
	{ .key = "euctw", .name = "EUC-TW" },
	{ .key = "johab", .name = "JOHAB" },
	{ .key = "tcvn", .name = "TCVN" },
	{ .key = "viscii", .name = "VISCII" },
};

#define ICONV_SETS (sizeof(iconv_sets) / sizeof(iconv_sets[0]))

static bool sealed;

/* Names as mail has them, without anything but letters and digits. */
static const struct {
	const char *alias, *key;
} aliases[] = {
	{ "ascii", "usascii" }, { "ansix341968", "usascii" },
	{ "iso646us", "usascii" }, { "us", "usascii" },
	{ "7bit", "usascii" },
	{ "unicode11utf8", "utf8" }, { "xunicode20utf8", "utf8" },
	{ "utf8mac", "utf8" }, { "cp65001", "utf8" },
	{ "unicode11utf7", "utf7" }, { "csunicode11utf7", "utf7" },
	{ "ucs2", "utf16" }, { "iso10646ucs2", "utf16" },
	{ "unicode", "utf16" },
	{ "latin1", "iso88591" }, { "l1", "iso88591" },
	{ "iso885911987", "iso88591" }, { "cp819", "iso88591" },
	{ "ibm819", "iso88591" }, { "8859", "iso88591" },
	{ "88591", "iso88591" },
	{ "latin2", "iso88592" }, { "l2", "iso88592" },
	{ "iso885921987", "iso88592" }, { "latin3", "iso88593" },
	{ "latin4", "iso88594" }, { "cyrillic", "iso88595" },
	{ "iso885951988", "iso88595" }, { "arabic", "iso88596" },
	{ "iso885961987", "iso88596" }, { "iso88596e", "iso88596" },
	{ "iso88596i", "iso88596" }, { "greek", "iso88597" },
	{ "iso885971987", "iso88597" }, { "hebrew", "iso88598" },
	{ "iso885981988", "iso88598" }, { "iso88598e", "iso88598" },
	{ "iso88598i", "iso88598" }, { "latin5", "iso88599" },
	{ "iso885991989", "iso88599" }, { "latin6", "iso885910" },
	{ "tis620", "windows874" }, { "iso885911", "windows874" },
	{ "cp874", "windows874" }, { "ibm874", "windows874" },
	{ "latin7", "iso885913" }, { "latin8", "iso885914" },
	{ "latin9", "iso885915" }, { "latin0", "iso885915" },
	{ "latin10", "iso885916" },
	{ "cp1250", "windows1250" }, { "cp1251", "windows1251" },
	{ "cp1252", "windows1252" }, { "cp1253", "windows1253" },
	{ "cp1254", "windows1254" }, { "cp1255", "windows1255" },
	{ "cp1256", "windows1256" }, { "cp1257", "windows1257" },
	{ "cp1258", "windows1258" }, { "win1251", "windows1251" },
	{ "win1252", "windows1252" }, { "ansi", "windows1252" },
	{ "koi8", "koi8r" }, { "cskoi8r", "koi8r" },
	{ "macroman", "macintosh" }, { "mac", "macintosh" },
	{ "cp437", "ibm437" }, { "cp850", "ibm850" },
	{ "cp852", "ibm852" }, { "cp866", "ibm866" },
	{ "gb2312", "gb18030" }, { "gbk", "gb18030" },
	{ "cp936", "gb18030" }, { "euccn", "gb18030" },
	{ "gb231280", "gb18030" }, { "csgb2312", "gb18030" },
	{ "windows936", "gb18030" }, { "ms936", "gb18030" },
	{ "big5hkscs", "big5" }, { "cp950", "big5" },
	{ "windows950", "big5" }, { "csbig5", "big5" },
	{ "cp949", "euckr" }, { "uhc", "euckr" },
	{ "ksc56011987", "euckr" }, { "ksc5601", "euckr" },
	{ "windows949", "euckr" }, { "cseuckr", "euckr" },
	{ "iso2022jp2", "iso2022jp" }, { "iso2022jp1", "iso2022jp" },
	{ "csiso2022jp", "iso2022jp" }, { "jis", "iso2022jp" },
	{ "sjis", "shiftjis" }, { "cp932", "shiftjis" },
	{ "windows31j", "shiftjis" }, { "mskanji", "shiftjis" },
	{ "ms932", "shiftjis" }, { "cseucpkdfmtjapanese", "eucjp" },
	{ "ujis", "eucjp" }, { "csiso2022kr", "iso2022kr" },
};

enum kind {
	KIND_NONE, KIND_UTF8, KIND_ASCII, KIND_LATIN1, KIND_TABLE,
	KIND_UTF16, KIND_UTF16BE, KIND_UTF16LE, KIND_UTF7, KIND_ICONV,
};

struct known {
	enum kind kind;
	unsigned index;
};

static bool
key_is(struct str key, const char *z)
{
	return str_eq(key, str_of(z));
}

/* The set with this name, in whatever spelling. */
static struct known
look_up(struct str name)
{
	static const struct {
		const char *key;
		enum kind kind;
	} own[] = {
		{ "utf8", KIND_UTF8 }, { "", KIND_ASCII },
		{ "usascii", KIND_ASCII }, { "iso88591", KIND_LATIN1 },
		{ "utf16", KIND_UTF16 }, { "utf16be", KIND_UTF16BE },
		{ "utf16le", KIND_UTF16LE }, { "utf7", KIND_UTF7 },
	};
	char buf[CHARSET_NAME_MAX];
	struct str key = { buf, 0 };

	if (name.n > sizeof(buf))
		return (struct known){ KIND_NONE, 0 };
	for (size_t i = 0; i < name.n; i++)
		if (ascii_isalnum(name.p[i]))
			buf[key.n++] = ascii_lower(name.p[i]);
	if (key.n == 0 && name.n)
		return (struct known){ KIND_NONE, 0 };
	/* x-sjis, x-mac-roman: names of before they were registered. */
	if (name.n > 2 && str_casestarts(name, STR("x-")))
		key = str_sub(key, 1, key.n);
	for (int aliased = 0; aliased < 2; aliased++) {
		for (unsigned i = 0; i < sizeof(own) / sizeof(own[0]); i++)
			if (key_is(key, own[i].key))
				return (struct known){ own[i].kind, 0 };
		for (unsigned i = 0; i < charset_tables_n; i++)
			if (key_is(key, charset_tables[i].key))
				return (struct known){ KIND_TABLE, i };
		for (unsigned i = 0; i < ICONV_SETS; i++)
			if (key_is(key, iconv_sets[i].key))
				return (struct known){ KIND_ICONV, i };
		for (unsigned i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++)
			if (key_is(key, aliases[i].alias)) {
				key = str_of(aliases[i].key);
				break;
			}
	}
	return (struct known){ KIND_NONE, 0 };
}

static bool
ready(struct iconv_set *set)
{
	if (!set->open && !sealed) {
		iconv_t cd = iconv_open("UTF-8", set->name);

		if (cd != (iconv_t)-1) {
			set->cd = cd;
			set->open = true;
		}
	}
	return set->open;
}

static void
by_table(const uint16_t *upper, struct str s, struct buf *out)
{
	for (size_t i = 0; i < s.n && !out->full; i++) {
		unsigned char c = (unsigned char)s.p[i];

		(void)utf8_add(out, c < 0x80 ? c : upper ? upper[c - 0x80] : c);
	}
}

static void
utf16(struct str s, enum kind kind, struct buf *out)
{
	const unsigned char *p = (const unsigned char *)s.p;
	uint32_t high = 0;
	size_t i = 0;
	bool little = kind == KIND_UTF16LE;

	/* RFC 2781 4.3: big unless a mark says otherwise. */
	if (s.n >= 2 && ((p[0] == 0xfe && p[1] == 0xff) ||
	    (p[0] == 0xff && p[1] == 0xfe))) {
		if (kind == KIND_UTF16)
			little = p[0] == 0xff;
		if ((p[0] == 0xff) == little)
			i = 2;
	}
	for (; s.n - i >= 2 && !out->full; i += 2) {
		uint32_t c = little ? (uint32_t)p[i + 1] << 8 | p[i] :
		    (uint32_t)p[i] << 8 | p[i + 1];

		if (high && c >= 0xdc00 && c <= 0xdfff) {
			(void)utf8_add(out, 0x10000 + ((high - 0xd800) << 10) +
			    (c - 0xdc00));
			high = 0;
			continue;
		}
		if (high)
			(void)utf8_add(out, UTF8_REPLACEMENT);
		high = c >= 0xd800 && c <= 0xdbff ? c : 0;
		if (!high)
			(void)utf8_add(out, c);	/* a stray low half: U+FFFD */
	}
	if (high || i < s.n)
		(void)utf8_add(out, UTF8_REPLACEMENT);
}

/* RFC 2152. */
static void
utf7(struct str s, struct buf *out)
{
	uint32_t bits = 0, high = 0;
	unsigned n_bits = 0;
	bool shifted = false, fresh = false;

	for (size_t i = 0; i < s.n && !out->full; i++) {
		char c = s.p[i];
		int v;

		if (!shifted) {
			if (c == '+') {
				shifted = fresh = true;
				bits = n_bits = high = 0;
			} else {
				(void)utf8_add(out, (unsigned char)c < 0x80 ?
				    (uint32_t)c : UTF8_REPLACEMENT);
			}
			continue;
		}
		v = c >= 'A' && c <= 'Z' ? c - 'A' :
		    c >= 'a' && c <= 'z' ? c - 'a' + 26 :
		    c >= '0' && c <= '9' ? c - '0' + 52 :
		    c == '+' ? 62 : c == '/' ? 63 : -1;
		if (v < 0) {
			if (high)
				(void)utf8_add(out, UTF8_REPLACEMENT);
			shifted = false;
			high = 0;
			if (c == '-') {
				if (fresh)
					(void)buf_addc(out, '+');
			} else {
				i--;	/* read once more, as plain text */
			}
			continue;
		}
		fresh = false;
		bits = (bits << 6 | (uint32_t)v) & 0x3fffff;
		n_bits += 6;
		if (n_bits >= 16) {
			uint32_t u = bits >> (n_bits - 16) & 0xffff;

			n_bits -= 16;
			if (high && u >= 0xdc00 && u <= 0xdfff) {
				(void)utf8_add(out, 0x10000 +
				    ((high - 0xd800) << 10) + (u - 0xdc00));
				high = 0;
			} else {
				if (high)
					(void)utf8_add(out, UTF8_REPLACEMENT);
				high = u >= 0xd800 && u <= 0xdbff ? u : 0;
				if (!high)
					(void)utf8_add(out, u);
			}
		}
	}
	if (high)
		(void)utf8_add(out, UTF8_REPLACEMENT);
}

static void
by_iconv(iconv_t cd, struct str s, struct buf *out)
{
	char *in = (char *)(uintptr_t)s.p;	/* iconv(3) only reads it */
	size_t left = s.n;
	unsigned errors = 0;

	(void)iconv(cd, NULL, NULL, NULL, NULL);	/* first state */
	while (left && !out->full) {
		char chunk[4096], *to = chunk;
		size_t room = sizeof(chunk), r;

		r = iconv(cd, &in, &left, &to, &room);
		if (r == (size_t)-1 && errno != E2BIG) {
			(void)utf8_add_fixed(out,
			    str_mem(chunk, (size_t)(to - chunk)));
			if (left == 0)
				break;
			/* A byte that begins nothing, or a cut character. */
			(void)utf8_add(out, UTF8_REPLACEMENT);
			in++;
			left--;
			if (++errors < CHARSET_ERRORS_MAX)
				continue;
			(void)utf8_add_fixed(out, str_mem(in, left));
			break;
		}
		(void)utf8_add_fixed(out, str_mem(chunk, (size_t)(to - chunk)));
		if (r == (size_t)-1 && to == chunk)
			break;	/* no progress: cannot be */
	}
}

enum charset_answer
charset_to_utf8(struct str charset, struct str bytes, struct buf *out)
{
	struct known k = look_up(charset);

	switch (k.kind) {
	case KIND_LATIN1:
		by_table(NULL, bytes, out);
		return CHARSET_CONVERTED;
	case KIND_TABLE:
		by_table(charset_tables[k.index].upper, bytes, out);
		return CHARSET_CONVERTED;
	case KIND_UTF16:
	case KIND_UTF16BE:
	case KIND_UTF16LE:
		utf16(bytes, k.kind, out);
		return CHARSET_CONVERTED;
	case KIND_UTF7:
		utf7(bytes, out);
		return CHARSET_CONVERTED;
	case KIND_ICONV:
		if (ready(&iconv_sets[k.index])) {
			by_iconv(iconv_sets[k.index].cd, bytes, out);
			return CHARSET_CONVERTED;
		}
		(void)utf8_add_fixed(out, bytes);
		return CHARSET_UNKNOWN;
	case KIND_UTF8:
	case KIND_ASCII:
		(void)utf8_add_fixed(out, bytes);
		return CHARSET_CONVERTED;
	case KIND_NONE:
		break;
	}
	(void)utf8_add_fixed(out, bytes);
	return CHARSET_UNKNOWN;
}

bool
charset_known(struct str charset)
{
	struct known k = look_up(charset);

	return k.kind == KIND_ICONV ? ready(&iconv_sets[k.index]) :
	    k.kind != KIND_NONE;
}

unsigned
charset_preload(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < ICONV_SETS; i++)
		n += ready(&iconv_sets[i]);
	return n;
}

/* The name at the front of s. */
static void
preload_name(struct str s)
{
	size_t n = 0;

	while (n < s.n && n <= CHARSET_NAME_MAX && (ascii_isalnum(s.p[n]) ||
	    s.p[n] == '-' || s.p[n] == '_'))
		n++;
	if (n && n <= CHARSET_NAME_MAX)
		(void)charset_known(str_sub(s, 0, n));
}

unsigned
charset_preload_for(struct str message)
{
	struct str s = message, front;
	unsigned n = 0;
	ptrdiff_t at;

	/* "=?NAME?", charset=NAME, charset="NAME", name*=NAME'': nothing else
	 * of the message need be understood. */
	while ((at = str_chr(s, '=')) >= 0) {
		front = str_sub(s, 0, (size_t)at);
		s = str_sub(s, (size_t)at + 1, s.n);
		if (str_starts(s, STR("?"))) {
			preload_name(str_sub(s, 1, s.n));
		} else if (str_ends(front, STR("*")) || str_caseeq(STR("charset"),
		    str_sub(front, front.n < 7 ? 0 : front.n - 7, 7))) {
			struct str name = str_trim(str_sub(s, 0,
			    CHARSET_NAME_MAX + 8));

			preload_name(str_sub(name,
			    str_starts(name, STR("\"")) ? 1 : 0, name.n));
		}
	}
	for (unsigned i = 0; i < ICONV_SETS; i++)
		n += iconv_sets[i].open;
	return n;
}

void
charset_seal(void)
{
	sealed = true;
}

void
charset_release(void)
{
	for (unsigned i = 0; i < ICONV_SETS; i++) {
		if (iconv_sets[i].open)
			(void)iconv_close(iconv_sets[i].cd);
		iconv_sets[i].open = false;
	}
	sealed = false;
}
