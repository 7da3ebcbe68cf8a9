#include "lda/lmtp/path.h"

#include <string.h>

bool
lmtp_utf8_valid(struct str s)
{
	size_t i = 0, more;
	unsigned char c, second, least, most;

	while (i < s.n) {
		c = (unsigned char)s.p[i++];
		if (c < 0x80)
			continue;
		if (c < 0xc2 || c > 0xf4)
			return false;
		more = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
		if (s.n - i < more)
			return false;
		/* The second byte carries what RFC 3629 section 4 forbids. */
		second = (unsigned char)s.p[i];
		least = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
		most = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
		if (second < least || second > most)
			return false;
		for (size_t k = 1; k < more; k++)
			if (((unsigned char)s.p[i + k] & 0xc0) != 0x80)
				return false;
		i += more;
	}
	return true;
}

static bool
is_utf8_byte(char c)
{
	return (unsigned char)c >= 0x80;
}

static bool
is_atext(char c)
{
	return c && (ascii_isalnum(c) || strchr("!#$%&'*+-/=?^_`{|}~", c));
}

/* Takes c away from the front of *in. */
static bool
take(struct str *in, char c)
{
	if (in->n == 0 || in->p[0] != c)
		return false;
	*in = str_sub(*in, 1, in->n);
	return true;
}

static bool
local_add(struct lmtp_path *path, char c)
{
	if (path->local_n == LMTP_LOCAL_MAX)
		return false;
	path->local[path->local_n++] = c;
	return true;
}

/* Quoted-string: printable and UTF-8 characters only. A control character,
 * quoted or not, ends in nothing good in a mailbox or a log. */
static bool
quoted(struct str *in, struct lmtp_path *path)
{
	char c;

	while (in->n) {
		c = in->p[0];
		*in = str_sub(*in, 1, in->n);
		if (c == '"')
			return path->local_n > 0;
		if (c == '\\') {
			if (in->n == 0)
				return false;
			c = in->p[0];
			*in = str_sub(*in, 1, in->n);
		}
		if (ascii_iscntrl(c) || !local_add(path, c))
			return false;
	}
	return false;
}

/* Dot-string, but dots may stand where they like: mobile operators have
 * handed out such addresses (a..b@, a.@), and they do no harm. */
static bool
unquoted(struct str *in, struct lmtp_path *path)
{
	while (in->n && (is_atext(in->p[0]) || in->p[0] == '.' ||
	    is_utf8_byte(in->p[0]))) {
		if (!local_add(path, in->p[0]))
			return false;
		*in = str_sub(*in, 1, in->n);
	}
	return path->local_n > 0;
}

/* Domain or address literal. Underscores occur in the wild. */
static bool
domain(struct str *in, struct str *domain_r)
{
	struct str start = *in;
	size_t n = 0, label = 0;
	char c;

	if (take(in, '[')) {
		while (in->n && (ascii_isalnum(in->p[0]) ||
		    (in->p[0] && strchr(".:-", in->p[0])))) {
			*in = str_sub(*in, 1, in->n);
			n++;
		}
		if (n == 0 || !take(in, ']'))
			return false;
		n += 2;
	} else {
		while (n < in->n) {
			c = in->p[n];
			if (c == '.') {
				if (label == 0)
					return false;
				label = 0;
			} else if (ascii_isalnum(c) || c == '-' || c == '_' ||
			    is_utf8_byte(c)) {
				if (++label > LMTP_LABEL_MAX)
					return false;
			} else {
				break;
			}
			n++;
		}
		if (label == 0)
			return false;
		*in = str_sub(*in, n, in->n);
	}
	*domain_r = str_sub(start, 0, n);
	return n <= LMTP_DOMAIN_MAX;
}

/* "@a,@b:" (RFC 5321 section 4.1.1.3: accepted and ignored). */
static bool
route(struct str *in)
{
	struct str ignored;

	if (in->n == 0 || in->p[0] != '@')
		return true;
	do {
		if (!take(in, '@') || !domain(in, &ignored))
			return false;
	} while (take(in, ','));
	return take(in, ':');
}

/* What stands between the brackets, up to the closing one. */
static bool
inside(struct str *in, enum lmtp_path_for what, struct lmtp_path *path)
{
	struct str start;

	if (in->n && in->p[0] == '>')
		return what == LMTP_PATH_SENDER;
	if (!route(in))
		return false;
	start = *in;
	if (!(take(in, '"') ? quoted(in, path) : unquoted(in, path)))
		return false;
	if (take(in, '@')) {
		if (!domain(in, &path->domain))
			return false;
	} else if (what != LMTP_PATH_RECIPIENT ||
	    !str_caseeq(str_mem(path->local, path->local_n),
	    STR("postmaster"))) {
		return false;
	}
	path->text = str_sub(start, 0, start.n - in->n);
	return true;
}

enum lmtp_path_error
lmtp_path_parse(struct str *in, enum lmtp_path_for what, enum lmtp_utf8 utf8,
    struct lmtp_path *path_r)
{
	*path_r = (struct lmtp_path){ .text = STR(""), .domain = STR("") };
	if (!take(in, '<'))
		return LMTP_PATH_SYNTAX;
	if (!inside(in, what, path_r))
		return LMTP_PATH_BAD;
	if (!take(in, '>'))
		return LMTP_PATH_BAD;
	path_r->local[path_r->local_n] = '\0';
	for (size_t i = 0; i < path_r->text.n; i++)
		path_r->utf8 = path_r->utf8 || is_utf8_byte(path_r->text.p[i]);
	if (!path_r->utf8)
		return LMTP_PATH_OK;
	if (!lmtp_utf8_valid(path_r->text))
		return LMTP_PATH_BAD;
	/* A quoted pair may stand before any byte of a character. */
	if (!lmtp_utf8_valid(str_mem(path_r->local, path_r->local_n)))
		return LMTP_PATH_BAD;
	return utf8 == LMTP_UTF8 ? LMTP_PATH_OK : LMTP_PATH_UTF8;
}
