#include "store/base/clock.h"

#include <stdlib.h>

static int64_t stopped_us = -1;

/* Not strftime: its names follow the locale. */
static const char day_names[7][4] = {
	"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat",
};
static const char months[12][4] = {
	"Jan", "Feb", "Mar", "Apr", "May", "Jun",
	"Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
};

int64_t
clock_now_us(void)
{
	struct timespec ts;

	if (stopped_us >= 0)
		return stopped_us;
	if (clock_gettime(CLOCK_REALTIME, &ts) < 0)
		abort();
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

time_t
clock_now(void)
{
	return (time_t)(clock_now_us() / 1000000);
}

int64_t
clock_mono_ms(void)
{
	struct timespec ts;

	if (clock_gettime(CLOCK_MONOTONIC, &ts) < 0)
		abort();
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void
clock_set_us(int64_t us)
{
	stopped_us = us;
}

/* gmtime_r(3) would read /etc/localtime first. Days to civil date by the
 * 400-year cycle that begins on 1 March 0000. */
static struct tm
utc(time_t t)
{
	int64_t days = t / 86400, secs = t % 86400;
	int64_t cycle, day_of_cycle, year_of_cycle, day_of_year, month;
	struct tm tm = { 0 };

	if (secs < 0) {
		secs += 86400;
		days--;
	}
	tm.tm_hour = (int)(secs / 3600);
	tm.tm_min = (int)(secs / 60 % 60);
	tm.tm_sec = (int)(secs % 60);
	tm.tm_wday = (int)(((days + 4) % 7 + 7) % 7);
	days += 719468;		/* from 0000-03-01 to 1970-01-01 */
	cycle = (days >= 0 ? days : days - 146096) / 146097;
	day_of_cycle = days - cycle * 146097;
	year_of_cycle = (day_of_cycle - day_of_cycle / 1460 +
	    day_of_cycle / 36524 - day_of_cycle / 146096) / 365;
	day_of_year = day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 -
	    year_of_cycle / 100);
	month = (5 * day_of_year + 2) / 153;
	tm.tm_mday = (int)(day_of_year - (153 * month + 2) / 5 + 1);
	tm.tm_mon = (int)(month < 10 ? month + 2 : month - 10);
	tm.tm_year = (int)(year_of_cycle + cycle * 400 + (month >= 10) - 1900);
	return tm;
}

void
clock_asctime(time_t t, struct buf *out)
{
	struct tm tm = utc(t);

	buf_addf(out, "%s %s %2d %02d:%02d:%02d %d", day_names[tm.tm_wday],
	    months[tm.tm_mon], tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
	    tm.tm_year + 1900);
}

void
clock_rfc5322(time_t t, struct buf *out)
{
	struct tm tm;
	long off;

	if (!localtime_r(&t, &tm))
		abort();
	off = labs(tm.tm_gmtoff) / 60;
	buf_addf(out, "%s, %d %s %d %02d:%02d:%02d %c%02ld%02ld",
	    day_names[tm.tm_wday], tm.tm_mday, months[tm.tm_mon],
	    tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec,
	    tm.tm_gmtoff < 0 ? '-' : '+', off / 60, off % 60);
}

void
clock_iso(time_t t, struct buf *out)
{
	struct tm tm = utc(t);

	buf_addf(out, "%d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900,
	    tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
}
