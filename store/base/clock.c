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

/* Two digits; where the next goes. Every message has three dates, and printf(3)
 * takes ten times as long for one. */
static char *
two(char *to, int n)
{
	to[0] = (char)('0' + n / 10 % 10);
	to[1] = (char)('0' + n % 10);
	return to + 2;
}

static void
year(struct buf *out, int tm_year)
{
	int n = tm_year + 1900;
	char digits[4];

	if (n < 1000 || n > 9999) {
		(void)buf_addf(out, "%d", n);
		return;
	}
	(void)two(two(digits, n / 100), n);
	(void)buf_add(out, digits, sizeof(digits));	/* the caller looks at
							 * out->full */
}

/* hh:mm:ss */
static void
time_of_day(struct buf *out, const struct tm *tm)
{
	char text[8], *at = text;

	at = two(at, tm->tm_hour);
	*at++ = ':';
	at = two(at, tm->tm_min);
	*at++ = ':';
	(void)two(at, tm->tm_sec);
	(void)buf_add(out, text, sizeof(text));
}

/* As few digits as it takes. */
static void
day_of_month(struct buf *out, const struct tm *tm)
{
	if (tm->tm_mday > 9)
		(void)buf_addc(out, (char)('0' + tm->tm_mday / 10));
	(void)buf_addc(out, (char)('0' + tm->tm_mday % 10));
}

void
clock_asctime(time_t t, struct buf *out)
{
	struct tm tm = utc(t);

	(void)buf_add(out, day_names[tm.tm_wday], 3);
	(void)buf_addc(out, ' ');
	(void)buf_add(out, months[tm.tm_mon], 3);
	(void)buf_addc(out, ' ');
	if (tm.tm_mday < 10)
		(void)buf_addc(out, ' ');
	day_of_month(out, &tm);
	(void)buf_addc(out, ' ');
	time_of_day(out, &tm);
	(void)buf_addc(out, ' ');
	year(out, tm.tm_year);
}

/* Seconds east of Greenwich. Clocks are changed on the quarter of an hour, so one
 * question to the C library does for all messages of one. */
static long
offset_at(time_t t)
{
	static _Thread_local int64_t quarter = INT64_MIN;
	static _Thread_local long offset;
	struct tm tm;

	if (quarter != t / 900) {
		if (!localtime_r(&t, &tm))
			abort();
		offset = tm.tm_gmtoff;
		quarter = t / 900;
	}
	return offset;
}

void
clock_rfc5322(time_t t, struct buf *out)
{
	long offset = offset_at(t);
	struct tm tm = utc(t + offset);
	int off = (int)(labs(offset) / 60);
	char zone[] = " +hhmm";

	(void)buf_add(out, day_names[tm.tm_wday], 3);
	(void)buf_addz(out, ", ");
	day_of_month(out, &tm);
	(void)buf_addc(out, ' ');
	(void)buf_add(out, months[tm.tm_mon], 3);
	(void)buf_addc(out, ' ');
	year(out, tm.tm_year);
	(void)buf_addc(out, ' ');
	time_of_day(out, &tm);
	if (offset < 0)
		zone[1] = '-';
	(void)two(two(zone + 2, off / 60), off % 60);
	(void)buf_addz(out, zone);
}

void
clock_iso(time_t t, struct buf *out)
{
	struct tm tm = utc(t);
	char day[] = "-mm-ddT";

	year(out, tm.tm_year);
	(void)two(day + 1, tm.tm_mon + 1);
	(void)two(day + 4, tm.tm_mday);
	(void)buf_addz(out, day);
	time_of_day(out, &tm);
	(void)buf_addc(out, 'Z');
}
