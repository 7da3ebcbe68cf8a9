/* body (RFC 5173): :raw, :content and :text. */
#include "filters/sieve/ext/body.h"

#include <string.h>

#include "filters/sieve/check.h"
#include "filters/sieve/ext/list.h"
#include "filters/sieve/limits.h"
#include "filters/sieve/match.h"

enum transform {
	BODY_TRANSFORM_RAW,
	BODY_TRANSFORM_CONTENT,
	BODY_TRANSFORM_TEXT,
};

static bool
is_xhtml(const struct mime_part *p)
{
	return mime_is(p, STR("application"), STR("xhtml+xml"));
}

static bool
borrowable(const struct mime_part *p, enum body_text how)
{
	struct str charset;

	if (p->encoding != TRANSFER_IDENTITY ||
	    (how == BODY_PLAIN && is_xhtml(p)))
		return false;
	if (!mime_is(p, STR("text"), (struct str){ 0 }))
		return true;
	if (how == BODY_PLAIN && !mime_is(p, STR("text"), STR("plain")))
		return false;
	charset = mime_param(&p->type, STR("charset"));
	if (charset.n && !str_caseeq(charset, STR("us-ascii")) &&
	    !str_caseeq(charset, STR("utf-8")))
		return false;
	for (size_t i = 0; i < p->body.n; i++)
		if ((unsigned char)p->body.p[i] >= 0x80 ||
		    p->body.p[i] == '\r')
			return false;
	return true;
}

int
body_text_of(struct run *r, const struct node *n, struct mime_part *p,
    enum body_text how, struct str *s_r)
{
	struct cached_text *c;
	struct buf b;

	for (c = r->texts; c; c = c->next) {
		if (c->part != p || c->how != (int)how)
			continue;
		*s_r = c->text;
		return 0;
	}
	if (run_work(r, n, 2 * p->body.n))
		return -1;
	c = run_alloc(r, n, sizeof(*c));
	if (!c)
		return -1;
	c->part = p;
	c->how = (int)how;
	if (borrowable(p, how)) {
		c->text = str_sub(p->body, 0, LIMIT_BODY_TEXT);
	} else {
		size_t room = r->texts_size < LIMIT_BODY_TEXT ?
		    LIMIT_BODY_TEXT - r->texts_size : 0;

		/* what is past the ceiling is not looked at */
		buf_init(&b, room);
		if (how == BODY_PLAIN)
			(void)mime_extract_text(p, &b);
		else if (mime_is(p, STR("text"), (struct str){ 0 }))
			(void)mime_decode_text(p, &b);
		else
			(void)mime_decode(p, &b);
		r->texts_size += b.n;
		c->text = run_copy(r, buf_str(&b));
		buf_release(&b);
		if (!c->text.p)
			return run_no_memory(r, n);
	}
	c->next = r->texts;
	r->texts = c;
	*s_r = c->text;
	return 0;
}

/* --- the test --- */

/* Section 5.2: "" is all, "text" all of that type, "text/plain" that. */
static bool
content_fits(const struct mime_part *p, const struct str *types, uint32_t n)
{
	struct str type = p->type.type, subtype = p->type.subtype;

	/* RFC 2045 section 6.4: what is encoded in an unknown way is not what
	 * it is called */
	if (p->kind == MIME_LEAF && p->encoding == TRANSFER_UNKNOWN) {
		type = STR("application");
		subtype = STR("octet-stream");
	}
	for (uint32_t i = 0; i < n; i++) {
		struct str t = types[i];
		ptrdiff_t slash = str_chr(t, '/');

		/* a name with a slash at an end or two of them fits none */
		if (t.n == 0)
			return true;
		if (slash == 0 || (size_t)(slash + 1) == t.n ||
		    str_rchr(t, '/') != slash)
			continue;
		if (slash < 0 && str_caseeq(type, t))
			return true;
		if (slash > 0 && str_caseeq(type,
		    str_sub(t, 0, (size_t)slash)) &&
		    str_caseeq(subtype,
		    str_sub(t, (size_t)slash + 1, t.n)))
			return true;
	}
	return false;
}

static int
match_part(struct run *r, const struct node *n, struct match *m,
    struct mime_part *p, enum body_text how)
{
	struct str s;
	int x;

	switch (p->kind) {
	case MIME_MULTIPART:
		/* prologue and epilogue are searched */
		x = match_value(m, p->preamble);
		return x ? x : match_value(m, p->epilogue);
	case MIME_MESSAGE:
		/* the header of the message inside, less its empty line */
		if (!p->child)
			break;
		s = p->child->header->bytes;
		return match_value(m, str_sub(s, 0, s.n -
		    p->child->header->blank.n));
	case MIME_LEAF:
		break;
	}
	if (body_text_of(r, n, p, how, &s))
		return -1;
	return match_value(m, s);
}

static int
match_parts(struct run *r, const struct node *n, struct match *m)
{
	enum transform t = (enum transform)run_code(r, n, SLOT_BODY,
	    BODY_TRANSFORM_TEXT);
	/* section 5.3: what is not text by name may be searched as such */
	const struct str text[] = { STR("text"), STR("application/xhtml+xml") };
	const struct str *types = text;
	uint32_t n_types = COUNT_OF(text);
	struct mime_part *root = message_mime(&r->message)->root;

	if (!root)
		return run_no_memory(r, n);
	if (node_has(n, SLOT_CONTENT) &&
	    run_list(r, n, SLOT_CONTENT, &types, &n_types))
		return -1;
	for (struct mime_part *p = root; p; p = mime_next(root, p)) {
		int x;

		if (run_work(r, n, 16))
			return -1;
		if (!content_fits(p, types, n_types))
			continue;
		x = match_part(r, n, m, p, t == BODY_TRANSFORM_TEXT ?
		    BODY_PLAIN : BODY_DECODED);
		if (x)
			return x;
	}
	return 0;
}

/* Lines end in LF, whatever the message has, as those of the script do
 * (lexer.c): what comes by LMTP and by argv reads the same. */
static int
raw_body(struct run *r, const struct node *n, struct str *s_r)
{
	struct str s = str_sub(r->message.body, 0, LIMIT_BODY_TEXT), line;
	char *p;
	size_t at = 0;

	if (!r->raw_body.p)
		r->raw_body = s;
	*s_r = r->raw_body;
	if (s_r->p != s.p || str_find(s, STR("\r\n")) < 0)
		return 0;
	p = run_alloc(r, n, s.n);
	if (!p || run_work(r, n, s.n))
		return -1;
	while (s.n) {
		ptrdiff_t end = str_find(s, STR("\r\n"));

		line = end < 0 ? s : str_sub(s, 0, (size_t)end);
		memcpy(p + at, line.p, line.n);
		at += line.n;
		s = str_sub(s, line.n + 1, s.n);	/* less the CR */
	}
	*s_r = r->raw_body = str_mem(p, at);
	return 0;
}

/* Section 5: match values are not set by body. */
static int
test(struct run *r, const struct node *n)
{
	struct match m;
	struct str raw;
	int x;

	if (match_begin(r, n, SLOT_KEYS, &m))
		return -1;
	m.no_captures = true;
	/* section 3: without the empty line there is no body, behind it
	 * there is one, perhaps of no bytes */
	if (!r->message.header.blank.n)
		x = 0;
	else if (run_code(r, n, SLOT_BODY, BODY_TRANSFORM_TEXT) ==
	    BODY_TRANSFORM_RAW)
		x = raw_body(r, n, &raw) ? -1 : match_value(&m, raw);
	else
		x = match_parts(r, n, &m);
	return x ? x : match_end(&m);
}

static const struct sieve_spec specs[] = {
	{ .name = "body", .kind = SPEC_TEST, .classes = ON_MATCH,
	    .params = { { VALUE_LIST, SLOT_KEYS, false } }, .test = test },
};

static const struct sieve_tag tags[] = {
	{ .name = "raw", .on = ON_OWN, .spec = "body", .slot = SLOT_BODY,
	    .code = BODY_TRANSFORM_RAW },
	{ .name = "text", .on = ON_OWN, .spec = "body", .slot = SLOT_BODY,
	    .code = BODY_TRANSFORM_TEXT },
	{ .name = "content", .on = ON_OWN, .spec = "body", .slot = SLOT_BODY,
	    .code = BODY_TRANSFORM_CONTENT, .value = VALUE_LIST,
	    .value_slot = SLOT_CONTENT },
};

const struct sieve_ext ext_body = {
	.name = "body",
	.specs = specs,
	.n_specs = COUNT_OF(specs),
	.tags = tags,
	.n_tags = COUNT_OF(tags),
};
