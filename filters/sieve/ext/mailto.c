#include "filters/sieve/ext/mailto.h"

#include "filters/message/address.h"
#include "filters/message/header.h"
#include "filters/message/utf8.h"
#include "filters/sieve/registry.h"
#include "store/base/buf.h"

/* Undoes %XX. NUL and text that is no UTF-8 have no business here. */
static int
decode(struct arena *a, struct str s, struct str *out_r, const char **why_r)
{
	struct buf b;
	int r = -1;

	buf_init(&b, s.n + 1);
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (c == '%') {
			int high, low;

			high = i + 2 < s.n ? ascii_hex(s.p[i + 1]) : -1;
			low = i + 2 < s.n ? ascii_hex(s.p[i + 2]) : -1;
			if (high < 0 || low < 0) {
				*why_r = "a % without two hex digits";
				goto out;
			}
			c = (char)(high * 16 + low);
			i += 2;
		} else if ((unsigned char)c <= ' ' || c == '"' || c == '<' ||
		    c == '>' || (unsigned char)c >= 0x7f) {
			*why_r = "a character that must be written as %XX";
			goto out;
		}
		if (c == '\0') {
			*why_r = "a NUL";
			goto out;
		}
		(void)buf_addc(&b, c);	/* never longer than s */
	}
	*out_r = arena_copy(a, buf_str(&b));
	if (!out_r->p || !utf8_valid(*out_r)) {
		*why_r = "text that is no UTF-8";
		goto out;
	}
	r = 0;
out:
	buf_release(&b);
	return r;
}

enum role {
	TO,
	CC,
};

/* Whoever stands there already gets one copy, and is of "to" if he ever was
 * called that. */
static int
add_address(struct arena *a, struct str text, enum role role,
    struct mailto *m, const char **why_r)
{
	size_t n_to = m->n_to - m->n_cc, i;
	struct address address;

	if (address_parse(a, text, ADDRESS_NAMED, &address, why_r))
		return -1;
	for (i = 0; i < m->n_to; i++)
		if (str_caseeq(m->to[i], address.spec))
			break;
	if (i < n_to || (i < m->n_to && role == CC))
		return 0;
	if (i == m->n_to) {
		if (m->n_to == LIMIT_NOTIFY_TO) {
			*why_r = "more recipients than a notification may "
			    "have";
			return -1;
		}
		m->n_to++;
		m->n_cc++;
	}
	if (role == TO) {
		/* in front of those of "cc" */
		for (; i > n_to; i--)
			m->to[i] = m->to[i - 1];
		m->n_cc--;
	}
	m->to[i] = address.spec;
	return 0;
}

/* RFC 6068 divides addresses by commas and has those inside of one as %2C;
 * RFC 2368 had %2C between them, too. A comma in quotes divides nothing. */
static int
add_addresses(struct arena *a, struct str list, enum role role,
    struct mailto *m, const char **why_r)
{
	struct str rest = list, part;

	while (rest.p && str_split(&rest, ',', &part)) {
		struct address_list several;
		struct str text;

		if (decode(a, part, &text, why_r))
			return -1;
		text = str_trim(text);
		if (text.n == 0)
			continue;
		if (str_chr(text, ',') < 0) {
			if (add_address(a, text, role, m, why_r))
				return -1;
			continue;
		}
		address_list(a, text, &several);
		for (size_t i = 0; i < several.n; i++)
			if (add_address(a, several.list[i].raw, role, m,
			    why_r))
				return -1;
	}
	return 0;
}

/* What would lie about where the mail comes from, or make it loop (RFC 5436
 * section 2.7, RFC 6068 section 4). */
static bool
ignored(struct str name)
{
	static const char *const names[] = { "from", "sender", "date",
	    "message-id", "received", "return-path", "auto-submitted",
	    "bcc", "content-type", "content-transfer-encoding",
	    "content-length", "mime-version", "content-disposition" };

	for (unsigned i = 0; i < COUNT_OF(names); i++)
		if (str_caseeq(str_of(names[i]), name))
			return true;
	return str_casestarts(name, STR("resent-")) ||
	    str_casestarts(name, STR("x-original-"));
}

static int
add_field(struct arena *a, struct str field, struct mailto *m,
    struct buf *headers, const char **why_r)
{
	ptrdiff_t eq = str_chr(field, '=');
	struct str name, value;

	if (eq <= 0) {
		*why_r = "a header field without '='";
		return -1;
	}
	if (decode(a, str_sub(field, 0, (size_t)eq), &name, why_r))
		return -1;
	value = str_sub(field, (size_t)eq + 1, field.n);
	if (str_caseeq(name, STR("to")))
		return add_addresses(a, value, TO, m, why_r);
	if (str_caseeq(name, STR("cc")))
		return add_addresses(a, value, CC, m, why_r);
	if (decode(a, value, &value, why_r))
		return -1;
	if (!header_name_valid(name)) {
		*why_r = "an invalid name of a header field";
		return -1;
	}
	if (str_caseeq(name, STR("subject"))) {
		m->subject = value;
	} else if (str_caseeq(name, STR("body"))) {
		m->body = value;
	} else if (!ignored(name)) {
		/* "X-foo" for "x-foo", as section 2.7 suggests */
		(void)buf_addc(headers, ascii_upper(name.p[0]));
		(void)buf_adds(headers, str_sub(name, 1, name.n));
		(void)buf_addz(headers, ": ");
		for (size_t i = 0; i < value.n; i++)
			(void)buf_addc(headers, ascii_iscntrl(value.p[i]) ?
			    ' ' : value.p[i]);
		(void)buf_addc(headers, '\n');
	}
	return 0;
}

int
mailto_parse(struct arena *a, struct str uri, struct mailto *m_r,
    const char **why_r)
{
	struct mailto m = { 0 };
	struct str rest, fields = { 0 }, field;
	struct buf headers;
	ptrdiff_t mark;
	int r = -1;

	if (!str_casestarts(uri, STR("mailto:"))) {
		*why_r = "no mailto: URI";
		return -1;
	}
	if (uri.n > LIMIT_URI_SIZE) {
		*why_r = "URI too long";
		return -1;
	}
	rest = str_sub(uri, 7, uri.n);
	if (str_chr(rest, '#') >= 0) {
		*why_r = "a mailto URI has no fragment";
		return -1;
	}
	mark = str_chr(rest, '?');
	if (mark >= 0) {
		fields = str_sub(rest, (size_t)mark + 1, rest.n);
		rest = str_sub(rest, 0, (size_t)mark);
	}
	buf_init(&headers, LIMIT_URI_SIZE * 2);
	if (add_addresses(a, rest, TO, &m, why_r))
		goto out;
	if (fields.n)
		while (str_split(&fields, '&', &field))
			if (field.n &&
			    add_field(a, field, &m, &headers, why_r))
				goto out;
	m.headers = arena_copy(a, buf_str(&headers));
	*m_r = m;
	r = 0;
out:
	buf_release(&headers);
	return r;
}
