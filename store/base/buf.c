#include "store/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/mem.h"

/* First allocation: most lines and headers fit, and malloc serves it from
 * one bin. */
#define BUF_FIRST 256
/* Room that a formatted piece is given before it is measured. */
#define ADDF_GUESS ((size_t)64)

static char nothing[1];

void
buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){ .p = nothing, .max = max };
}

void
buf_init_in(struct buf *b, char *p, size_t n)
{
	*b = (struct buf){ .p = p, .cap = n, .max = n - 1 };
}

void
buf_release(struct buf *b)
{
	if (b->cap)
		free(b->p);
	buf_init(b, b->max);
}

void
buf_reset(struct buf *b)
{
	buf_cut(b, 0);
	b->full = false;
}

void
buf_cut(struct buf *b, size_t n)
{
	if (n < b->n) {
		b->n = n;
		b->p[n] = '\0';
	}
}

int
buf_reserve(struct buf *b, size_t n)
{
	size_t want, cap;

	if (n > b->max || b->n > b->max - n) {
		b->full = true;
		return -1;
	}
	want = b->n + n + 1;
	if (want <= b->cap)
		return 0;
	cap = b->cap ? b->cap : BUF_FIRST;
	while (cap < want)
		cap += cap / 2;
	if (cap > b->max + 1)
		cap = b->max + 1;
	b->p = mem_realloc(b->cap ? b->p : NULL, cap);
	b->cap = cap;
	b->p[b->n] = '\0';
	return 0;
}

int
buf_addf(struct buf *b, const char *fmt, ...)
{
	size_t room, guess = b->max - b->n;
	va_list ap;
	int n;

	/* Most fit at the first try; the rest is measured by it. */
	(void)buf_reserve(b, guess < ADDF_GUESS ? guess : ADDF_GUESS); /* fits */
	room = b->cap - b->n;
	va_start(ap, fmt);
	n = vsnprintf(b->p + b->n, room, fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < room) {
		b->n += (size_t)n;
		return 0;
	}
	b->p[b->n] = '\0';
	if (n < 0 || buf_reserve(b, (size_t)n) < 0) {
		b->full = true;
		return -1;
	}
	va_start(ap, fmt);
	(void)vsnprintf(b->p + b->n, (size_t)n + 1, fmt, ap); /* measured above */
	va_end(ap);
	b->n += (size_t)n;
	return 0;
}

int
buf_addu(struct buf *b, uint64_t n)
{
	char digits[20];	/* of 2^64 - 1 */
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	return buf_add(b, digits + at, sizeof(digits) - at);
}

int
buf_add_percent(struct buf *b, struct str s)
{
	int r = 0;

	for (size_t i = 0; i < s.n && r == 0; i++) {
		int high = -1, low = -1;

		if (s.p[i] == '%' && s.n - i > 2) {
			high = ascii_hex(s.p[i + 1]);
			low = ascii_hex(s.p[i + 2]);
		}
		if (high < 0 || low < 0) {
			r = buf_addc(b, s.p[i]);
		} else {
			r = buf_addc(b, (char)(high << 4 | low));
			i += 2;
		}
	}
	return r;
}
