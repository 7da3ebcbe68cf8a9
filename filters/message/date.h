/*
 * Dates of messages (RFC 5322 3.3, 4.3), of RFC 3339, and the parts of
 * RFC 5260. Nothing here asks the clock, the locale or TZ.
 */
#ifndef FILTERS_MESSAGE_DATE_H
#define FILTERS_MESSAGE_DATE_H

#include <stdbool.h>
#include <stdint.h>

#include "store/base/buf.h"
#include "store/base/str.h"

/* A moment as somebody's clock on the wall shows it. Years 1 to 9999. */
struct date {
	int year, month, day;		/* month 1 to 12 */
	int hour, minute, second;	/* second up to 60 */
	int zone;			/* minutes east of UTC */
	bool zone_unknown;		/* "-0000", military letters, garbage:
					 * zone is 0 */
};

/*
 * "Sat, 21 Nov 2026 02:54:49 +0100", its obsolete forms, comments, folds; a
 * wrong weekday is no error. 0, or -1 when it is no date.
 */
int date_parse(struct str s, struct date *date_r);
/* The date in a field's value: the whole of it, or what follows the last
 * semicolon outside comments and quotes (Received). */
int date_parse_field(struct str value, struct date *date_r);
/* "2026-11-21", "2026-11-21T02:54:49", fractions, "Z", "+01:00", "+0100";
 * without a zone: zone_unknown. */
int date_parse_iso(struct str s, struct date *date_r);
/* "+0100", "-0330" (RFC 5260 :zone): minutes east. 0 or -1. */
int date_parse_zone(struct str s, int *minutes_r);

/* Seconds since 1970. */
int64_t date_unix(const struct date *d);
/* The moment at this zone. Clamped to years 1 and 9999. */
void date_of_unix(int64_t t, int zone, struct date *date_r);
/* The same moment at another zone. */
void date_shift(struct date *d, int zone);

/* 0 (Sunday) to 6. */
int date_weekday(const struct date *d);
/* Modified Julian Day of the date shown. */
int64_t date_julian(const struct date *d);

enum date_part {
	DATE_YEAR, DATE_MONTH, DATE_DAY, DATE_DATE, DATE_JULIAN, DATE_HOUR,
	DATE_MINUTE, DATE_SECOND, DATE_TIME, DATE_ISO8601, DATE_STD11,
	DATE_ZONE, DATE_WEEKDAY,
	DATE_PART_COUNT,		/* no such part */
};
/* By its name in RFC 5260 4.2, case folded. */
enum date_part date_part_named(struct str name);
/* Appends the part as RFC 5260 writes it. 0, or -1 when out is full. */
int date_part_add(const struct date *d, enum date_part part, struct buf *out);

/* "Sat, 21 Nov 2026 02:54:49 +0100". */
int date_add_rfc5322(const struct date *d, struct buf *out);
/* "2026-11-21T02:54:49+01:00", Z for UTC. */
int date_add_iso(const struct date *d, struct buf *out);

#endif
