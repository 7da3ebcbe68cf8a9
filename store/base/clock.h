/*
 * The time, settable, so that tests neither wait nor depend on today.
 */
#ifndef STORE_BASE_CLOCK_H
#define STORE_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#include "store/base/buf.h"

/* Wall clock, microseconds since 1970. */
int64_t clock_now_us(void);
/* Wall clock, seconds. */
time_t clock_now(void);
/* Milliseconds that never go back; for deadlines. */
int64_t clock_mono_ms(void);
/* Stops the wall clock at this time; a negative value sets it free again. */
void clock_set_us(int64_t us);

/* "Sat Nov 21 02:54:49 2026" in UTC: the asctime form of a From_ line
 * (RFC 4155). */
void clock_asctime(time_t t, struct buf *out);
/* "Sat, 21 Nov 2026 02:54:49 +0000" (RFC 5322 section 3.3), in local time. */
void clock_rfc5322(time_t t, struct buf *out);
/* "2026-11-21T02:54:49Z" (RFC 3339). */
void clock_iso(time_t t, struct buf *out);

#endif
