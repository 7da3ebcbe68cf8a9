#include "filters/message/date.h"

#include <string.h>

#include "filters/message/limits.h"

static const char months[12][4] = {
	"Jan", "Feb", "Mar", "Apr", "May", "Jun",
	"Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
};
static const char days[7][4] = {
	"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat",
};

#define ZONE_MAX (23 * 60 + 59)

static bool
is_leap(int year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int
month_length(int year, int month)
{
	static const int lengths[12] = {
		31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31,
	};

	return lengths[month - 1] + (month == 2 && is_leap(year));
}

/* Days from 1 January of year 1 to the first of January of this year. */
static int64_t
days_before_year(int64_t year)
{
	int64_t y = year - 1;

	return y * 365 + y / 4 - y / 100 + y / 400;
}

/* The same to the date itself; 1970-01-01 is 719162. */
static int64_t
day_number(const struct date *d)
{
	int64_t n = days_before_year(d->year);

	for (int m = 1; m < d->month; m++)
		n += month_length(d->year, m);
	return n + d->day - 1;
}

#define EPOCH_DAY 719162	/* 1970-01-01 */
#define MJD_DAY 678575		/* 1858-11-17, Modified Julian Day 0 */

static void
of_day_number(int64_t n, struct date *d)
{
	int year = (int)(n / 366) + 1;	/* not above the right one */

	while (days_before_year(year + 1) <= n)
		year++;
	d->year = year;
	n -= days_before_year(year);
	for (d->month = 1; n >= month_length(year, d->month); d->month++)
		n -= month_length(year, d->month);
	d->day = (int)n + 1;
}

static bool
valid(const struct date *d)
{
	return d->year >= 1 && d->year <= 9999 &&
	    d->month >= 1 && d->month <= 12 &&
	    d->day >= 1 && d->day <= month_length(d->year, d->month) &&
	    d->hour >= 0 && d->hour <= 23 && d->minute >= 0 &&
	    d->minute <= 59 && d->second >= 0 && d->second <= 60;
}

/* --- reading --- */

/* Up to `most` digits at the front; their count, the value in *v_r. */
static size_t
take_number(struct str *s, size_t most, int *v_r)
{
	size_t n = 0;
	int v = 0;

	while (n < s->n && n < most && ascii_isdigit(s->p[n]))
		v = v * 10 + (s->p[n++] - '0');
	*s = str_sub(*s, n, s->n);
	*v_r = v;
	return n;
}

static bool
take_char(struct str *s, char c)
{
	if (s->n == 0 || s->p[0] != c)
		return false;
	*s = str_sub(*s, 1, s->n);
	return true;
}

/* Blanks, folds, comments. True when there was any. */
static bool
skip_cfws(struct str *s)
{
	size_t before = s->n, depth = 0;

	while (s->n) {
		char c = s->p[0];

		if (c == '\\' && depth && s->n > 1)
			*s = str_sub(*s, 1, s->n);
		else if (c == '(')
			depth++;
		else if (c == ')' && depth)
			depth--;
		else if (!depth && !ascii_isblank(c) && c != '\r' && c != '\n')
			break;
		*s = str_sub(*s, 1, s->n);
	}
	return s->n != before;
}

/* Letters at the front. */
static struct str
take_word(struct str *s)
{
	struct str w = { s->p, 0 };

	while (w.n < s->n && ascii_isalpha(s->p[w.n]))
		w.n++;
	*s = str_sub(*s, w.n, s->n);
	return w;
}

static int
month_named(struct str w)
{
	/* "Sept" and full names are written by hand. */
	for (int i = 0; i < 12; i++)
		if (w.n >= 3 && str_caseeq(str_sub(w, 0, 3),
		    str_mem(months[i], 3)))
			return i + 1;
	return 0;
}

/* RFC 5322 4.3. */
static void
zone_named(struct str w, struct date *d)
{
	static const struct {
		const char name[4];
		int hours;
	} zones[] = {
		{ "UT", 0 }, { "GMT", 0 }, { "UTC", 0 }, { "Z", 0 },
		{ "EST", -5 }, { "EDT", -4 }, { "CST", -6 }, { "CDT", -5 },
		{ "MST", -7 }, { "MDT", -6 }, { "PST", -8 }, { "PDT", -7 },
	};

	for (size_t i = 0; i < sizeof(zones) / sizeof(zones[0]); i++)
		if (str_caseeq(w, str_of(zones[i].name))) {
			d->zone = zones[i].hours * 60;
			return;
		}
	d->zone = 0;
	d->zone_unknown = true;
}

int
date_parse_zone(struct str s, int *minutes_r)
{
	int sign, hours, minutes;

	if (s.n != 5 || (s.p[0] != '+' && s.p[0] != '-'))
		return -1;
	sign = s.p[0] == '-' ? -1 : 1;
	s = str_sub(s, 1, 4);
	if (take_number(&s, 2, &hours) != 2 ||
	    take_number(&s, 2, &minutes) != 2 || minutes > 59 ||
	    hours * 60 + minutes > ZONE_MAX)
		return -1;
	*minutes_r = sign * (hours * 60 + minutes);
	return 0;
}

int
date_parse(struct str s, struct date *date_r)
{
	struct date d = { .zone = 0 };
	struct str word;
	size_t n;

	s = str_sub(s, 0, DATE_TEXT_MAX);
	skip_cfws(&s);
	word = take_word(&s);
	if (word.n) {
		skip_cfws(&s);
		(void)take_char(&s, ',');
		skip_cfws(&s);
	}
	if (take_number(&s, 2, &d.day) == 0)
		return -1;
	if (!skip_cfws(&s))
		(void)take_char(&s, '-');	/* 21-Nov-2026 */
	d.month = month_named(take_word(&s));
	if (!skip_cfws(&s))
		(void)take_char(&s, '-');
	n = take_number(&s, 4, &d.year);
	if (n < 2 || (s.n && ascii_isdigit(s.p[0])))
		return -1;
	if (n == 2)
		d.year += d.year < 50 ? 2000 : 1900;
	else if (n == 3)
		d.year += 1900;
	skip_cfws(&s);
	if (take_number(&s, 2, &d.hour) == 0)
		return -1;
	skip_cfws(&s);
	if (!take_char(&s, ':'))
		return -1;
	skip_cfws(&s);
	if (take_number(&s, 2, &d.minute) != 2)
		return -1;
	skip_cfws(&s);
	if (take_char(&s, ':')) {
		skip_cfws(&s);
		if (take_number(&s, 2, &d.second) != 2)
			return -1;
		skip_cfws(&s);
	}
	if (s.n && (s.p[0] == '+' || s.p[0] == '-')) {
		/* -0000: the local zone is not told (RFC 5322 3.3). */
		if (str_starts(s, STR("-0000")) ||
		    date_parse_zone(str_sub(s, 0, 5), &d.zone) < 0)
			d.zone_unknown = true;
	} else {
		zone_named(take_word(&s), &d);
	}
	if (!valid(&d))
		return -1;
	*date_r = d;
	return 0;
}

int
date_parse_field(struct str value, struct date *date_r)
{
	size_t depth = 0, from = 0;
	bool quoted = false;

	value = str_sub(value, 0, HEADER_VALUE_MAX);
	for (size_t i = 0; i < value.n; i++) {
		char c = value.p[i];

		if (c == '\\' && (quoted || depth))
			i++;
		else if (quoted)
			quoted = c != '"';
		else if (c == '(')
			depth++;
		else if (c == ')' && depth)
			depth--;
		else if (c == '"' && !depth)
			quoted = true;
		else if (c == ';' && !depth)
			from = i + 1;
	}
	return date_parse(str_sub(value, from, value.n), date_r);
}

int
date_parse_iso(struct str s, struct date *date_r)
{
	struct date d = { .zone_unknown = true };
	int sign, hours, minutes;

	s = str_trim(s);
	if (take_number(&s, 4, &d.year) != 4 || !take_char(&s, '-') ||
	    take_number(&s, 2, &d.month) != 2 || !take_char(&s, '-') ||
	    take_number(&s, 2, &d.day) != 2)
		return -1;
	if (s.n == 0)
		goto done;
	if (!take_char(&s, 'T') && !take_char(&s, 't') && !take_char(&s, ' '))
		return -1;
	if (take_number(&s, 2, &d.hour) != 2 || !take_char(&s, ':') ||
	    take_number(&s, 2, &d.minute) != 2)
		return -1;
	if (take_char(&s, ':')) {
		if (take_number(&s, 2, &d.second) != 2)
			return -1;
		if (take_char(&s, '.') || take_char(&s, ',')) {
			if (s.n == 0 || !ascii_isdigit(s.p[0]))
				return -1;
			while (s.n && ascii_isdigit(s.p[0]))
				s = str_sub(s, 1, s.n);
		}
	}
	if (s.n == 0)
		goto done;
	d.zone_unknown = false;
	if (take_char(&s, 'Z') || take_char(&s, 'z')) {
		if (s.n)
			return -1;
		goto done;
	}
	sign = s.p[0] == '-' ? -1 : 1;
	if (!take_char(&s, '+') && !take_char(&s, '-'))
		return -1;
	if (take_number(&s, 2, &hours) != 2)
		return -1;
	(void)take_char(&s, ':');
	if (take_number(&s, 2, &minutes) != 2 || s.n || minutes > 59 ||
	    hours * 60 + minutes > ZONE_MAX)
		return -1;
	d.zone = sign * (hours * 60 + minutes);
done:
	if (!valid(&d))
		return -1;
	*date_r = d;
	return 0;
}

/* --- moving --- */

int64_t
date_unix(const struct date *d)
{
	return (day_number(d) - EPOCH_DAY) * 86400 + d->hour * 3600 +
	    d->minute * 60 + d->second - (int64_t)d->zone * 60;
}

void
date_of_unix(int64_t t, int zone, struct date *date_r)
{
	const int64_t first = -(int64_t)EPOCH_DAY * 86400;
	const int64_t last = (days_before_year(10000) - EPOCH_DAY) * 86400 - 1;
	struct date d = { .zone = zone };
	int64_t rest;

	if (t < first || t > last)
		t = t < first ? first : last;
	t += (int64_t)zone * 60;
	if (t < first || t > last)
		t = t < first ? first : last;
	t -= first;
	of_day_number(t / 86400, &d);
	rest = t % 86400;
	d.hour = (int)(rest / 3600);
	d.minute = (int)(rest / 60 % 60);
	d.second = (int)(rest % 60);
	*date_r = d;
}

void
date_shift(struct date *d, int zone)
{
	bool leap_second = d->second == 60;
	struct date moved = *d;

	/* 23:59:60 stays what it is. */
	moved.second -= leap_second;
	date_of_unix(date_unix(&moved), zone, d);
	d->second += leap_second;
}

int
date_weekday(const struct date *d)
{
	return (int)((day_number(d) + 1) % 7);	/* 0001-01-01: a Monday */
}

int64_t
date_julian(const struct date *d)
{
	return day_number(d) - MJD_DAY;
}

/* --- writing --- */

enum date_part
date_part_named(struct str name)
{
	static const char *const names[DATE_PART_COUNT] = {
		[DATE_YEAR] = "year", [DATE_MONTH] = "month",
		[DATE_DAY] = "day", [DATE_DATE] = "date",
		[DATE_JULIAN] = "julian", [DATE_HOUR] = "hour",
		[DATE_MINUTE] = "minute", [DATE_SECOND] = "second",
		[DATE_TIME] = "time", [DATE_ISO8601] = "iso8601",
		[DATE_STD11] = "std11", [DATE_ZONE] = "zone",
		[DATE_WEEKDAY] = "weekday",
	};
	unsigned i = 0;

	while (i < DATE_PART_COUNT && !str_caseeq(name, str_of(names[i])))
		i++;
	return (enum date_part)i;
}

static int
zone_abs(const struct date *d)
{
	return d->zone < 0 ? -d->zone : d->zone;
}

int
date_add_rfc5322(const struct date *d, struct buf *out)
{
	return buf_addf(out, "%s, %02d %s %04d %02d:%02d:%02d %c%02d%02d",
	    days[date_weekday(d)], d->day, months[d->month - 1], d->year,
	    d->hour, d->minute, d->second,
	    d->zone < 0 || (d->zone_unknown && d->zone == 0) ? '-' : '+',
	    zone_abs(d) / 60, zone_abs(d) % 60);
}

int
date_add_iso(const struct date *d, struct buf *out)
{
	(void)buf_addf(out, "%04d-%02d-%02dT%02d:%02d:%02d", d->year, d->month,
	    d->day, d->hour, d->minute, d->second);
	if (d->zone == 0)
		return buf_addc(out, 'Z');
	return buf_addf(out, "%c%02d:%02d", d->zone < 0 ? '-' : '+',
	    zone_abs(d) / 60, zone_abs(d) % 60);
}

int
date_part_add(const struct date *d, enum date_part part, struct buf *out)
{
	struct date known = *d;

	switch (part) {
	case DATE_YEAR:
		return buf_addf(out, "%04d", d->year);
	case DATE_MONTH:
		return buf_addf(out, "%02d", d->month);
	case DATE_DAY:
		return buf_addf(out, "%02d", d->day);
	case DATE_DATE:
		return buf_addf(out, "%04d-%02d-%02d", d->year, d->month,
		    d->day);
	case DATE_JULIAN:
		return buf_addf(out, "%lld", (long long)date_julian(d));
	case DATE_HOUR:
		return buf_addf(out, "%02d", d->hour);
	case DATE_MINUTE:
		return buf_addf(out, "%02d", d->minute);
	case DATE_SECOND:
		return buf_addf(out, "%02d", d->second);
	case DATE_TIME:
		return buf_addf(out, "%02d:%02d:%02d", d->hour, d->minute,
		    d->second);
	case DATE_ISO8601:
		return date_add_iso(d, out);
	case DATE_STD11:
		/* RFC 5260 has no unknown zone: it is written as +0000. */
		known.zone_unknown = false;
		return date_add_rfc5322(&known, out);
	case DATE_ZONE:
		return buf_addf(out, "%c%02d%02d", d->zone < 0 ? '-' : '+',
		    zone_abs(d) / 60, zone_abs(d) % 60);
	case DATE_WEEKDAY:
		return buf_addf(out, "%d", date_weekday(d));
	case DATE_PART_COUNT:
		break;
	}
	return -1;
}
