/* spamtest, spamtestplus, virustest (RFC 5235): what the scanner said, from
 * the header fields that the settings name. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filters/sieve/check.h"
#include "filters/sieve/eval.h"
#include "filters/sieve/ext/list.h"
#include "filters/sieve/match.h"
#include "filters/sieve/regex.h"

/* Units of limits.h for one field, besides its bytes. */
#define FIELD_WORK 200

/* A setting "NAME" or "NAME: REGEX", and the field that is next. */
struct source {
	struct field *next;
	struct regex *re;	/* NULL: the whole value */
	bool broken;
};

static void
source_open(struct run *r, struct str setting, struct source *s)
{
	ptrdiff_t colon = str_chr(setting, ':');
	struct str name = colon < 0 ? setting :
	    str_sub(setting, 0, (size_t)colon);
	char why[120];

	*s = (struct source){ .next = header_find(&r->message.header,
	    str_trim(name)) };
	if (colon < 0)
		return;
	s->re = regex_open(str_trim(str_sub(setting, (size_t)colon + 1,
	    setting.n)), REGEX_NOCASE, why, sizeof(why));
	s->broken = !s->re;
}

/* The value of the next field that has one. Work that runs out ends it: the
 * test asks for that once more. */
static bool
source_next(struct run *r, const struct node *node, struct source *s,
    struct str *value_r)
{
	struct str captures[2];
	unsigned n;

	while (s->next && !s->broken) {
		struct str value = field_value(&r->message.header, s->next);

		s->next = field_next(s->next);
		if (run_work(r, node, FIELD_WORK + value.n))
			return false;
		if (!s->re) {
			*value_r = value;
			return true;
		}
		n = 0;
		if (regex_match(s->re, value, captures, 2, &n) > 0 && n) {
			*value_r = captures[n - 1];
			return true;
		}
	}
	return false;
}

/* A decimal with an optional sign and fraction at the front. */
static bool
read_number(struct str s, double *d_r)
{
	double d = 0, scale = 1;
	bool minus = false, any = false;
	size_t i = 0;

	s = str_trim(s);
	if (i < s.n && (s.p[i] == '-' || s.p[i] == '+'))
		minus = s.p[i++] == '-';
	for (; i < s.n && ascii_isdigit(s.p[i]); i++, any = true)
		d = d * 10 + (s.p[i] - '0');
	if (i < s.n && (s.p[i] == '.' || s.p[i] == ','))
		for (i++; i < s.n && ascii_isdigit(s.p[i]); i++, any = true)
			d += (s.p[i] - '0') * (scale /= 10);
	*d_r = minus ? -d : d;
	return any;
}

/* What one value says: 0 to 1 of the maximum, negative when it says nothing. */
static double
rate(const struct engine_spam *s, struct str text, double max)
{
	double value;

	if (s->type == ENGINE_SPAM_TEXT) {
		for (unsigned i = 0; i < COUNT_OF(s->texts); i++)
			if (s->texts[i].n && str_caseeq(s->texts[i], text))
				return i / 10.0;
		return -1;
	}
	if (s->type == ENGINE_SPAM_STRLEN)
		value = (double)text.n;
	else if (!read_number(text, &value))
		return -1;
	value /= max;
	return value < 0 ? 0 : value > 1 ? 1 : value;
}

/* The maximum, or 0 when there is none. Of several the smallest counts. */
static double
maximum(struct run *r, const struct node *n, const struct engine_spam *s)
{
	struct source from;
	struct str text;
	double max = 0, value;

	if (!s->max_header.n)
		return s->max;
	source_open(r, s->max_header, &from);
	while (source_next(r, n, &from, &text))
		if (read_number(text, &value) && value > 0 &&
		    (!(max > 0) || value < max))
			max = value;
	regex_close(&from.re);
	return max;
}

/*
 * 0 to 1, or negative when the message was not tested. Of several fields the
 * worst one counts: a sender who adds one of his own in front of the scanner
 * wins nothing by it, wherever the scanner puts its own.
 */
static double
ratio(struct run *r, const struct node *n, const struct engine_spam *s)
{
	double worst = -1, max = 1, one;
	struct source from;
	struct str text;

	if (s->type == ENGINE_SPAM_OFF)
		return -1;
	if (s->type != ENGINE_SPAM_TEXT)
		max = maximum(r, n, s);
	if (!(max > 0))
		return -1;
	source_open(r, s->header, &from);
	while (source_next(r, n, &from, &text))
		if ((one = rate(s, text, max)) > worst)
			worst = one;
	regex_close(&from.re);
	return worst;
}

static int
compare(struct run *r, const struct node *n, int value)
{
	char text[16];
	struct match m;
	int x;

	(void)snprintf(text, sizeof(text), "%d", value);
	if (match_begin(r, n, SLOT_KEYS, &m))
		return -1;
	/* :count counts whether there was a test at all */
	if (m.type == MATCH_COUNT && value == 0)
		return match_end(&m);
	x = match_value(&m, run_copy(r, str_of(text)));
	return x ? x : match_end(&m);
}

static int
test_spam(struct run *r, const struct node *n)
{
	const struct engine_spam *s = &r->settings->spam;
	double v = ratio(r, n, s);
	int value;

	if (run_work(r, n, 1))
		return -1;
	if (node_has(n, SLOT_PERCENT))
		value = v < 0 ? 0 : (int)(v * 100 + 0.5);
	else if (s->type == ENGINE_SPAM_TEXT)
		value = v < 0 ? 0 : (int)(v * 10 + 0.5);
	else	/* section 2.1: 1 is "surely none", 10 "surely" */
		value = v < 0 ? 0 : 1 + (int)(v * 9);
	return compare(r, n, value);
}

static int
test_virus(struct run *r, const struct node *n)
{
	const struct engine_spam *s = &r->settings->virus;
	double v = ratio(r, n, s);
	int value;

	if (run_work(r, n, 1))
		return -1;
	if (s->type == ENGINE_SPAM_TEXT)
		value = v < 0 ? 0 : (int)(v * 10 + 0.5);
	else
		value = v < 0 ? 0 : 1 + (int)(v * 4);
	return compare(r, n, value > 5 ? 5 : value);
}

/* not a list of them; SLOT_KEYS makes one of it */
#define ONE_VALUE { { VALUE_STRING, SLOT_KEYS, false } }

static const struct sieve_spec spam_specs[] = {
	{ .name = "spamtest", .kind = SPEC_TEST,
	    .classes = ON_MATCH | ON_SPAMTEST, .params = ONE_VALUE,
	    .test = test_spam },
};

const struct sieve_ext ext_spamtest = {
	.name = "spamtest",
	.specs = spam_specs,
	.n_specs = COUNT_OF(spam_specs),
};

static const struct sieve_tag plus_tags[] = {
	{ .name = "percent", .on = ON_SPAMTEST, .slot = SLOT_PERCENT },
};

const struct sieve_ext ext_spamtestplus = {
	.name = "spamtestplus",
	.implies = "spamtest",
	.tags = plus_tags,
	.n_tags = COUNT_OF(plus_tags),
};

static const struct sieve_spec virus_specs[] = {
	{ .name = "virustest", .kind = SPEC_TEST, .classes = ON_MATCH,
	    .params = ONE_VALUE, .test = test_virus },
};

const struct sieve_ext ext_virustest = {
	.name = "virustest",
	.specs = virus_specs,
	.n_specs = COUNT_OF(virus_specs),
};
