/* envelope (RFC 5228 section 5.4), envelope-dsn and envelope-deliverby (RFC
 * 6009), envelope-auth (Pigeonhole's "auth" part). */
#include "filters/message/date.h"
#include "filters/sieve/check.h"
#include "filters/sieve/ext/list.h"
#include "filters/sieve/values.h"
#include "store/base/num.h"

enum part {
	PART_FROM, PART_TO, PART_ORIG_TO, PART_AUTH, PART_NOTIFY, PART_ORCPT,
	PART_RET, PART_ENVID, PART_BYTIMEABSOLUTE, PART_BYTIMERELATIVE,
	PART_BYMODE, PART_BYTRACE, PART_COUNT
};

static const struct {
	const char *name;
	const char *capability;
	bool address;
} parts[PART_COUNT] = {
	[PART_FROM] = { "from", "envelope", true },
	[PART_TO] = { "to", "envelope", true },
	[PART_ORIG_TO] = { "orig_to", "envelope", true },
	[PART_AUTH] = { "auth", "envelope", false },
	[PART_NOTIFY] = { "notify", "envelope-dsn", false },
	[PART_ORCPT] = { "orcpt", "envelope-dsn", false },
	[PART_RET] = { "ret", "envelope-dsn", false },
	[PART_ENVID] = { "envid", "envelope-dsn", false },
	[PART_BYTIMEABSOLUTE] = { "bytimeabsolute", "envelope-deliverby",
	    false },
	[PART_BYTIMERELATIVE] = { "bytimerelative", "envelope-deliverby",
	    false },
	[PART_BYMODE] = { "bymode", "envelope-deliverby", false },
	[PART_BYTRACE] = { "bytrace", "envelope-deliverby", false },
};

static enum part
part_named(struct str name)
{
	unsigned i;

	for (i = 0; i < PART_COUNT; i++)
		if (str_caseeq(str_of(parts[i].name), name))
			break;
	return (enum part)i;
}

static int
check(struct check *c, struct check_node *n)
{
	uint32_t count;
	const struct syntax_arg *i = check_items(n, SLOT_HEADERS, &count);
	int r = 0;

	for (; count; count--, i = i->next) {
		enum part p;

		if (!check_constant(c, i))
			continue;
		p = part_named(i->text);
		if (p == PART_COUNT)
			r = check_error_arg(c, i, "unknown envelope part "
			    "\"%.*s\"", CHECK_NAME(i->text));
		else if (!check_required(c, parts[p].capability))
			r = check_error_arg(c, i, "envelope part \"%s\" needs "
			    "require \"%s\"", parts[p].name,
			    parts[p].capability);
		/* RFC 6009 sections 4 and 5; of "auth" nobody says so */
		else if (!parts[p].address && check_has(n, SLOT_ADDRESS_PART) &&
		    (p != PART_AUTH ||
		    n->code[SLOT_ADDRESS_PART] != ADDRESS_PART_ALL))
			r = check_error_arg(c, i, "envelope part \"%s\" is no "
			    "address", parts[p].name);
	}
	return r;
}

static int
match_path(struct run *r, struct match *m, enum address_part part,
    struct str path)
{
	struct address a;
	const char *why;
	struct str v;

	if (address_parse_path(&r->arena, path, &a, &why) ||
	    a.kind == ADDRESS_NULL) {
		/* section 5.4: the null path is the empty string, in each of
		 * its parts */
		if (part == ADDRESS_PART_DETAIL)
			return 0;
		if (path.n && !str_eq(path, STR("<>")))
			return part == ADDRESS_PART_ALL ?
			    match_value(m, path) : 0;
		/* RFC 5231 section 5: as an address it does not count */
		if (m->type == MATCH_COUNT)
			return 0;
		return match_value(m, (struct str){ "", 0 });
	}
	if (a.kind == ADDRESS_NO_DOMAIN) {
		a.kind = ADDRESS_MAILBOX;
		a.spec = a.local;
		a.domain = (struct str){ "", 0 };
	}
	if (!values_address_part(r, &a, part, &v))
		return 0;
	return match_value(m, v);
}

/* RFC 3461: "rfc822;fred@example.com"; the part "orcpt" is all of it. */
static struct str
orcpt_address(struct str s)
{
	ptrdiff_t at = str_chr(s, ';');

	return at < 0 ? s : str_sub(s, (size_t)at + 1, s.n);
}

static int
match_notify(struct match *m, struct str s)
{
	struct str rest = s, word;

	while (str_split(&rest, ',', &word)) {
		int x = match_value(m, str_trim(word));

		if (x)
			return x;
	}
	return 0;
}

static int
match_time(struct run *r, const struct node *n, struct match *m, enum part p)
{
	const struct engine_envelope *e = r->job->envelope;
	struct str text = e->by_time, zone;
	int minutes = r->job->zone;
	uint64_t seconds;
	char out[32];

	if (!text.p)
		return 0;
	if (p == PART_BYTIMERELATIVE)
		return match_value(m, text);
	if (num_u64(text, INT32_MAX, &seconds))
		return 0;
	if (run_string_opt(r, n, SLOT_ZONE, &zone))
		return -1;
	if (zone.p && date_parse_zone(zone, &minutes))
		minutes = r->job->zone;
	{
		struct buf b;
		struct date d;
		int x;

		buf_init(&b, sizeof(out));
		date_of_unix(r->job->now + (int64_t)seconds, minutes, &d);
		(void)date_add_iso(&d, &b);	/* 25 bytes */
		x = match_value(m, run_copy(r, buf_str(&b)));
		buf_release(&b);
		return x;
	}
}

static int
match_part(struct run *r, const struct node *n, struct match *m, enum part p)
{
	const struct engine_envelope *e = r->job->envelope;
	enum address_part part = (enum address_part)run_code(r, n,
	    SLOT_ADDRESS_PART, ADDRESS_PART_ALL);
	const struct str none = { "", 0 };
	struct str mode;

	switch (p) {
	case PART_FROM:
		return match_path(r, m, part, e->from);
	case PART_TO:
		return match_path(r, m, part, e->to);
	case PART_ORIG_TO:
		return e->orig_to.n ? match_path(r, m, part,
		    orcpt_address(e->orig_to)) : 0;
	case PART_AUTH:
		return e->auth.p ? match_value(m, e->auth) : 0;
	case PART_NOTIFY:
		return e->dsn_notify.p ? match_notify(m, e->dsn_notify) : 0;
	case PART_ORCPT:
		return e->dsn_orcpt.p ? match_value(m, e->dsn_orcpt) : 0;
	case PART_RET:
		return e->dsn_ret.p ? match_value(m, e->dsn_ret) : 0;
	case PART_ENVID:
		return e->dsn_envid.p ? match_value(m, e->dsn_envid) : 0;
	case PART_BYTIMEABSOLUTE:
	case PART_BYTIMERELATIVE:
		return match_time(r, n, m, p);
	case PART_BYMODE:
		mode = str_caseeq(str_sub(e->by_mode, 0, 1), STR("R")) ?
		    STR("return") : STR("notify");
		return e->by_mode.n ? match_value(m, mode) : 0;
	case PART_BYTRACE:
		if (!e->by_mode.n)
			return 0;
		return match_value(m, str_caseeq(str_sub(e->by_mode,
		    e->by_mode.n - 1, 1), STR("T")) ? STR("trace") : none);
	case PART_COUNT:
		break;
	}
	return 0;
}

static int
test(struct run *r, const struct node *n)
{
	struct match m;
	const struct str *names;
	uint32_t n_names;

	if (run_list(r, n, SLOT_HEADERS, &names, &n_names) ||
	    match_begin(r, n, SLOT_KEYS, &m))
		return -1;
	if (!r->job->envelope)
		return match_end(&m);
	for (uint32_t i = 0; i < n_names; i++) {
		enum part p = part_named(names[i]);
		int x;

		if (p == PART_COUNT)
			return run_error(r, n, "unknown envelope part \"%s\"",
			    run_show(names[i]));
		x = match_part(r, n, &m, p);
		if (x)
			return x;
	}
	return match_end(&m);
}

static const struct sieve_spec specs[] = {
	{ .name = "envelope", .kind = SPEC_TEST,
	    .classes = ON_MATCH | ON_ADDRESS_PART | ON_ENVELOPE,
	    .params = { { VALUE_LIST, SLOT_HEADERS, false },
	    { VALUE_LIST, SLOT_KEYS, false } },
	    .check = check, .test = test },
};

const struct sieve_ext ext_envelope = {
	.name = "envelope",
	.specs = specs,
	.n_specs = COUNT_OF(specs),
};

const struct sieve_ext ext_envelope_dsn = { .name = "envelope-dsn" };
static const struct sieve_tag deliverby_tags[] = {
	{ .name = "zone", .on = ON_ENVELOPE, .slot = SLOT_ZONE,
	    .value = VALUE_STRING },
};

const struct sieve_ext ext_envelope_deliverby = {
	.name = "envelope-deliverby",
	.tags = deliverby_tags,
	.n_tags = COUNT_OF(deliverby_tags),
};
const struct sieve_ext ext_envelope_auth = { .name = "envelope-auth" };
