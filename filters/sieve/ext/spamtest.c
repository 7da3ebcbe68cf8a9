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

/* "NAME" or "NAME:REGEX"; of several such fields the last one counts: a
 * sender's own come from below. False when there is none. */
static bool
read_header(struct run *r, struct str setting, struct str *value_r)
{
	struct header *h = &r->message.header;
	ptrdiff_t colon = str_chr(setting, ':');
	struct str name = colon < 0 ? setting :
	    str_sub(setting, 0, (size_t)colon);
	struct str captures[2];
	struct regex *re;
	struct field *f = header_find(h, str_trim(name));
	unsigned n = 0;
	char why[120];

	if (!f)
		return false;
	*value_r = field_value(h, f);
	if (colon < 0)
		return true;
	re = regex_open(str_trim(str_sub(setting, (size_t)colon + 1,
	    setting.n)), REGEX_NOCASE, why, sizeof(why));
	if (!re)
		return false;
	if (regex_match(re, *value_r, captures, 2, &n) <= 0)
		n = 0;
	regex_close(&re);
	if (n)
		*value_r = captures[n - 1];
	return n > 0;
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

/* 0 to 1, or negative when the message was not tested. */
static double
ratio(struct run *r, const struct engine_spam *s)
{
	struct str text;
	double value, max = s->max;

	if (s->type == ENGINE_SPAM_OFF || !read_header(r, s->header, &text))
		return -1;
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
	if (s->max_header.n &&
	    (!read_header(r, s->max_header, &text) ||
	    !read_number(text, &max)))
		return -1;
	if (!(max > 0))
		return -1;
	value /= max;
	return value < 0 ? 0 : value > 1 ? 1 : value;
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
	double v = ratio(r, s);
	int value;

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
	double v = ratio(r, s);
	int value;

	if (s->type == ENGINE_SPAM_TEXT)
		value = v < 0 ? 0 : (int)(v * 10 + 0.5);
	else
		value = v < 0 ? 0 : 1 + (int)(v * 4);
	return compare(r, n, value > 5 ? 5 : value);
}

#define ONE_VALUE { { VALUE_LIST, SLOT_KEYS, false } }

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
