/* enotify (RFC 5435) with the method mailto (RFC 5436). */
#include "filters/sieve/actions.h"
#include "filters/sieve/check.h"
#include "filters/sieve/ext/fcc.h"
#include "filters/sieve/ext/list.h"
#include "filters/sieve/ext/mailto.h"
#include "filters/sieve/ext/variables.h"
#include "filters/sieve/limits.h"
#include "filters/sieve/rewrite.h"

static bool
importance_ok(struct str s)
{
	return s.n == 1 && s.p[0] >= '1' && s.p[0] <= '3';
}

/* RFC 5435 section 3.6: "name=value"; there is none that mailto knows. */
static bool
option_ok(struct str s)
{
	ptrdiff_t eq = str_chr(s, '=');

	if (eq <= 0 || !ascii_isalnum(s.p[0]))
		return false;
	for (ptrdiff_t i = 1; i < eq; i++)
		if (!ascii_isalnum(s.p[i]) && s.p[i] != '.' &&
		    s.p[i] != '-' && s.p[i] != '_')
			return false;
	for (size_t i = (size_t)eq; i < s.n; i++)
		if (ascii_iscntrl(s.p[i]))
			return false;
	return true;
}

static int
check_options(struct check *c, const struct check_node *n)
{
	uint32_t count;
	const struct syntax_arg *i = check_items(n, SLOT_OPTIONS, &count);

	for (; count; count--, i = i->next)
		if (check_constant(c, i) && !option_ok(i->text))
			return check_error_arg(c, i, "option \"%.*s\" is not "
			    "of the form name=value", CHECK_NAME(i->text));
	return 0;
}

static int
check(struct check *c, struct check_node *n)
{
	const struct syntax_arg *a = n->value[SLOT_STRING];
	struct mailto m;
	struct address address;
	const char *why;

	if (check_constant(c, a) &&
	    mailto_parse(&c->arena, a->text, &m, &why))
		return check_error_arg(c, a, "notify \"%.*s\": %s",
		    CHECK_NAME(a->text), why);
	if (check_constant(c, a) && m.n_to == 0)
		(void)check_warn_arg(c, a, "notify \"%.*s\": nobody is to be "
		    "notified", CHECK_NAME(a->text));
	a = n->value[SLOT_IMPORTANCE];
	if (a && check_constant(c, a) && !importance_ok(a->text))
		return check_error_arg(c, a, ":importance is \"1\", \"2\" or "
		    "\"3\"");
	a = n->value[SLOT_FROM];
	if (a && check_constant(c, a) && address_parse(&c->arena, a->text,
	    ADDRESS_NAMED, &address, &why))
		return check_error_arg(c, a, ":from: %s", why);
	if (check_options(c, n))
		return -1;
	return fcc_check(c, n);
}

/* RFC 5436 section 2.7: what was sent by a program notifies nobody, or two
 * of them would never stop. */
static bool
automatic(struct run *r)
{
	struct header *h = rewrite_first_header(r);

	for (struct field *f = header_find(h, STR("Auto-Submitted")); f;
	    f = field_next(f)) {
		struct str s = field_value(h, f);
		size_t i = 0;

		while (i < s.n && s.p[i] != ';' && s.p[i] != '(' &&
		    !ascii_isblank(s.p[i]))
			i++;
		if (!str_caseeq(str_sub(s, 0, i), STR("no")))
			return true;
	}
	return false;
}

/* RFC 5435 section 3.6: at least who it is from and the subject. */
static struct str
default_text(struct run *r)
{
	struct header *h = rewrite_first_header(r);
	struct field *from = header_find(h, STR("From"));
	struct field *subject = header_find(h, STR("Subject"));
	struct buf *b = &r->scratch;

	buf_reset(b);
	(void)buf_addz(b, "New mail");
	if (from) {
		(void)buf_addz(b, " from ");
		(void)buf_adds(b, str_sub(field_text(h, from), 0, 200));
	}
	if (subject) {
		(void)buf_addz(b, ": ");
		(void)buf_adds(b, str_sub(field_text(h, subject), 0, 500));
	}
	return run_copy(r, buf_str(b));
}

/* RFC 5436 sections 2.6 and 2.7: :message, else what the URI says, else the
 * subject of the message. */
static struct str
subject_of(struct run *r, struct str message, const struct mailto *m)
{
	struct header *h = rewrite_first_header(r);
	struct field *f = header_find(h, STR("Subject"));

	if (message.n)
		return message;
	if (m->subject.p)
		return m->subject;
	if (f && field_text(h, f).n)
		return run_copy(r, str_sub(field_text(h, f), 0, 998));
	return default_text(r);
}

static int
command(struct run *r, const struct node *n)
{
	struct engine_action a = { .kind = ENGINE_NOTIFY, .importance = 2 };
	struct mailto m;
	struct address address;
	struct str message, importance;
	const char *why;

	if (run_string(r, n, SLOT_STRING, &a.method) ||
	    run_string_opt(r, n, SLOT_MESSAGE, &message) ||
	    run_string_opt(r, n, SLOT_FROM, &a.from) ||
	    run_string_opt(r, n, SLOT_IMPORTANCE, &importance) ||
	    fcc_run(r, n, &a))
		return -1;
	run_trace(r, n, "notify \"%s\"", run_show(a.method));
	if (mailto_parse(&r->arena, a.method, &m, &why))
		return run_error(r, n, "notify \"%s\": %s",
		    run_show(a.method), why);
	if (importance.p && !importance_ok(importance))
		return run_error(r, n, ":importance \"%s\" is not 1, 2 or 3",
		    run_show(importance));
	if (importance.p)
		a.importance = importance.p[0] - '0';
	if (a.from.p && address_parse(&r->arena, a.from, ADDRESS_NAMED,
	    &address, &why)) {
		/* RFC 5436 section 2.2: an address that cannot be used is
		 * passed over */
		(void)run_warn(r, n, ":from \"%s\": %s", run_show(a.from),
		    why);
		a.from = (struct str){ 0 };
	}
	if (automatic(r)) {
		run_trace(r, n, "sent automatically: no notification");
		return 0;
	}
	if (m.n_to == 0) {
		run_trace(r, n, "nobody is to be notified");
		return 0;
	}
	a.to = m.to;
	a.n_to = m.n_to;
	a.n_cc = m.n_cc;
	a.headers = m.headers;
	a.subject = subject_of(r, message, &m);
	a.reason = m.body.p ? m.body : message;
	if (!a.reason.n)
		a.reason = default_text(r);
	return plan_add(r, n, &a);
}

static int
test_valid(struct run *r, const struct node *n)
{
	const struct str *uris;
	uint32_t n_uris;
	struct mailto m;
	const char *why;

	if (run_list(r, n, SLOT_LIST, &uris, &n_uris))
		return -1;
	for (uint32_t i = 0; i < n_uris; i++)
		if (mailto_parse(&r->arena, uris[i], &m, &why)) {
			run_trace(r, n, "\"%s\": %s", run_show(uris[i]), why);
			return 0;
		}
	return 1;
}

/* Section 5: "online" is the only capability, and whether somebody reads
 * his mail now is not known. */
static int
test_capability(struct run *r, const struct node *n)
{
	struct str uri, capability;
	struct mailto mailto;
	const char *why;
	struct match m;
	int x;

	if (run_string(r, n, SLOT_STRING, &uri) ||
	    run_string(r, n, SLOT_STRING2, &capability) ||
	    match_begin(r, n, SLOT_KEYS, &m))
		return -1;
	if (mailto_parse(&r->arena, uri, &mailto, &why) ||
	    !str_caseeq(capability, STR("online")))
		return 0;
	x = match_value(&m, STR("maybe"));
	return x ? x : match_end(&m);
}

static const struct sieve_spec specs[] = {
	{ .name = "notify", .kind = SPEC_ACTION, .classes = ON_NOTIFY,
	    .params = { { VALUE_STRING, SLOT_STRING, false } },
	    .check = check, .command = command },
	{ .name = "valid_notify_method", .kind = SPEC_TEST,
	    .params = { { VALUE_LIST, SLOT_LIST, false } },
	    .test = test_valid },
	{ .name = "notify_method_capability", .kind = SPEC_TEST,
	    .classes = ON_MATCH,
	    .params = { { VALUE_STRING, SLOT_STRING, false },
	    { VALUE_STRING, SLOT_STRING2, false },
	    { VALUE_LIST, SLOT_KEYS, false } }, .test = test_capability },
};

static const struct sieve_tag tags[] = {
	{ .name = "from", .on = ON_NOTIFY, .slot = SLOT_FROM,
	    .value = VALUE_STRING },
	{ .name = "importance", .on = ON_NOTIFY, .slot = SLOT_IMPORTANCE,
	    .value = VALUE_STRING },
	{ .name = "options", .on = ON_NOTIFY, .slot = SLOT_OPTIONS,
	    .value = VALUE_LIST },
	{ .name = "message", .on = ON_NOTIFY, .slot = SLOT_MESSAGE,
	    .value = VALUE_STRING },
	{ .name = "encodeurl", .on = ON_SET, .slot = SLOT_MODIFIERS,
	    .code = MODIFIER_ENCODEURL },
};

const struct sieve_ext ext_enotify = {
	.name = "enotify",
	.specs = specs,
	.n_specs = COUNT_OF(specs),
	.tags = tags,
	.n_tags = COUNT_OF(tags),
};
