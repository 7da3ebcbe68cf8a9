#include "store/base/clock.h"

#include <stdlib.h>

static int64_t stopped_us = -1;

/* Not strftime: its names follow the locale. */
static const char days[7][4] = {
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

void
clock_asctime(time_t t, struct buf *out)
{
	struct tm tm;

	if (!gmtime_r(&t, &tm))
		abort();
	buf_addf(out, "%s %s %2d %02d:%02d:%02d %d", days[tm.tm_wday],
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
	    days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon],
	    tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec,
	    tm.tm_gmtoff < 0 ? '-' : '+', off / 60, off % 60);
}

void
clock_iso(time_t t, struct buf *out)
{
	struct tm tm;

	if (!gmtime_r(&t, &tm))
		abort();
	buf_addf(out, "%d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900,
	    tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
}
