/* Dates from bytes: what is read can be written and read again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "filters/message/date.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
date_check(bool good)
{
	if (!good)
		abort();
}

static void
one_date(const struct date *d)
{
	struct date e, moved = *d;
	struct buf b;

	buf_init(&b, 100);
	for (unsigned p = 0; p < DATE_PART_COUNT; p++) {
		buf_reset(&b);
		date_check(date_part_add(d, (enum date_part)p, &b) == 0 && b.n);
	}
	buf_reset(&b);
	date_check(date_add_rfc5322(d, &b) == 0);
	date_check(date_parse(buf_str(&b), &e) == 0);
	date_check(date_unix(d) == date_unix(&e) && d->zone == e.zone);
	buf_reset(&b);
	date_check(date_add_iso(d, &b) == 0);
	date_check(date_parse_iso(buf_str(&b), &e) == 0);
	date_check(date_unix(d) == date_unix(&e) && d->zone == e.zone);
	if (d->year > 1 && d->year < 9999 && d->second < 60) {
		date_of_unix(date_unix(d), d->zone, &e);
		date_check(e.day == d->day && e.hour == d->hour &&
		    e.minute == d->minute && e.second == d->second);
		date_shift(&moved, -345);
		date_check(date_unix(&moved) == date_unix(d));
	}
	date_check(date_weekday(d) >= 0 && date_weekday(d) < 7);
	buf_release(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str s = str_mem(data, size);
	struct date d;
	int64_t t = 0;
	int zone;

	if (size > 20000)
		return 0;
	if (date_parse(s, &d) == 0)
		one_date(&d);
	if (date_parse_field(s, &d) == 0)
		one_date(&d);
	if (date_parse_iso(s, &d) == 0)
		one_date(&d);
	if (date_parse_zone(s, &zone) == 0)
		date_check(zone > -1440 && zone < 1440);
	memcpy(&t, data ? data : (const uint8_t *)&t,
	    size < sizeof(t) ? size : sizeof(t));
	date_of_unix(t, 0, &d);
	one_date(&d);
	date_check(date_part_named(s) <= DATE_PART_COUNT);
	return 0;
}
