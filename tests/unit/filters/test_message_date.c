/* Dates: what people write, and the parts of RFC 5260. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "filters/message/date.h"

static void
reads_mail_dates(void **state)
{
	static const struct {
		const char *text;
		const char *iso;	/* NULL: no date */
	} cases[] = {
		{ "Sat, 21 Nov 2026 02:54:49 +0100", "2026-11-21T02:54:49+01:00" },
		{ "21 Nov 2026 02:54:49 +0100", "2026-11-21T02:54:49+01:00" },
		{ "sat,21 nov 2026 02:54:49 +0100", "2026-11-21T02:54:49+01:00" },
		{ "Sat 21 Nov 2026 02:54:49 +0100", "2026-11-21T02:54:49+01:00" },
		{ "Mon, 21 Nov 2026 02:54:49 +0100", "2026-11-21T02:54:49+01:00" },
		{ " Sat,\n 21 Nov\t2026 02:54 -0330", "2026-11-21T02:54:00-03:30" },
		{ "1 Jan 2000 00:00:00 +0000", "2000-01-01T00:00:00Z" },
		{ "1 Jan 2000 00:00:00 -0000", "2000-01-01T00:00:00Z" },
		{ "1 Jan 00 00:00:00 +0000", "2000-01-01T00:00:00Z" },
		{ "1 Jan 49 00:00:00 +0000", "2049-01-01T00:00:00Z" },
		{ "1 Jan 50 00:00:00 +0000", "1950-01-01T00:00:00Z" },
		{ "1 Jan 99 00:00:00 +0000", "1999-01-01T00:00:00Z" },
		{ "1 Jan 100 00:00:00 +0000", "2000-01-01T00:00:00Z" },
		{ "1 Jan 2000 00:00:00 UT", "2000-01-01T00:00:00Z" },
		{ "1 Jan 2000 00:00:00 GMT", "2000-01-01T00:00:00Z" },
		{ "1 Jan 2000 00:00:00 EST", "2000-01-01T00:00:00-05:00" },
		{ "1 Jan 2000 00:00:00 EDT", "2000-01-01T00:00:00-04:00" },
		{ "1 Jan 2000 00:00:00 CST", "2000-01-01T00:00:00-06:00" },
		{ "1 Jan 2000 00:00:00 CDT", "2000-01-01T00:00:00-05:00" },
		{ "1 Jan 2000 00:00:00 MST", "2000-01-01T00:00:00-07:00" },
		{ "1 Jan 2000 00:00:00 MDT", "2000-01-01T00:00:00-06:00" },
		{ "1 Jan 2000 00:00:00 PST", "2000-01-01T00:00:00-08:00" },
		{ "1 Jan 2000 00:00:00 pdt", "2000-01-01T00:00:00-07:00" },
		{ "1 Jan 2000 00:00:00 A", "2000-01-01T00:00:00Z" },
		{ "1 Jan 2000 00:00:00 CEST", "2000-01-01T00:00:00Z" },
		{ "1 Jan 2000 00:00:00", "2000-01-01T00:00:00Z" },
		{ "1 Jan 2000 00:00:00 +9999", "2000-01-01T00:00:00Z" },
		{ "1 Jan 2000 00:00:00 +02", "2000-01-01T00:00:00Z" },
		{ "1 Jan 2000 00:00:00 +0200 (CEST)", "2000-01-01T00:00:00+02:00" },
		{ "(a) 1 (b) Jan (c(d)) 2000 00 : 00 : 01 (e) +0200",
		    "2000-01-01T00:00:01+02:00" },
		{ "(a\\)b) 1 Jan 2000 00:00 +0000", "2000-01-01T00:00:00Z" },
		{ "1-Jan-2000 00:00:00 +0000", "2000-01-01T00:00:00Z" },
		{ "1 January 2000 00:00:00 +0000", "2000-01-01T00:00:00Z" },
		{ "29 Feb 2024 00:00:00 +0000", "2024-02-29T00:00:00Z" },
		{ "29 Feb 2000 00:00:00 +0000", "2000-02-29T00:00:00Z" },
		{ "31 Dec 2016 23:59:60 +0000", "2016-12-31T23:59:60Z" },
		{ "31 Dec 9999 23:59:59 +0000", "9999-12-31T23:59:59Z" },
		{ "1 Jan 0001 00:00:00 +0000", "0001-01-01T00:00:00Z" },
		{ "1 Jan 2000 1:02:03 +0000", "2000-01-01T01:02:03Z" },
		{ "", NULL },
		{ "x", NULL },
		{ "Sat", NULL },
		{ "29 Feb 2023 00:00:00 +0000", NULL },
		{ "29 Feb 1900 00:00:00 +0000", NULL },
		{ "31 Apr 2020 00:00:00 +0000", NULL },
		{ "0 Jan 2020 00:00:00 +0000", NULL },
		{ "32 Jan 2020 00:00:00 +0000", NULL },
		{ "1 Foo 2020 00:00:00 +0000", NULL },
		{ "1 Jan 2020 24:00:00 +0000", NULL },
		{ "1 Jan 2020 00:60:00 +0000", NULL },
		{ "1 Jan 2020 00:00:61 +0000", NULL },
		{ "1 Jan 2020", NULL },
		{ "1 Jan 2020 00", NULL },
		{ "1 Jan 2020 00:0", NULL },
		{ "1 Jan 2 00:00:00", NULL },
		{ "1 Jan 20200 00:00:00", NULL },
		{ "1 Jan 0000 00:00:00 +0000", NULL },
		{ "2020-01-01T00:00:00Z", NULL },
		{ "(unterminated", NULL },
		{ "99999999999999999999 Jan 2020 00:00:00", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct date d;
		struct buf b;
		int r = date_parse(str_of(cases[i].text), &d);

		buf_init(&b, 100);
		if (r == 0)
			assert_int_equal(date_add_iso(&d, &b), 0);
		if ((r == 0) != (cases[i].iso != NULL) ||
		    (r == 0 && strcmp(b.p, cases[i].iso) != 0))
			fail_msg("%s: %d %s", cases[i].text, r, b.p);
		buf_release(&b);
	}
}

static void
reads_fields(void **state)
{
	static const struct {
		const char *text, *iso;
	} cases[] = {
		{ "from a by b; 1 Feb 2020 10:00:00 +0200 (CEST)",
		    "2020-02-01T10:00:00+02:00" },
		{ "from a (x; y) by b (Postfix; z); 1 Feb 2020 10:00:00 +0200",
		    "2020-02-01T10:00:00+02:00" },
		{ "from \"a;b\"; c; 1 Feb 2020 10:00:00 +0200",
		    "2020-02-01T10:00:00+02:00" },
		{ "1 Feb 2020 10:00:00 +0200 (x; y)", "2020-02-01T10:00:00+02:00" },
		{ "1 Feb 2020 10:00:00 +0200;", NULL },
		{ "a; b", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct date d;
		struct buf b;
		int r = date_parse_field(str_of(cases[i].text), &d);

		buf_init(&b, 100);
		if (r == 0)
			assert_int_equal(date_add_iso(&d, &b), 0);
		if ((r == 0) != (cases[i].iso != NULL) ||
		    (r == 0 && strcmp(b.p, cases[i].iso) != 0))
			fail_msg("%s: %d %s", cases[i].text, r, b.p);
		buf_release(&b);
	}
}

static void
reads_iso(void **state)
{
	static const struct {
		const char *text, *iso;
		bool unknown;
	} cases[] = {
		{ "2026-11-21", "2026-11-21T00:00:00Z", true },
		{ "2026-11-21T02:54", "2026-11-21T02:54:00Z", true },
		{ "2026-11-21T02:54:49", "2026-11-21T02:54:49Z", true },
		{ "2026-11-21t02:54:49z", "2026-11-21T02:54:49Z", false },
		{ "2026-11-21 02:54:49.123Z", "2026-11-21T02:54:49Z", false },
		{ "2026-11-21T02:54:49+01:00", "2026-11-21T02:54:49+01:00", false },
		{ "2026-11-21T02:54:49-0330", "2026-11-21T02:54:49-03:30", false },
		{ "2026-11-2", NULL, false },
		{ "2026-13-01", NULL, false },
		{ "2026-02-30", NULL, false },
		{ "2026-11-21T", NULL, false },
		{ "2026-11-21T02", NULL, false },
		{ "2026-11-21T02:54:49.Z", NULL, false },
		{ "2026-11-21T02:54:49Zx", NULL, false },
		{ "2026-11-21T02:54:49+1", NULL, false },
		{ "2026-11-21T02:54:49+24:00", NULL, false },
		{ "", NULL, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct date d;
		struct buf b;
		int r = date_parse_iso(str_of(cases[i].text), &d);

		buf_init(&b, 100);
		if (r == 0)
			assert_int_equal(date_add_iso(&d, &b), 0);
		if ((r == 0) != (cases[i].iso != NULL) || (r == 0 &&
		    (strcmp(b.p, cases[i].iso) != 0 ||
		    d.zone_unknown != cases[i].unknown)))
			fail_msg("%s: %d %s", cases[i].text, r, b.p);
		buf_release(&b);
	}
}

static void
gives_parts(void **state)
{
	static const struct {
		const char *date, *part, *want;
	} cases[] = {
		{ "Sat, 1 Jan 2000 02:03:04 -0500", "year", "2000" },
		{ "Sat, 1 Jan 2000 02:03:04 -0500", "month", "01" },
		{ "Sat, 1 Jan 2000 02:03:04 -0500", "day", "01" },
		{ "Sat, 1 Jan 2000 02:03:04 -0500", "date", "2000-01-01" },
		{ "Sat, 1 Jan 2000 02:03:04 -0500", "julian", "51544" },
		{ "Sat, 1 Jan 2000 02:03:04 -0500", "hour", "02" },
		{ "Sat, 1 Jan 2000 02:03:04 -0500", "minute", "03" },
		{ "Sat, 1 Jan 2000 02:03:04 -0500", "second", "04" },
		{ "Sat, 1 Jan 2000 02:03:04 -0500", "time", "02:03:04" },
		{ "Sat, 1 Jan 2000 02:03:04 -0500", "ISO8601",
		    "2000-01-01T02:03:04-05:00" },
		{ "1 Jan 2000 02:03:04 -0500", "std11",
		    "Sat, 01 Jan 2000 02:03:04 -0500" },
		{ "1 Jan 2000 02:03:04 -0000", "std11",
		    "Sat, 01 Jan 2000 02:03:04 +0000" },
		{ "Sat, 1 Jan 2000 02:03:04 -0500", "zone", "-0500" },
		{ "Sat, 1 Jan 2000 02:03:04 +0545", "zone", "+0545" },
		{ "Sat, 1 Jan 2000 02:03:04 -0000", "zone", "+0000" },
		{ "Sat, 1 Jan 2000 02:03:04 -0500", "weekday", "6" },
		{ "2 Jan 2000 00:00:00 +0000", "weekday", "0" },
		{ "17 Nov 1858 00:00:00 +0000", "julian", "0" },
		{ "16 Nov 1858 00:00:00 +0000", "julian", "-1" },
		{ "29 Feb 2024 00:00:00 +0000", "weekday", "4" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct date d;
		struct buf b;

		buf_init(&b, 100);
		assert_int_equal(date_parse(str_of(cases[i].date), &d), 0);
		assert_int_equal(date_part_add(&d,
		    date_part_named(str_of(cases[i].part)), &b), 0);
		assert_string_equal(b.p, cases[i].want);
		buf_release(&b);
	}
	assert_int_equal(date_part_named(STR("era")), DATE_PART_COUNT);
	assert_int_equal(date_part_named(STR("")), DATE_PART_COUNT);
}

static void
zones(void **state)
{
	static const struct {
		const char *text;
		int r, minutes;
	} cases[] = {
		{ "+0000", 0, 0 }, { "-0000", 0, 0 }, { "+0100", 0, 60 },
		{ "-0330", 0, -210 }, { "+1400", 0, 840 }, { "+2359", 0, 1439 },
		{ "+2400", -1, 0 }, { "+0060", -1, 0 }, { "0100", -1, 0 },
		{ "+100", -1, 0 }, { "+01000", -1, 0 }, { "+01:0", -1, 0 },
		{ "", -1, 0 }, { "Z", -1, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int m = 0;

		assert_int_equal(date_parse_zone(str_of(cases[i].text), &m),
		    cases[i].r);
		assert_int_equal(m, cases[i].minutes);
	}
}

static void
shifts(void **state)
{
	static const struct {
		const char *from;
		int zone;
		const char *want;
	} cases[] = {
		{ "1 Jan 2000 00:30:00 +0100", 0, "1999-12-31T23:30:00Z" },
		{ "31 Dec 1999 23:30:00 +0000", 60, "2000-01-01T00:30:00+01:00" },
		{ "28 Feb 2024 23:00:00 -0500", 0, "2024-02-29T04:00:00Z" },
		{ "1 Mar 2023 00:00:00 +0000", -1, "2023-02-28T23:59:00-00:01" },
		{ "31 Dec 2016 23:59:60 +0000", 60, "2017-01-01T00:59:60+01:00" },
		{ "31 Dec 9999 23:59:59 +0000", 60, "9999-12-31T23:59:59+01:00" },
		{ "1 Jan 0001 00:00:00 +0000", -60, "0001-01-01T00:00:00-01:00" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct date d;
		struct buf b;

		buf_init(&b, 100);
		assert_int_equal(date_parse(str_of(cases[i].from), &d), 0);
		date_shift(&d, cases[i].zone);
		(void)date_add_iso(&d, &b);
		assert_string_equal(b.p, cases[i].want);
		buf_release(&b);
	}
}

/* Against the C library, over a few thousand years, whatever TZ is. */
static void
agrees_with_libc(void **state)
{
	(void)state;
	assert_int_equal(setenv("TZ", "Asia/Kathmandu", 1), 0);
	tzset();
	for (int64_t t = -40000000000; t < 200000000000; t += 7654321 * 13) {
		time_t tt = (time_t)t;
		struct tm tm;
		struct date d;

		assert_non_null(gmtime_r(&tt, &tm));
		date_of_unix(t, 0, &d);
		assert_int_equal(d.year, tm.tm_year + 1900);
		assert_int_equal(d.month, tm.tm_mon + 1);
		assert_int_equal(d.day, tm.tm_mday);
		assert_int_equal(d.hour, tm.tm_hour);
		assert_int_equal(d.minute, tm.tm_min);
		assert_int_equal(d.second, tm.tm_sec);
		assert_int_equal(date_weekday(&d), tm.tm_wday);
		assert_true(date_unix(&d) == t);
		date_of_unix(t, 345, &d);
		assert_true(date_unix(&d) == t);
	}
	{
		struct date d;

		date_of_unix(INT64_MAX, 0, &d);
		assert_int_equal(d.year, 9999);
		date_of_unix(INT64_MIN, 0, &d);
		assert_int_equal(d.year, 1);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_mail_dates),
		cmocka_unit_test(reads_fields),
		cmocka_unit_test(reads_iso),
		cmocka_unit_test(gives_parts),
		cmocka_unit_test(zones),
		cmocka_unit_test(shifts),
		cmocka_unit_test(agrees_with_libc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
