/* date (RFC 5260): date and currentdate. */
#include "filters/message/date.h"

#include "filters/sieve/check.h"
#include "filters/sieve/ext/list.h"
#include "filters/sieve/values.h"

static int
check_zone(struct check *c, const struct check_node *n)
{
	const struct syntax_arg *a = n->value[SLOT_ZONE];
	int zone;

	if (a && check_has(n, SLOT_ORIGINAL_ZONE))
		return check_error_arg(c, a, ":zone stands with "
		    ":originalzone");
	if (a && check_constant(c, a) && date_parse_zone(a->text, &zone))
		(void)check_warn_arg(c, a, "\"%.*s\" is no zone such as "
		    "\"+0100\"; it is passed over", CHECK_NAME(a->text));
	return 0;
}

static int
check(struct check *c, struct check_node *n)
{
	const struct syntax_arg *a = n->value[SLOT_STRING2];

	if (check_constant(c, a) &&
	    date_part_named(a->text) == DATE_PART_COUNT)
		(void)check_warn_arg(c, a, "unknown date part \"%.*s\"; no "
		    "date has it", CHECK_NAME(a->text));
	a = n->value[SLOT_HEADERS];
	if (a && a->kind != SYNTAX_STRING)
		return check_error_arg(c, a, "'date' looks at one header, "
		    "not at a list");
	values_check_names(c, n);
	if (values_check(c, n))
		return -1;
	return check_zone(c, n);
}

struct seeking {
	struct run *r;
	const struct node *n;
	struct match m;
	enum date_part part;
	bool has_zone;
	int zone;
};

/* The part to look at, the zone to look in. */
static int
begin(struct run *r, const struct node *n, struct seeking *s)
{
	struct str name, zone;

	s->r = r;
	s->n = n;
	if (run_string(r, n, SLOT_STRING2, &name) ||
	    run_string_opt(r, n, SLOT_ZONE, &zone))
		return -1;
	s->part = date_part_named(name);
	s->has_zone = !node_has(n, SLOT_ORIGINAL_ZONE);
	s->zone = r->job->zone;
	if (zone.p && date_parse_zone(zone, &s->zone)) {
		(void)run_warn(r, n, "\"%s\" is no zone", run_show(zone));
		s->zone = r->job->zone;
	}
	return match_begin(r, n, SLOT_KEYS, &s->m);
}

static int
match_date(struct seeking *s, const struct date *d)
{
	struct buf b;
	struct str v;

	if (s->part == DATE_PART_COUNT)
		return 0;
	buf_init(&b, 64);
	(void)date_part_add(d, s->part, &b);	/* none is longer */
	v = run_copy(s->r, buf_str(&b));
	buf_release(&b);
	return v.p ? match_value(&s->m, v) : run_no_memory(s->r, s->n);
}

static int
match_field(void *ctx, struct header *h, struct field *f)
{
	struct seeking *s = ctx;
	struct date d;

	(void)h;
	if (date_parse_field(f->value, &d))
		return 0;
	if (s->has_zone)
		date_shift(&d, s->zone);
	return match_date(s, &d);
}

static int
test_date(struct run *r, const struct node *n)
{
	struct seeking s = { 0 };
	int x;

	if (begin(r, n, &s))
		return -1;
	x = values_one(r, n, match_field, &s);
	return x ? x : match_end(&s.m);
}

static int
test_currentdate(struct run *r, const struct node *n)
{
	struct seeking s = { 0 };
	struct date d;
	int x;

	if (begin(r, n, &s))
		return -1;
	date_of_unix(r->job->now, s.zone, &d);
	x = match_date(&s, &d);
	return x ? x : match_end(&s.m);
}

/* The header is one name; it stands in the slot of lists that values.c
 * reads. */
static const struct sieve_spec specs[] = {
	{ .name = "date", .kind = SPEC_TEST, .classes = ON_MATCH | ON_INDEX,
	    .params = { { VALUE_LIST, SLOT_HEADERS, false },
	    { VALUE_STRING, SLOT_STRING2, false },
	    { VALUE_LIST, SLOT_KEYS, false } },
	    .check = check, .test = test_date },
	{ .name = "currentdate", .kind = SPEC_TEST, .classes = ON_MATCH,
	    .params = { { VALUE_STRING, SLOT_STRING2, false },
	    { VALUE_LIST, SLOT_KEYS, false } },
	    .check = check, .test = test_currentdate },
};

static const struct sieve_tag tags[] = {
	{ .name = "zone", .on = ON_OWN, .spec = "date currentdate",
	    .slot = SLOT_ZONE, .value = VALUE_STRING },
	{ .name = "originalzone", .on = ON_OWN, .spec = "date",
	    .slot = SLOT_ORIGINAL_ZONE },
};

const struct sieve_ext ext_date = {
	.name = "date",
	.specs = specs,
	.n_specs = COUNT_OF(specs),
	.tags = tags,
	.n_tags = COUNT_OF(tags),
};
